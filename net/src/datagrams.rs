//! A socket that datagrams come to.

use std::{io, net::SocketAddr};

use socket2::SockRef;
use tokio::net::UdpSocket;

use crate::listener::if_present;

/// Bytes of datagrams that wait in the kernel, as it counts them: a small one takes 768. Whoever sends to a full socket is
/// not told, and asks again after seconds, so that this is for the moments in which a single thread is at something else.
/// The kernel gives less where `net.core.rmem_max` does.
const WAITING_BYTES: usize = 1024 * 1024;

/// Takes datagrams at this address, which nobody else may have; or says that the machine has none of its kind.
pub fn bind_datagrams_if_present(address: SocketAddr) -> io::Result<Option<UdpSocket>> {
    if_present(bind_datagrams(address))
}

fn bind_datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    SockRef::from(&socket).set_recv_buffer_size(WAITING_BYTES)?;
    UdpSocket::from_std(socket)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn many_wait_and_an_address_is_had_once() {
        let socket = bind_datagrams((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let error = bind_datagrams(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        // Of another machine.
        let elsewhere = bind_datagrams_if_present(([192, 0, 2, 1], 0).into()).unwrap();
        assert!(elsewhere.is_none());

        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        for _ in 0..400 {
            sender.send_to(&[0; 40], address).await.unwrap();
        }
        for number in 0..400 {
            assert!(socket.try_recv(&mut [0; 64]).is_ok_and(|length| length == 40), "{number}");
        }
    }
}
