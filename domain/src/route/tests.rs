use super::*;
use proptest::prelude::*;

fn needs(code: &str) -> Result<Access, RouteMiss> {
    Ok(Access::Needs(code.parse().unwrap()))
}

#[test]
fn the_published_endpoints_need_their_permissions() {
    let table = RouteTable::default();
    let find = |method, path| table.find(method, path);
    assert_eq!(find("GET", "/api/v1/customers"), needs("CUSTOMERS_READ"));
    assert_eq!(find("POST", "/api/v1/customers"), needs("CUSTOMERS_WRITE"));
    assert_eq!(find("PATCH", "/api/v1/customers/c-1"), needs("CUSTOMERS_WRITE"));
    assert_eq!(find("GET", "/api/v1/customers/c-1/screening"), needs("SCREENING_READ"));
    assert_eq!(find("GET", "/api/v1/customers/c-1/beneficiaries"), needs("BENEFICIARIES_READ"));
    assert_eq!(find("POST", "/api/v1/customers/c-1/beneficiaries"), needs("BENEFICIARIES_WRITE"));
    assert_eq!(find("GET", "/api/v1/payment/quote/q-1"), needs("PAYMENTS_READ"));
    assert_eq!(find("GET", "/api/v1/signature-test"), Ok(Access::Any));
    assert_eq!(find("POST", "/api/v1/signature-test"), Ok(Access::Any));
}

#[test]
fn what_is_not_listed_is_not_there() {
    let table = RouteTable::default();
    for (method, path) in [
        ("GET", "/api/v1/customers/"),
        ("GET", "/api/v1/Customers"),
        ("GET", "//api/v1/customers"),
        ("GET", "/api/v1/%63ustomers"),
        ("GET", "api/v1/customers"),
        ("GET", "/"),
        ("GET", ""),
        ("GET", "*"),
    ] {
        assert_eq!(table.find(method, path), Err(RouteMiss::Path), "{method} {path}");
    }
}

#[test]
fn a_known_path_with_another_method_says_which_methods_it_has() {
    let table = RouteTable::default();
    for (method, path, allowed) in [
        ("DELETE", "/api/v1/customers", "GET, HEAD, POST"),
        ("get", "/api/v1/customers", "GET, HEAD, POST"),
        ("OPTIONS", "/api/v1/customers", "GET, HEAD, POST"),
        ("GET", "/api/v1/customers/c-1", "PATCH"),
        ("HEAD", "/api/v1/customers/c-1", "PATCH"),
        ("POST", "/api/v1/payment/quote/q-1", "GET, HEAD"),
    ] {
        let missed = Err(RouteMiss::Method(allowed.to_owned()));
        assert_eq!(table.find(method, path), missed, "{method} {path}");
    }
}

#[test]
fn head_is_as_get_unless_it_has_a_row_of_its_own() {
    let table = RouteTable::default();
    assert_eq!(table.find("HEAD", "/api/v1/customers"), needs("CUSTOMERS_READ"));
    assert_eq!(table.find("HEAD", "/api/v1/signature-test"), Ok(Access::Any));
    let table = RouteTable::parse("GET /a CUSTOMERS_READ\nHEAD /a any\nHEAD /b any\nPOST /c any").unwrap();
    assert_eq!(table.find("HEAD", "/a"), Ok(Access::Any));
    assert_eq!(table.find("GET", "/a"), needs("CUSTOMERS_READ"));
    assert_eq!(table.find("GET", "/b"), Err(RouteMiss::Method("HEAD".to_owned())));
    assert_eq!(table.find("HEAD", "/c"), Err(RouteMiss::Method("POST".to_owned())));
}

#[test]
fn a_parameter_takes_one_segment_that_every_reader_sees_alike() {
    let table = RouteTable::default();
    for id in [
        "c-1",
        "0192c1d2-7e1a",
        "M%C3%BCller",
        "a%20b",
        "a+b@c:d",
        "...",
        "%E6%9D%B1%E4%BA%AC",
        "%F0%9F%8E%89",
        "50%E2%82%AC",
        "%EF%BC%A1",
        "%E2%80%A6",
        "%61",
        "a%2Cb%26c%3Dd",
    ] {
        assert!(is_path_unambiguous(&format!("/api/v1/customers/{id}")), "{id}");
        assert!(table.find("PATCH", &format!("/api/v1/customers/{id}")).is_ok(), "{id}");
    }
    for id in [
        "",
        ".",
        "..",
        "%2e",
        "%2E%2e",
        ".%2e",
        "a%2fb",
        "a%2Fb",
        "a%5cb",
        "a\\b",
        "a%252fb",
        "a%00",
        "a%0a",
        "a%7f",
        "a%",
        "a%2",
        "a%zz",
        "..;",
        "a;b=c",
        "a%3bb",
        "a/b",
        "/",
        "a%+5",
        "é",
        "a\u{85}b",
        "a b",
        // The start of a query or of a fragment.
        "a%3Fb",
        "a%23b",
        "a?b",
        "a#b",
        // Overlong forms of / . and NUL, a surrogate, beyond Unicode, a truncated character, Latin-1.
        "%C0%AF",
        "%E0%80%AF",
        "%F0%80%80%AF",
        "%C0%AE%C0%AE",
        "%C0%80",
        "%ED%A0%80",
        "%F4%90%80%80",
        "%E2%82",
        "M%FCller",
        // Full-width / \\ . % ? # ; and others that are converted to one of them.
        "a%EF%BC%8Fb",
        "a%EF%BC%BCb",
        "%EF%BC%8E%EF%BC%8E",
        "%EF%BC%852f",
        "a%EF%BC%9Fb",
        "a%EF%BC%83b",
        "a%EF%BC%9Bb",
        "a%E2%88%95b",
        "a%E2%81%84b",
        "%E2%80%A5",
        "%E2%80%A4%E2%80%A4",
        "%E2%84%80",
        "a%CD%BEb",
        ".%EF%BC%8E",
        // Control characters beyond ASCII.
        "a%C2%85b",
        "a%E2%80%A8b",
    ] {
        assert_eq!(table.find("PATCH", &format!("/api/v1/customers/{id}")), Err(RouteMiss::Path), "{id}");
    }
}

