//! Which addresses are this machine's own.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// Whether this machine has the address: only then a socket can be bound to it. Nothing is sent.
pub(crate) fn is_local(address: IpAddr) -> bool {
    // A socket can be bound to groups too, which nobody has for himself.
    let group = address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !group && UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_machine_has_is_its_own() {
        assert!(is_local([127, 0, 0, 1].into()));
        for foreign in ["198.51.100.7", "2001:db8::7", "255.255.255.255", "224.0.0.1"] {
            assert!(!is_local(foreign.parse().unwrap()), "{foreign}");
        }
    }
}
