use super::*;
use proptest::prelude::*;

fn needs(code: &str) -> Option<Access> {
    Some(Access::Needs(code.parse().unwrap()))
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
    assert_eq!(find("GET", "/api/v1/signature-test"), Some(Access::Any));
    assert_eq!(find("POST", "/api/v1/signature-test"), Some(Access::Any));
}

#[test]
fn what_is_not_listed_is_not_there() {
    let table = RouteTable::default();
    for (method, path) in [
        ("DELETE", "/api/v1/customers"),
        ("get", "/api/v1/customers"),
        ("HEAD", "/api/v1/customers"),
        ("GET", "/api/v1/customers/"),
        ("GET", "/api/v1/Customers"),
        ("GET", "//api/v1/customers"),
        ("GET", "/api/v1/%63ustomers"),
        ("GET", "api/v1/customers"),
        ("GET", "/"),
        ("GET", ""),
        ("GET", "*"),
    ] {
        assert_eq!(table.find(method, path), None, "{method} {path}");
    }
}

#[test]
fn a_parameter_takes_one_segment_that_every_reader_sees_alike() {
    let table = RouteTable::default();
    for id in ["c-1", "0192c1d2-7e1a", "M%C3%BCller", "a%20b", "a+b@c:d", "..."] {
        assert!(table.find("PATCH", &format!("/api/v1/customers/{id}")).is_some(), "{id}");
    }
    for id in [
        "", ".", "..", "%2e", "%2E%2e", ".%2e", "a%2fb", "a%2Fb", "a%5cb", "a\\b", "a%252fb", "a%00", "a%0a", "a%7f",
        "a%", "a%2", "a%zz", "..;", "a;b=c", "a%3bb", "a/b", "/", "a%+5",
    ] {
        assert_eq!(table.find("PATCH", &format!("/api/v1/customers/{id}")), None, "{id}");
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
        assert_eq!(
            read("GET"),
            Err(RouteTableError { line: 3, problem: RouteProblem::Overlap(1) }),
            "{first} {second}"
        );
        assert!(read("PUT").is_ok());
    }
    assert!(RouteTable::parse("GET /a/{x} any\nGET /a/{x}/b any\nGET /b/{x} any # apart\n").is_ok());
}

proptest! {
    #[test]
    fn any_path_at_all_is_judged_without_a_panic(path: String) {
        let _ = RouteTable::default().find("GET", &path);
    }

    #[test]
    fn a_match_means_one_plain_segment(id: String) {
        let found = RouteTable::default().find("PATCH", &format!("/api/v1/customers/{id}"));
        if found.is_some() {
            prop_assert!(!id.contains(['/', '\\', ';']) && !id.is_empty() && id != "." && id != "..");
        }
    }

    #[test]
    fn any_text_at_all_is_read_without_a_panic(text: String) {
        let _ = RouteTable::parse(&text);
    }
}
