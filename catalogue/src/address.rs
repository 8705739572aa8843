//! Which addresses may be handed out for things outside the cluster.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// AWS's instance metadata over IPv6: a unique local address, where that of IPv4 is link-local.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Says from where addresses are called, which decides what they lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// From pods and other machines, each of which has a loopback of its own.
    #[default]
    Cluster,
    /// From this machine alone: its loopback is the same for everybody.
    Machine,
}

/// Says why an address is not handed out, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) problem: &'static str,
    pub(crate) remedy: &'static str,
}

/// What keeps an address from being handed out: callers that follow it would reach themselves, their node, or
/// nobody. The words end the sentence "`address` is …".
pub fn refusal(address: IpAddr, reach: Reach) -> Option<&'static str> {
    judged(address, reach).map(|refusal| refusal.problem)
}

/// The same, with its remedy.
pub(crate) fn judged(address: IpAddr, reach: Reach) -> Option<Refusal> {
    if reach == Reach::Machine && address.is_loopback() {
        return None;
    }
    let problem = match address {
        IpAddr::V4(address) => v4(address)?,
        IpAddr::V6(address) if is_ipv4_in_disguise(address) => {
            return Some(Refusal {
                problem: "IPv4 in the form of IPv6",
                remedy: "write it as IPv4, if other machines can reach it",
            });
        }
        IpAddr::V6(address) => v6(address)?,
    };
    Some(Refusal { problem, remedy: "use an address that other machines can reach" })
}

fn v4(address: Ipv4Addr) -> Option<&'static str> {
    let first = address.octets()[0];
    // 0.0.0.0/8 is "this network": Linux takes it for the machine itself.
    if first == 0 {
        Some("unspecified")
    } else if address.is_loopback() {
        Some("loopback")
    } else if address.is_link_local() {
        Some("link-local, where clouds keep their credentials")
    } else if first >= 224 {
        // 240.0.0.0/4 has waited for a use since 1989; most systems and routers drop it, and the last is broadcast.
        Some("multicast, broadcast or reserved")
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
        Some("link-local, where clouds keep their credentials")
    } else if address.is_multicast() {
        Some("multicast, broadcast or reserved")
    } else if address == METADATA {
        Some("where a cloud keeps its credentials")
    } else {
        translated(address).and_then(v4)
    }
}

/// IPv4-mapped, and the older IPv4-compatible form: the system connects to the IPv4 within, or to nothing. `::` and
/// `::1` are of that form too, but have words of their own.
fn is_ipv4_in_disguise(address: Ipv6Addr) -> bool {
    let of_the_form = matches!(address.segments(), [0, 0, 0, 0, 0, 0 | 0xffff, ..]);
    of_the_form && !address.is_unspecified() && !address.is_loopback()
}

/// The IPv4 to which a translator on the way would lead: NAT64's own prefix, 6to4, and IPv4-translated. They are of
/// use, as long as that IPv4 is. Not looked into: NAT64 under a network's own prefix, whose layout only that network
/// knows, and Teredo, which names no machine but a hole in somebody's NAT.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
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
            ("240.0.0.1", "multicast, broadcast or reserved"),
            ("255.255.255.255", "multicast, broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("ff02::1", "multicast"),
            ("fd00:ec2::254", "where a cloud keeps its credentials"),
            ("fd00:0ec2:0:0::0254", "where a cloud keeps its credentials"),
            ("::2", "IPv4"),
            ("::ffff:10.0.0.5", "IPv4"),
            ("::ffff:127.0.0.1", "IPv4"),
            ("::127.0.0.1", "IPv4"),
            ("64:ff9b::127.0.0.1", "loopback"),
            ("64:ff9b::169.254.169.254", "link-local"),
            ("64:ff9b::0.0.0.0", "unspecified"),
            ("64:ff9b::ffff:ffff", "multicast, broadcast"),
            ("2002:7f00:1::", "loopback"),
            ("2002:a9fe:a9fe:1::5", "link-local"),
            ("2002::5", "unspecified"),
            ("2002:e000:1::", "multicast"),
            ("::ffff:0:127.0.0.1", "loopback"),
            ("::ffff:0:240.0.0.1", "multicast"),
        ];
        for (address, problem) in refused {
            assert!(
                refusal(address.parse().unwrap(), Reach::Cluster)
                    .is_some_and(|said| said.starts_with(problem)),
                "{address}"
            );
        }
        let reachable = [
            "10.0.0.5",
            "192.168.1.1",
            "8.8.8.8",
            "100.64.0.1",
            "1.0.0.0",
            "223.255.255.255",
            "fd00::1",
            "fd00:ec2::1:254",
            "fd00:ec2:1::254",
            "2001:db8::5",
            "64:ff9b::10.0.0.5",
            "64:ff9b::1:127.0.0.1",
            "64:ff9b:1::127.0.0.1",
            "2002:a00:5::",
            "2003:7f00:1::",
            "::ffff:0:10.0.0.5",
        ];
        for address in reachable {
            assert_eq!(refusal(address.parse().unwrap(), Reach::Cluster), None, "{address}");
        }
    }

    #[test]
    fn on_one_machine_its_loopback_is_everybodys_and_no_detour_to_it_is() {
        for address in ["127.0.0.1", "127.0.0.2", "::1", "10.0.0.5"] {
            assert_eq!(refusal(address.parse().unwrap(), Reach::Machine), None, "{address}");
        }
        for address in ["::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "169.254.169.254", "0.0.0.0", "::"] {
            assert!(refusal(address.parse().unwrap(), Reach::Machine).is_some(), "{address}");
        }
    }

    #[test]
    fn the_remedy_is_one_that_helps() {
        let remedy = |address: &str| judged(address.parse().unwrap(), Reach::Cluster).unwrap().remedy;
        assert!(remedy("::10.0.0.5").starts_with("write it as IPv4"));
        for address in ["127.0.0.1", "::1", "64:ff9b::7f00:1"] {
            assert!(remedy(address).starts_with("use an address"), "{address}");
        }
    }
}
