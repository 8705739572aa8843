//! The floor: what UDP itself costs. A bare server, of one thread as the sidecar is, that answers every query with the same
//! bytes.

use std::{fs, net::Ipv4Addr, path::Path};

use tokio::{net::UdpSocket, runtime::Builder};

/// Answers on this port of loopback with the reply that the file has, under the id of each query.
pub(crate) fn serve(port: u16, reply: &Path) -> anyhow::Result<()> {
    let mut reply = fs::read(reply)?;
    let mut query = [0; 512];
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (_, from) = socket.recv_from(&mut query).await?;
            for (to, of_query) in reply.iter_mut().zip(&query).take(2) {
                *to = *of_query;
            }
            socket.send_to(&reply, from).await?;
        }
    })
}
