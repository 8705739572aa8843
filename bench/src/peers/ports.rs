//! Whether ports are free: a registry that cannot listen would be taken for another one that listens there.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::Context;

/// Fails where somebody listens at one of these ports of loopback already.
pub(super) fn are_free(ports: impl IntoIterator<Item = u16>) -> anyhow::Result<()> {
    for port in ports {
        let taken = || format!("port {port} is taken: is another measurement running?");
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(taken)?;
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).with_context(taken)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_at_which_somebody_listens_is_not_free() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(are_free([port]).unwrap_err().to_string().contains(&port.to_string()));
        drop(listener);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(are_free([socket.local_addr().unwrap().port()]).is_err());
    }
}
