//! The client's address where a proxy of ours names it.

use http::HeaderMap;
use std::net::IpAddr;

/// The last address in `X-Forwarded-For`: the one that our own proxy wrote. Those before it, in the same header or in an
/// earlier one of the name, are the client's to invent.
pub fn last_address(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let address: IpAddr = last.rsplit(',').next()?.trim().parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_invents_does_not_count() {
        let mut headers = HeaderMap::new();
        assert_eq!(last_address(&headers), None);
        headers.append("x-forwarded-for", "192.0.2.1, 198.51.100.2".parse().unwrap());
        assert_eq!(last_address(&headers), "198.51.100.2".parse().ok());
        headers.append("x-forwarded-for", "203.0.113.3".parse().unwrap());
        assert_eq!(last_address(&headers), "203.0.113.3".parse().ok());
        // An IPv4 address stays one, however it is written.
        headers.append("x-forwarded-for", "::ffff:203.0.113.4".parse().unwrap());
        assert_eq!(last_address(&headers), "203.0.113.4".parse().ok());
    }
}
