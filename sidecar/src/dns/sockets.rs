//! Where queries come in: an address, over UDP and over TCP.

use std::{io, net::SocketAddr, sync::Arc};

use rollcall_net::{Shutdown, bind_datagrams_if_present, bind_if_present};
use thiserror::Error;
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

use super::{Dns, tcp, udp};

/// Holds the open ports of one address.
#[derive(Debug)]
pub(crate) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

/// Says why nobody can be answered at an address, and what helps.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    #[error(
        "--dns-listen {address}: this process may not have a port as low as {}; let the pod have it by its sysctl \
         net.ipv4.ip_unprivileged_port_start={} (the annotation `rollcall.dev/dns: resolver` asks for that), or use a port from \
         1024 on",
        address.port(),
        address.port()
    )]
    NotAllowed { address: SocketAddr },
    #[error("--dns-listen {address}: cannot listen over {carrier}")]
    Failed { address: SocketAddr, carrier: &'static str, source: io::Error },
}

// === impl Sockets ===

impl Sockets {
    /// Opens both ports of this address; none where the machine has no address of its kind.
    pub(crate) fn bind(address: SocketAddr) -> Result<Option<Self>, ListenError> {
        let failed = |carrier| move |source| ListenError::of(address, carrier, source);
        let udp = bind_datagrams_if_present(address).map_err(failed("UDP"))?;
        let tcp = bind_if_present(address).map_err(failed("TCP"))?;
        Ok(udp.zip(tcp).map(|(udp, tcp)| Self { udp, tcp }))
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Answers at both, each as a part of its own.
    pub(crate) fn serve(self, dns: &Arc<Dns>, shutdown: &Shutdown, parts: &mut JoinSet<()>) {
        parts.spawn(udp::serve(self.udp, dns.clone(), shutdown.clone()));
        parts.spawn(tcp::serve(self.tcp, dns.clone(), shutdown.clone()));
    }
}

// === impl ListenError ===

impl ListenError {
    fn of(address: SocketAddr, carrier: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotAllowed { address },
            _ => Self::Failed { address, carrier, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_cannot_be_had_says_what_helps() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = Sockets::bind(address).unwrap_err().to_string();
        assert_eq!(error, format!("--dns-listen {address}: cannot listen over TCP"));
        let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = Sockets::bind(address).unwrap_err();
        assert!(matches!(error, ListenError::Failed { carrier: "UDP", .. }), "{error}");
        assert!(Sockets::bind(([192, 0, 2, 1], 0).into()).unwrap().is_none(), "of another machine");

        let low: SocketAddr = ([127, 0, 0, 1], 53).into();
        let error = ListenError::of(low, "UDP", io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(error.contains("net.ipv4.ip_unprivileged_port_start=53"), "{error}");
    }
}