#[test]
fn a_faulty_row_is_told_with_its_line() {
    use RouteProblem::*;
    for (row, problem) in [
        ("GET /a", Form),
        ("GET /a any more", Form),
        ("FETCH /a any", Method("FETCH".into())),
        ("get /a any", Method("get".into())),
        ("GET a any", Relative),
        ("GET / any", Segment("".into())),
        ("GET /a/ any", Segment("".into())),
        ("GET /a//b any", Segment("".into())),
        ("GET /a/../b any", Segment("..".into())),
        ("GET /a%2Fb any", Segment("a%2Fb".into())),
        ("GET /a/x{id} any", Segment("x{id}".into())),
        ("GET /a/{} any", Segment("{}".into())),
        ("GET /a/{id any", Segment("{id".into())),
        ("GET /{id}/{id} any", RepeatedParameter("id".into())),
        ("GET /a CUSTOMERS_DELETE", Permission("CUSTOMERS_DELETE".into())),
        ("GET /a ANY", Permission("ANY".into())),
    ] {
        let error = RouteTable::parse(&format!("# a comment\n\n{row}\n")).unwrap_err();
        assert_eq!(error, RouteTableError { line: 3, problem }, "{row}");
    }
    let error = RouteTable::parse("GET /a").unwrap_err();
    assert_eq!(error.to_string(), "line 1: write a row as METHOD /path PERMISSION");
}

#[test]
fn rows_that_one_request_could_match_are_refused_together() {
    for (first, second) in
        [("/a/b", "/a/b"), ("/a/{x}", "/a/{y}"), ("/a/{x}", "/a/b"), ("/a/b", "/a/{x}"), ("/{x}/b", "/a/{y}")]
    {
        let read = |method| RouteTable::parse(&format!("GET {first} any\n# between\n{method} {second} CUSTOMERS_READ"));
        let (this, other) = (format!("GET {second}"), format!("GET {first}"));
        let problem = RouteProblem::Overlap { this, other, line: 1 };
        assert_eq!(read("GET"), Err(RouteTableError { line: 3, problem }), "{first} {second}");
        assert!(read("PUT").is_ok());
    }
    assert!(RouteTable::parse("GET /a/{x} any\nGET /a/{x}/b any\nGET /b/{x} any # apart\n").is_ok());
}

#[test]
fn both_rows_of_an_overlap_are_named() {
    let error = RouteTable::parse("GET /a/{x} any\n\nGET /a/b any").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3: GET /a/b overlaps GET /a/{x} in line 1: a request may match both. Make them differ, or remove one"
    );
}

#[test]
fn a_row_that_the_gateways_own_answers_keep_requests_from_is_refused() {
    for (row, answered) in [
        ("GET /healthz", "/healthz"),
        ("HEAD /readyz", "/readyz"),
        ("GET /readyz", "/readyz"),
        ("GET /{anything}", "/healthz"),
    ] {
        let problem = RouteProblem::AnsweredBefore { this: row.to_owned(), answered };
        assert_eq!(RouteTable::parse(&format!("{row} any")), Err(RouteTableError { line: 1, problem }), "{row}");
    }
    for row in ["POST /healthz any", "GET /healthz/{x} any", "GET /health any", "PUT /{anything} any"] {
        assert!(RouteTable::parse(row).is_ok(), "{row}");
    }
}

fn read_leniently(segment: &str) -> String {
    let mut bytes = segment.as_bytes().to_vec();
    for _ in 0..4 {
        let mut decoded = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let escaped = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
            match escaped.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => {
                    decoded.push(byte);
                    at += 3;
                }
                None => {
                    decoded.push(bytes[at]);
                    at += 1;
                }
            }
        }
        bytes = decoded;
    }
    let mut text = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let continued =
            |offset: usize| bytes.get(at + offset).filter(|byte| **byte & 0xC0 == 0x80).map(|b| u32::from(b & 0x3F));
        let (code, length) = match (bytes[at], continued(1), continued(2)) {
            (first @ 0xC0..=0xDF, Some(second), _) => (u32::from(first & 0x1F) << 6 | second, 2),
            (first @ 0xE0..=0xEF, Some(second), Some(third)) => (u32::from(first & 0xF) << 12 | second << 6 | third, 3),
            (first, ..) => (u32::from(first), 1),
        };
        at += length;
        text.push(match char::from_u32(code).unwrap_or('\u{FFFD}') {
            full_width @ '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(full_width) - 0xFEE0).unwrap(),
            '\u{2044}' | '\u{2215}' => '/',
            '\u{2024}' => '.',
            other => other,
        });
    }
    text
}

