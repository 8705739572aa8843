//! Queries over connections: several at a time of each, answered in the order in which the answers are there.

use std::{io, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rollcall_dns::Carrier;
use rollcall_net::{Places, Shutdown};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinSet, yield_now},
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, warn};

use super::{Dns, Turn, is_local, unread::Unread};

/// Connections of one address: a resolver opens one where an answer was too long for a datagram, and closes it again.
const CONNECTIONS_MAX: usize = 64;
/// A connection over which nothing comes gives its place back: who asks again opens another.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// A query comes in one piece; whoever takes longer for it holds a place that others need.
const MESSAGE_MAX: Duration = Duration::from_secs(2);
/// Answers are taken within so long, or whoever asked does not read.
const WRITE_MAX: Duration = Duration::from_secs(2);
/// Queries of one connection that wait for somebody else; the next one is read when one of them is answered.
const WAITING_MAX: usize = 16;
/// Bytes of answers that are written at once. With one answer more, of 64 KiB at most, 64 connections of which nobody reads
/// take 5 MiB.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// Holds one connection.
struct Connection {
    stream: TcpStream,
    dns: Arc<Dns>,
    unread: Unread,
    /// When the last thing came of it, or the first byte of what is not whole yet.
    since: Instant,
    /// Nothing comes any more.
    ended: bool,
    waiting: FuturesUnordered<BoxFuture<'static, Vec<u8>>>,
    reply: Vec<u8>,
    unsent: Vec<u8>,
}

/// Answers until the process ends; who waits then is cut.
pub(super) async fn serve(listener: TcpListener, dns: Arc<Dns>, mut shutdown: Shutdown) {
    let mut places = Places::new(CONNECTIONS_MAX);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            // Reaped as they end, so that the set stays as small as what is open.
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    warn!(%error, "a connection's task died");
                }
            }
            (stream, peer, place) = places.accept(&listener) => if is_local(peer) {
                let connection = Connection::new(stream, dns.clone());
                connections.spawn(async move {
                    if let Err(error) = connection.talk().await {
                        debug!(%error, "a connection for queries was cut");
                    }
                    drop(place);
                });
            }
        }
    }
}

// === impl Connection ===

impl Connection {
    fn new(stream: TcpStream, dns: Arc<Dns>) -> Self {
        // Answers are complete: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            dns,
            unread: Unread::default(),
            since: Instant::now(),
            ended: false,
            waiting: FuturesUnordered::new(),
            reply: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Answers until there is nothing more to answer; an error where its caller does not do his part.
    async fn talk(mut self) -> io::Result<()> {
        loop {
            let more = self.take();
            // Whatever came behind them, what was answered is told.
            if !self.unsent.is_empty() {
                self.send().await?;
                // However much comes, others have their turn.
                yield_now().await;
            }
            if more? {
                continue;
            }
            if self.ended && self.waiting.is_empty() {
                return Ok(());
            }
            let until = self.until();
            let full = self.is_full();
            tokio::select! {
                Some(reply) = self.waiting.next() => {
                    put(&mut self.unsent, &reply);
                    if self.unread.is_empty() {
                        self.since = Instant::now();
                    }
                }
                came = self.stream.read(self.unread.room()), if !full && !self.ended => self.came(came?),
                () = at(until) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Takes the queries that are there; whether there may be more, once what is unsent is sent.
    fn take(&mut self) -> io::Result<bool> {
        while !self.is_full() {
            if self.unsent.len() >= UNSENT_BYTES_MAX {
                return Ok(true);
            }
            let message =
                self.unread.message().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let Some(message) = message else { return Ok(false) };
            self.since = Instant::now();
            match self.dns.at_once(message, Carrier::Tcp, &mut self.reply) {
                Turn::Answered => {
                    put(&mut self.unsent, &self.reply);
                    keep_small(&mut self.reply);
                }
                Turn::Ignored => return Err(io::ErrorKind::InvalidData.into()),
                Turn::Waits => {
                    let (dns, packet) = (self.dns.clone(), message.to_vec());
                    let reply = async move { dns.in_time(&packet, Carrier::Tcp).await };
                    self.waiting.push(reply.boxed());
                }
            }
        }
        Ok(false)
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// When its time is up; never while it is we who are waited for.
    fn until(&self) -> Option<Instant> {
        match (self.unread.is_empty(), self.waiting.len()) {
            _ if self.ended || self.is_full() => None,
            (true, 0) => Some(self.since + IDLE_MAX),
            (true, _) => None,
            (false, _) => Some(self.since + MESSAGE_MAX),
        }
    }

    fn came(&mut self, length: usize) {
        if self.unread.is_empty() {
            self.since = Instant::now();
        }
        self.unread.came(length);
        self.ended = length == 0;
    }

    async fn send(&mut self) -> io::Result<()> {
        timeout(WRITE_MAX, self.stream.write_all(&self.unsent)).await??;
        keep_small(&mut self.unsent);
        self.since = Instant::now();
        Ok(())
    }
}

/// Behind its length, which it has: no answer is longer than that can say.
fn put(unsent: &mut Vec<u8>, reply: &[u8]) {
    if let Ok(length) = u16::try_from(reply.len()) {
        let bytes = reply.len() + size_of_val(&length);
        if unsent.len() + bytes > UNSENT_BYTES_MAX {
            // A long one is the last: no room is made for more.
            unsent.reserve_exact(bytes);
        }
        unsent.extend_from_slice(&length.to_be_bytes());
        unsent.extend_from_slice(reply);
    }
}

/// Few answers are long, and most connections that wait have seen one.
fn keep_small(written: &mut Vec<u8>) {
    written.clear();
    written.shrink_to(UNSENT_BYTES_MAX);
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
