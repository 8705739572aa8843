//! A network in memory, which can be cut between any two: it then says nothing, or says no.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use futures::{FutureExt, future::BoxFuture};
use rollcall_net::{Accept, Accepted, Network, Stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split},
    sync::{mpsc, watch},
};

/// Bytes that are under way in each direction, as in a socket's buffers.
const SOCKET_BYTES: usize = 64 * 1024;

/// Says what becomes of bytes between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// Nothing arrives, and nobody is told.
    Silent,
    /// Connections are reset, and refused.
    Closed,
}

#[derive(Debug, Clone)]
pub(super) struct Ether(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    listeners: HashMap<SocketAddr, mpsc::UnboundedSender<Taken>>,
    /// Those between whom something is wrong.
    ways: HashMap<BTreeSet<IpAddr>, Way>,
    turned: watch::Sender<()>,
}

type Taken = (DuplexStream, SocketAddr);

/// One machine in it.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    ether: Ether,
    address: IpAddr,
}

pub(super) struct Listener {
    address: SocketAddr,
    taken: tokio::sync::Mutex<mpsc::UnboundedReceiver<Taken>>,
}

// === impl Ether ===

impl Ether {
    pub(super) fn new() -> Self {
        let turned = watch::Sender::new(());
        Self(Arc::new(Mutex::new(Inner { listeners: HashMap::new(), ways: HashMap::new(), turned })))
    }

    pub(super) fn machine(&self, address: IpAddr) -> Machine {
        Machine { ether: self.clone(), address }
    }

    pub(super) fn turn(&self, one: IpAddr, other: IpAddr, way: Way) {
        let mut inner = self.0.lock().unwrap();
        inner.ways.insert([one, other].into(), way);
        inner.turned.send_replace(());
    }

    /// Nobody listens there any more.
    pub(super) fn kill(&self, address: SocketAddr) {
        self.0.lock().unwrap().listeners.remove(&address);
    }

    fn way(&self, one: IpAddr, other: IpAddr) -> Way {
        *self.0.lock().unwrap().ways.get(&[one, other].into()).unwrap_or(&Way::Open)
    }

    fn turns(&self) -> watch::Receiver<()> {
        self.0.lock().unwrap().turned.subscribe()
    }

    /// Returns when the way between these is none that carries anything; what is wrong then.
    async fn turned(&self, one: IpAddr, other: IpAddr, turns: &mut watch::Receiver<()>, from: Way) -> Way {
        loop {
            let way = self.way(one, other);
            if way != from {
                return way;
            }
            let _ = turns.changed().await;
        }
    }

    /// Carries bytes one way until one of both ends has had enough.
    async fn carry(
        self,
        (one, other): (IpAddr, IpAddr),
        mut from: ReadHalf<DuplexStream>,
        mut to: WriteHalf<DuplexStream>,
    ) {
        let (mut bytes, mut turns) = (vec![0; 16 * 1024], self.turns());
        loop {
            match self.way(one, other) {
                Way::Closed => return,
                Way::Silent => {
                    self.turned(one, other, &mut turns, Way::Silent).await;
                    // What was under way is lost for good, and with it the connection.
                    return;
                }
                Way::Open => {}
            }
            tokio::select! {
                read = from.read(&mut bytes) => match read {
                    Ok(read) if read > 0 && self.way(one, other) == Way::Open => {
                        if to.write_all(&bytes[..read]).await.is_err() {
                            return;
                        }
                    }
                    Ok(read) if read > 0 => {}
                    _ => return,
                },
                _ = self.turned(one, other, &mut turns, Way::Open) => {}
            }
        }
    }
}

// === impl Machine ===

impl Machine {
    pub(super) fn listen(&self, port: u16) -> Listener {
        let address = SocketAddr::new(self.address, port);
        let (listener, taken) = mpsc::unbounded_channel();
        self.ether.0.lock().unwrap().listeners.insert(address, listener);
        Listener { address, taken: tokio::sync::Mutex::new(taken) }
    }
}

impl Network for Machine {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async move {
            let pair = (self.address, address.ip());
            match self.ether.way(pair.0, pair.1) {
                Way::Open => {}
                Way::Silent => std::future::pending().await,
                Way::Closed => return Err(io::ErrorKind::ConnectionRefused.into()),
            }
            let listener = self.ether.0.lock().unwrap().listeners.get(&address).cloned();
            let ((ours, near), (far, theirs)) = (duplex(SOCKET_BYTES), duplex(SOCKET_BYTES));
            let sent =
                listener.map(|listener| listener.send((theirs, SocketAddr::new(self.address, 40_000))));
            let Some(Ok(())) = sent else { return Err(io::ErrorKind::ConnectionRefused.into()) };
            let ((near_read, near_write), (far_read, far_write)) = (split(near), split(far));
            let ether = self.ether.clone();
            let forth = tokio::spawn(ether.clone().carry(pair, near_read, far_write));
            let back = tokio::spawn(ether.carry(pair, far_read, near_write));
            // Either end's end is the end of both.
            tokio::spawn(async move {
                let (forth_end, back_end) = (forth.abort_handle(), back.abort_handle());
                futures::future::select(forth, back).await;
                forth_end.abort();
                back_end.abort();
            });
            Ok(Box::new(ours) as Box<dyn Stream>)
        }
        .boxed()
    }
}

// === impl Listener ===

impl Accept for Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self.taken.lock().await.recv().await {
            Some((stream, peer)) => {
                Ok(Accepted { stream: Box::new(stream), peer, local: Some(self.address) })
            }
            None => std::future::pending().await,
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
