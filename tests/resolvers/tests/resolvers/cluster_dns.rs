//! A cluster's DNS, as far as these tests need one: it knows a few names, and that there are no others.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{net::UdpSocket, task::JoinSet, time::sleep};

/// What it knows; that `orders.rollcall` is none of it is the point.
const NAMES: [(&str, [u8; 4]); 3] = [
    ("payments.shop.svc.cluster.local", [10, 96, 1, 1]),
    ("web.other.svc.cluster.local", [10, 96, 1, 2]),
    ("www.example.com", [192, 0, 2, 80]),
];
/// The network to it and back, and a busy pod at its end. Much, so that who asks two servers at once is answered by the nearer
/// one first, however busy this machine is.
const AWAY: Duration = Duration::from_millis(20);

/// Serves until it is dropped.
pub struct ClusterDns {
    silent: Arc<AtomicBool>,
    _task: JoinSet<()>,
}

impl ClusterDns {
    pub async fn start(address: Ipv4Addr) -> Self {
        let socket = Arc::new(UdpSocket::bind((address, 53)).await.unwrap());
        let (silent, mut task) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        let quiet = silent.clone();
        task.spawn(async move {
            let mut answers = JoinSet::new();
            let mut packet = [0; 2_048];
            loop {
                // An error tells of an answer that nobody waited for.
                let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
                while answers.try_join_next().is_some() {}
                let Some(reply) = reply(&packet[..length]).filter(|_| !quiet.load(Ordering::Relaxed)) else {
                    continue;
                };
                let socket = socket.clone();
                answers.spawn(async move {
                    sleep(AWAY).await;
                    let _ = socket.send_to(&reply, from).await;
                });
            }
        });
        Self { silent, _task: task }
    }

    /// It is there, and says nothing any more; or does again.
    pub fn silence(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }
}

/// An address to who asks for one of a name that is known; else that there is none, or no such name.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name = format!("{name}.{}", String::from_utf8_lossy(query.get(at..at + length)?));
        at += length;
    }
    let kind = query.get(at..at + 2)?;
    let mut reply = query.get(..at + 4)?.to_vec();
    let name = name.trim_start_matches('.').to_ascii_lowercase();
    let known = NAMES.iter().find(|(known, _)| *known == name);
    let code = if known.is_some() || name.is_empty() { 0 } else { 3 };
    (reply[2], reply[3]) = (0x80 | query[2] & 1, 0x80 | code);
    reply[6..12].fill(0);
    if let (Some((_, address)), [0, 1]) = (known, kind) {
        reply[7] = 1;
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        reply.extend(address);
    }
    Some(reply)
}
