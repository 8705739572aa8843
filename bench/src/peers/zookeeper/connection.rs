//! One connection to ZooKeeper with a session.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::local::ANSWER_MAX;

use super::wire::{self, Heard, LENGTH_BYTES, Opened, Request, Ticket};

/// Holds a connection whose session ends with it, where that can still be said.
pub(super) struct Connection {
    stream: TcpStream,
    read: BytesMut,
    said: Vec<u8>,
    /// Of the last request.
    number: i32,
    session: Opened,
    last_said: Instant,
    /// It may be gone on with over another connection, or has ended already.
    outlives: bool,
}

/// Says where a session is to be, and how long it may be silent.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) at: SocketAddr,
    pub(super) from: Ipv4Addr,
    pub(super) timeout_ms: u32,
    /// The session that is to go on; an empty one for a new session.
    pub(super) ticket: Ticket,
}

// === impl Wish ===

impl Wish {
    pub(super) fn new(at: SocketAddr, timeout_ms: u32) -> Self {
        Self { at, from: Ipv4Addr::LOCALHOST, timeout_ms, ticket: Ticket::default() }
    }
}

// === impl Connection ===

impl Connection {
    /// A session that is new.
    pub(super) async fn open(wish: Wish) -> anyhow::Result<Self> {
        let wish = Wish { ticket: Ticket::default(), ..wish };
        Self::resume(wish).await?.context("a session that was over before it began")
    }

    /// The session that the wish has a ticket of; none where it is over.
    pub(super) async fn resume(wish: Wish) -> anyhow::Result<Option<Self>> {
        timeout(ANSWER_MAX, Self::resuming(wish)).await.context("no session in time")?
    }

    async fn resuming(wish: Wish) -> anyhow::Result<Option<Self>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((wish.from, 0).into())?;
        let mut stream = socket.connect(wish.at).await?;
        stream.set_nodelay(true)?;
        let mut said = Vec::new();
        wish.ticket.write(wish.timeout_ms, &mut said)?;
        stream.write_all(&said).await?;
        said.clear();
        let mut read = BytesMut::with_capacity(64 * 1024);
        let answer = frame(&mut stream, &mut read).await?;
        let Some(session) = Opened::read(&answer)? else { return Ok(None) };
        Ok(Some(Self { stream, read, said, number: 0, session, last_said: Instant::now(), outlives: false }))
    }

    /// The same, whose session does not end with it.
    pub(super) fn outlived(mut self) -> Self {
        self.outlives = true;
        self
    }

    /// What goes on with this session over another connection.
    pub(super) fn ticket(&self) -> Ticket {
        self.session.ticket
    }

    /// How often it must say something, if only a ping: a third of what the server bears, as its own clients have it.
    pub(super) fn silence_max(&self) -> Duration {
        Duration::from_millis(self.session.timeout_ms.into()) / 3
    }

    /// Until when it must say something.
    pub(super) fn ping_due(&self) -> Instant {
        self.last_said + self.silence_max()
    }

    /// Puts a request to those that are said next, and tells its number.
    pub(super) fn put(&mut self, request: Request<'_>) -> anyhow::Result<i32> {
        self.number = self.number.checked_add(1).unwrap_or(1);
        request.write(self.number, &mut self.said)?;
        Ok(self.number)
    }

    /// Says all that was put, in one piece; nothing where that is nothing.
    pub(super) async fn say(&mut self) -> anyhow::Result<()> {
        if self.said.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&self.said).await?;
        self.said.clear();
        self.last_said = Instant::now();
        Ok(())
    }

    /// The next frame; nothing is lost where nobody waits for it to the end.
    pub(super) async fn hear(&mut self) -> anyhow::Result<BytesMut> {
        frame(&mut self.stream, &mut self.read).await
    }

    /// The answer to the request of this number, which is the next one that is answered: what it holds, or the error.
    pub(super) async fn reply(&mut self, expected: i32) -> anyhow::Result<Result<BytesMut, i32>> {
        let reply = async {
            loop {
                let mut frame = self.hear().await?;
                let (number, error, bytes) = match Heard::read(&frame)? {
                    Heard::Pong | Heard::Event { .. } => continue,
                    Heard::Reply { number, error, body } => (number, error, body.len()),
                };
                ensure!(number == expected, "an answer to request {number}, and not {expected}");
                return Ok(if error == 0 { Ok(frame.split_off(frame.len() - bytes)) } else { Err(error) });
            }
        };
        timeout(ANSWER_MAX, reply).await.context("no answer in time")?
    }

    /// Asks one thing.
    pub(super) async fn ask(&mut self, request: Request<'_>) -> anyhow::Result<Result<BytesMut, i32>> {
        let number = self.put(request)?;
        self.say().await?;
        self.reply(number).await
    }

    /// Says that it is there, and hears that it is known to be.
    pub(super) async fn ping(&mut self) -> anyhow::Result<()> {
        self.put(Request::Ping)?;
        self.say().await?;
        let pong = async {
            while Heard::read(&self.hear().await?)? != Heard::Pong {}
            anyhow::Ok(())
        };
        timeout(ANSWER_MAX, pong).await.context("no answer to a ping in time")?
    }

    /// Ends the session, with all that lasts as long.
    pub(super) async fn leave(mut self) -> anyhow::Result<()> {
        self.outlives = true;
        match self.ask(Request::Close).await? {
            Ok(_) => Ok(()),
            Err(error) => bail!("the session does not end: error {error}"),
        }
    }
}

impl Drop for Connection {
    /// A thousand sessions that end later by themselves would disturb what is measured then.
    fn drop(&mut self) {
        self.said.clear();
        if !self.outlives && self.put(Request::Close).is_ok() {
            // Who is not there to hear it ends the session anyway.
            let _ = self.stream.try_write(&self.said);
        }
    }
}

/// The next frame, without its length.
async fn frame(stream: &mut TcpStream, read: &mut BytesMut) -> anyhow::Result<BytesMut> {
    loop {
        if let Some(head) = read.first_chunk::<LENGTH_BYTES>() {
            let whole = LENGTH_BYTES + wire::length(*head)?;
            if read.len() >= whole {
                let mut frame = read.split_to(whole);
                return Ok(frame.split_off(LENGTH_BYTES));
            }
        }
        ensure!(stream.read_buf(read).await? > 0, "the connection ended");
    }
}
