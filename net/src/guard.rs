//! The rule of the local listener: what a browser can be tricked into sending is refused.
//!
//! Loopback alone is no fence: a page in a browser on the same machine can send requests to it, under a foreign name
//! that resolves to 127.0.0.1 (DNS rebinding, so `Host` is checked) or straight from its script (so any `Origin`
//! is refused).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{HOST, ORIGIN},
    uri::Authority,
};

/// Says which of the two gave the request away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    Host,
    Origin,
}

/// What a browser says of who began a request; where a page may read nothing, it sends no `Origin`, but this.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that no local program would send.
pub fn check_local(uri: &Uri, headers: &HeaderMap) -> Result<(), Forbidden> {
    let of_a_page = |site: &HeaderValue| *site != "none" && *site != "same-origin";
    if headers.contains_key(ORIGIN) || headers.get_all(FETCH_SITE).iter().any(of_a_page) {
        return Err(Forbidden::Origin);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    // Two of them would let two readers believe different ones; an absolute URI speaks over the header.
    let named_once = hosts.next().is_none();
    let target_is_local = uri.authority().is_none_or(is_loopback);
    let is_local = |host| is_plain(host) || Authority::try_from(host).is_ok_and(|host| is_loopback(&host));
    match host {
        Some(host) if named_once && target_is_local && is_local(host) => Ok(()),
        _ => Err(Forbidden::Host),
    }
}

/// Whether it is as nearly every caller writes it, which is seen without reading it as a whole.
fn is_plain(host: &[u8]) -> bool {
    let names: [&[u8]; 3] = [b"127.0.0.1", b"localhost", b"[::1]"];
    names.iter().filter_map(|name| host.strip_prefix(*name)).any(|port| match port {
        [] => true,
        [b':', digits @ ..] => (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    })
}

/// The address of a local listener, as a flag gives it. Nobody is asked for credentials there, so that only the pod
/// itself may reach it.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "no address with a port; use one as 127.0.0.1:7300".to_owned())?;
    if !address.ip().is_loopback() {
        return Err(
            "not a loopback address, and nobody is asked for credentials; use 127.0.0.1 or [::1]".to_owned()
        );
    }
    Ok(address)
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    // What follows the name is a port, or nothing.
    let port = authority.as_str().strip_prefix(host);
    port.is_some_and(|port| matches!(port, "" | ":") || authority.port_u16().is_some())
        && (host.eq_ignore_ascii_case("localhost")
            || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
            || literal.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, pairs: &[(http::HeaderName, &str)]) -> Result<(), Forbidden> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        check_local(&uri.parse().unwrap(), &headers)
    }

    #[test]
    fn local_listeners_stay_on_loopback() {
        for good in ["127.0.0.1:7300", "127.8.9.1:0", "[::1]:7300"] {
            assert!(loopback(good).is_ok(), "{good}");
        }
        for bad in ["0.0.0.0:7300", "[::]:7300", "10.1.2.3:7300", "[::ffff:127.0.0.1]:7300"] {
            assert!(loopback(bad).unwrap_err().contains("use 127.0.0.1 or [::1]"), "{bad}");
        }
        for bad in ["", "localhost:7300", "127.0.0.1", "7300"] {
            assert!(loopback(bad).unwrap_err().contains("use one as 127.0.0.1:7300"), "{bad}");
        }
    }

    #[test]
    fn local_names_pass() {
        for host in
            ["localhost", "LOCALHOST:7300", "127.0.0.1", "127.0.0.1:7300", "127.8.9.1", "[::1]", "[::1]:7300"]
        {
            assert_eq!(check("/", &[(HOST, host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn what_a_page_begins_is_refused() {
        for (site, passes) in
            [("none", true), ("same-origin", true), ("cross-site", false), ("same-site", false), ("", false)]
        {
            let checked = check("/", &[(HOST, "localhost"), (FETCH_SITE, site)]);
            assert_eq!(checked.is_ok(), passes, "{site}");
        }
        let both = check("/", &[(HOST, "localhost"), (FETCH_SITE, "none"), (FETCH_SITE, "cross-site")]);
        assert_eq!(both, Err(Forbidden::Origin));
    }

    #[test]
    fn everything_else_is_refused() {
        let hosts = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "user@localhost",
            "127.1",
            "localhost, evil.example",
            "localhost:80x",
            "127.0.0.1:80:80",
            "127.0.0.1x",
            "[::1]x",
        ];
        for host in hosts {
            assert_eq!(check("/", &[(HOST, host)]), Err(Forbidden::Host), "{host}");
        }
        assert_eq!(check("/", &[]), Err(Forbidden::Host));
        assert_eq!(check("/", &[(HOST, "localhost"), (HOST, "evil.example")]), Err(Forbidden::Host));
        assert_eq!(check("http://evil.example/", &[(HOST, "localhost")]), Err(Forbidden::Host));
        for origin in ["null", "http://localhost:7300", ""] {
            assert_eq!(
                check("/", &[(HOST, "localhost"), (ORIGIN, origin)]),
                Err(Forbidden::Origin),
                "{origin}"
            );
        }
    }
}