/// Generates rows from few words, so that many of them overlap.
fn rows() -> impl Strategy<Value = Vec<(&'static str, Vec<&'static str>)>> {
    let method = prop::sample::select(vec!["GET", "POST"]);
    let segment = prop::sample::select(vec!["a", "b", "c.d", "{x}"]);
    prop::collection::vec((method, prop::collection::vec(segment, 1..4)), 1..8)
}

fn written(rows: &[(&str, Vec<&str>)]) -> String {
    // Each parameter of a row needs a unique name.
    let path = |segments: &[&str]| -> String {
        let named = segments.iter().enumerate();
        named.map(|(index, segment)| format!("/{}", segment.replace("{x}", &format!("{{x{index}}}")))).collect()
    };
    rows.iter().map(|(method, segments)| format!("{method} {} any\n", path(segments))).collect()
}

proptest! {
    #[test]
    fn any_path_at_all_is_judged_without_a_panic(path: String) {
        let _ = RouteTable::default().find("GET", &path);
    }

    #[test]
    fn a_match_means_one_plain_segment(id: String) {
        let found = RouteTable::default().find("PATCH", &format!("/api/v1/customers/{id}"));
        if found.is_ok() {
            prop_assert!(!id.contains(['/', '\\', ';']) && !id.is_empty() && id != "." && id != "..");
        }
    }

    /// Imitates implementations that are lenient in every way at once: they decode repeatedly, accept overlong forms,
    /// treat Latin-1 and full-width characters as what they resemble, and cut at parameters, queries and fragments.
    #[test]
    fn a_lenient_reader_finds_the_same_segments(id in "(%(25)?[0-9a-fA-F]{2}|[a-z.;/]|%[cC]0%[89abAB][0-9a-fA-F]|%[eE][fF]%[bB][cC]%[89abAB][0-9a-fA-F]|%[eE]2%8[0-9]%[89abAB][0-9a-fA-F]|%){0,6}") {
        let path = format!("/api/v1/customers/{id}");
        if is_path_unambiguous(&path) && RouteTable::default().find("PATCH", &path).is_ok() {
            let read = read_leniently(&id);
            prop_assert!(!read.contains(['/', '\\', '?', '#', ';', '%', '\0']), "{id} is read as {read}");
            prop_assert!(!matches!(&*read, "" | "." | ".."), "{id} is read as {read}");
        }
    }

    #[test]
    fn text_in_any_language_is_a_good_segment_once_it_is_escaped(text in "[\\p{Letter}\\p{Decimal_Number} _~-]{1,20}") {
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        // None of these contains a letter that NFKC expands to an abbreviation.
        prop_assert!(is_path_unambiguous(&format!("/api/v1/customers/{escaped}")), "{text} {escaped}");
    }

    #[test]
    fn any_text_at_all_is_read_without_a_panic(text: String) {
        let _ = RouteTable::parse(&text);
    }

    #[test]
    fn no_row_of_a_table_is_out_of_reach_and_none_is_reached_by_two_ways(rows in rows(), sent in "/([ab{]|c[.]d)(/([ab]|c[.]d|%41)){0,3}") {
        let parsed = RouteTable::parse(&written(&rows));
        let alone: Vec<_> = rows.iter().filter_map(|row| RouteTable::parse(&written(std::slice::from_ref(row))).ok()).collect();
        for method in ["GET", "POST"] {
            let matching = alone.iter().filter(|table| table.find(method, &sent).is_ok()).count();
            if let Ok(table) = &parsed {
                prop_assert_eq!(table.find(method, &sent).is_ok(), matching == 1);
            }
            // If two rows match one request, the table is rejected.
            prop_assert!(matching < 2 || parsed.is_err());
        }
        if let Ok(table) = &parsed {
            for (method, segments) in &rows {
                let witness: String = segments.iter().map(|s| format!("/{}", s.replace("{x}", "other"))).collect();
                prop_assert_eq!(table.find(method, &witness), Ok(Access::Any));
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter(rows in rows(), sent in "/[ab](/([ab]|c[.]d)){0,3}") {
        let backwards: Vec<_> = rows.iter().rev().cloned().collect();
        let (table, other) = (RouteTable::parse(&written(&rows)), RouteTable::parse(&written(&backwards)));
        prop_assert_eq!(table.is_ok(), other.is_ok());
        if let (Ok(table), Ok(other)) = (table, other) {
            prop_assert_eq!(table.find("GET", &sent), other.find("GET", &sent));
        }
    }
}
