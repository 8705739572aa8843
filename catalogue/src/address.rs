//! Which addresses may be handed out for things outside the cluster.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What keeps an address from being handed out: callers that follow it would reach themselves, their node, or
/// nobody. The words end the sentence "`address` is …".
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => v6(address),
    }
}

fn v4(address: Ipv4Addr) -> Option<&'static str> {
    // 0.0.0.0/8 is "this network": Linux takes it for the machine itself.
    if address.octets().first() == Some(&0) {
        Some("unspecified")
    } else if address.is_loopback() {
        Some("loopback")
    } else if address.is_link_local() {
        Some("link-local, where clouds keep their credentials")
    } else if address.is_multicast() {
        Some("multicast")
    } else if address.is_broadcast() {
        Some("broadcast")
    } else {
        None
    }
}

fn v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("unspecified")
    } else if address.is_loopback() {
        Some("loopback")
    } else if address.is_unicast_link_local() {
        Some("link-local")
    } else if address.is_multicast() {
        Some("multicast")
    } else if matches!(address.segments(), [0, 0, 0, 0, 0, 0 | 0xffff, ..]) {
        // Also the older IPv4-compatible form: both would smuggle any address of the above past a reader.
        Some("IPv4 in the form of IPv6")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_lead_nowhere_or_home_are_refused() {
        let refused = [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.0.9", "loopback"),
            ("169.254.169.254", "link-local"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("ff02::1", "multicast"),
            ("::ffff:10.0.0.5", "IPv4"),
            ("::ffff:127.0.0.1", "IPv4"),
            ("::127.0.0.1", "IPv4"),
        ];
        for (address, problem) in refused {
            assert!(
                refusal(address.parse().unwrap()).is_some_and(|said| said.starts_with(problem)),
                "{address}"
            );
        }
        for address in
            ["10.0.0.5", "192.168.1.1", "8.8.8.8", "100.64.0.1", "fd00::1", "2001:db8::5", "1.0.0.0"]
        {
            assert_eq!(refusal(address.parse().unwrap()), None, "{address}");
        }
    }
}
