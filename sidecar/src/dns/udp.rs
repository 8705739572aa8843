//! Queries as datagrams. What is known is answered before the next one is read.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use rollcall_dns::{Carrier, QUERY_BYTES_MAX, UDP_BYTES_MAX};
use rollcall_net::Shutdown;
use tokio::{
    net::UdpSocket,
    task::{JoinSet, yield_now},
    time::sleep,
};
use tracing::warn;

use super::{Dns, Outcome, Turn, is_local};

/// Queries that are answered in a row before others have their turn: a few hundred microseconds.
const BURST: usize = 64;
/// And no longer than this, where queries are dear: whose records are written anew each time. Lookups over HTTP wait meanwhile.
const BURST_FOR: Duration = Duration::from_millis(1);
/// Queries that wait for somebody else, of one socket: as many as lookups may wait for. The others are told to come back.
const WAITING_MAX: usize = 256;
/// The pause after a socket that failed, which none of ours should: trying at once would spin.
const FAILED_PAUSE: Duration = Duration::from_millis(100);

/// Holds a socket, and those of its queries that wait.
struct Udp {
    socket: Arc<UdpSocket>,
    dns: Arc<Dns>,
    waiting: JoinSet<()>,
    packet: Box<[u8]>,
    reply: Vec<u8>,
}

/// Answers until the process ends; who waits then is not told.
pub(super) async fn serve(socket: UdpSocket, dns: Arc<Dns>, mut shutdown: Shutdown) {
    let mut udp = Udp {
        socket: Arc::new(socket),
        dns,
        waiting: JoinSet::new(),
        // One more than a query may have: what is longer is seen to be.
        packet: vec![0; QUERY_BYTES_MAX + 1].into(),
        reply: Vec::with_capacity(UDP_BYTES_MAX),
    };
    // One for all turns, so that it is asked anew only when it comes.
    let mut end = pin!(shutdown.requested());
    loop {
        tokio::select! {
            biased;
            () = &mut end => return,
            // Reaped as they end, so that the set stays as small as what waits.
            Some(ended) = udp.waiting.join_next() => {
                if let Err(error) = ended {
                    warn!(%error, "a query's task died");
                }
            }
            ready = udp.socket.readable() => match ready.and_then(|()| udp.burst(BURST_FOR)) {
                Ok(true) => yield_now().await,
                Ok(false) => {}
                Err(error) => {
                    warn!(%error, "cannot take queries over UDP");
                    sleep(FAILED_PAUSE).await;
                }
            }
        }
    }
}

// === impl Udp ===

impl Udp {
    /// Takes what is there, up to a burst, which ends with the first query that it took when its time was over; whether there
    /// may be more.
    fn burst(&mut self, time: Duration) -> io::Result<bool> {
        let begin = Instant::now();
        for _ in 0..BURST {
            match self.socket.try_recv_from(&mut self.packet) {
                Ok((length, peer)) => self.take(length, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if begin.elapsed() >= time {
                break;
            }
        }
        Ok(true)
    }

    fn take(&mut self, length: usize, peer: SocketAddr) {
        let packet = match self.packet.get(..length) {
            Some(packet) if length <= QUERY_BYTES_MAX && is_local(peer) => packet,
            _ => return self.dns.counts.count(Outcome::Dropped),
        };
        match self.dns.at_once(packet, Carrier::Udp, &mut self.reply) {
            Turn::Answered => send(&self.socket, &self.reply, peer),
            Turn::Ignored => {}
            Turn::Waits if self.waiting.len() < WAITING_MAX => {
                let (socket, dns, packet) = (self.socket.clone(), self.dns.clone(), packet.to_vec());
                self.waiting.spawn(async move {
                    send(&socket, &dns.in_time(&packet, Carrier::Udp).await, peer);
                });
            }
            Turn::Waits => {
                self.dns.turn_away(packet, Carrier::Udp, &mut self.reply);
                send(&self.socket, &self.reply, peer);
            }
        }
    }
}

/// A datagram that finds no room is lost, as any may be: who asked asks again.
fn send(socket: &UdpSocket, reply: &[u8], peer: SocketAddr) {
    let _ = socket.try_send_to(reply, peer);
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{A, dns, packet},
        *,
    };

    #[tokio::test]
    async fn a_burst_ends_when_there_is_no_more_or_its_time_is_over() {
        let (_writer, dns, _inbox) = dns();
        let [ours, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0"));
        let (ours, other) = (ours.await.unwrap(), other.await.unwrap());
        let at = ours.local_addr().unwrap();
        let mut udp = Udp {
            socket: Arc::new(ours),
            dns: Arc::new(dns),
            waiting: JoinSet::new(),
            packet: vec![0; QUERY_BYTES_MAX + 1].into(),
            reply: Vec::new(),
        };
        let hour = Duration::from_secs(3_600);
        for (time, queries, more, answered) in [
            (Duration::ZERO, 3, true, 1),
            // The two that are left, and one.
            (hour, 1, false, 3),
            (hour, BURST + 1, true, BURST),
        ] {
            for _ in 0..queries {
                other.send_to(&packet("orders.rollcall", A), at).await.unwrap();
            }
            udp.socket.readable().await.unwrap();
            assert_eq!(udp.burst(time).unwrap(), more);
            let mut reply = [0; UDP_BYTES_MAX];
            for _ in 0..answered {
                other.recv_from(&mut reply).await.unwrap();
            }
            assert!(other.try_recv_from(&mut reply).is_err(), "{time:?}");
        }
    }
}
