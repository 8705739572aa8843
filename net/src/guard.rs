//! The rule of the local listener: what a browser can be tricked into sending is refused.
//!
//! Loopback alone is no fence: a page in a browser on the same machine can send requests to it, under a foreign name
//! that resolves to 127.0.0.1 (DNS rebinding, so `Host` is checked) or straight from its script (so any `Origin`
//! is refused).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{
    HeaderMap, Uri,
    header::{HOST, ORIGIN},
    uri::Authority,
};

/// Says which of the two gave the request away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    Host,
    Origin,
}

/// Refuses a request that no local program would send.
pub fn check_local(uri: &Uri, headers: &HeaderMap) -> Result<(), Forbidden> {
    if headers.contains_key(ORIGIN) {
        return Err(Forbidden::Origin);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    // Two of them would let two readers believe different ones; an absolute URI speaks over the header.
    let named_once = hosts.next().is_none();
    let target_is_local = uri.authority().is_none_or(is_loopback);
    match host.and_then(|host| host.parse().ok()) {
        Some(host) if named_once && target_is_local && is_loopback(&host) => Ok(()),
        _ => Err(Forbidden::Host),
    }
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
    !authority.as_str().contains('@')
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
