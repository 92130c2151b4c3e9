//! Route tables and the paths that are looked up in them: up to a NUL the input is a table, after it come paths, a line
//! each. A path that is found is found by one row only, and is one that every reader sees alike.

#![no_main]

use domain::route::RouteTable;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static STANDARD: LazyLock<RouteTable> = LazyLock::new(RouteTable::default);

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let (rows, paths) = text.split_once('\0').unwrap_or(("", &text));
    for path in paths.lines() {
        found_is_plain(&STANDARD, path);
    }
    let Ok(table) = RouteTable::parse(rows) else { return };
    // Each row is a table as well: what the whole finds, exactly one of them finds.
    let each: Vec<RouteTable> = rows.lines().filter_map(|row| RouteTable::parse(row).ok()).collect();
    for path in paths.lines() {
        for method in ["GET", "POST", "PATCH"] {
            let found = table.find(method, path);
            let mut by_row = each.iter().filter_map(|row| row.find(method, path).ok());
            assert_eq!(found.ok(), by_row.next());
            assert_eq!(by_row.next(), None, "two rows match {method} {path:?}");
        }
        found_is_plain(&table, path);
    }
});

fn found_is_plain(table: &RouteTable, path: &str) {
    if table.find("GET", path).is_ok() {
        assert!(path.starts_with('/') && !path.contains(['\\', ';']) && !path.contains(char::is_control));
        assert!(path[1..].split('/').all(|segment| !matches!(segment, "" | "." | "..")));
        let lower = path.to_ascii_lowercase();
        assert!(!["%2f", "%5c", "%2e", "%25", "%00"].iter().any(|escaped| lower.contains(escaped)));
    }
}
