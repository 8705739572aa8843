//! A session that many share: what they ask of it goes out at once, and is answered in turn.

use std::collections::VecDeque;

use anyhow::{Context, anyhow, ensure};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use crate::local::ANSWER_MAX;

use super::{
    connection::Connection,
    wire::{Heard, Lasts, Request},
};

/// More than anybody registers at the same time.
const WAITING_MAX: usize = 1_024;

/// Is the way to a session, which ends with it.
pub(super) struct Session {
    wishes: mpsc::Sender<Wish>,
}

/// Says what is to be done to a node.
#[derive(Debug)]
pub(super) enum Change {
    Create { path: String, data: Vec<u8>, lasts: Lasts },
    Delete { path: String },
}

/// Holds a change, and who waits for what becomes of it.
struct Wish {
    change: Change,
    done: oneshot::Sender<Result<(), i32>>,
}

// === impl Session ===

impl Session {
    pub(super) fn of(connection: Connection) -> Self {
        let (wishes, wished) = mpsc::channel(WAITING_MAX);
        // Why it ended is of interest to nobody who does not ask it for something; they are told that it did.
        tokio::spawn(async move { converse(connection, wished).await });
        Self { wishes }
    }

    /// Makes the change: its error is the server's.
    pub(super) async fn make(&self, change: Change) -> anyhow::Result<Result<(), i32>> {
        let (done, told) = oneshot::channel();
        let gone = || anyhow!("the session ended");
        self.wishes.send(Wish { change, done }).await.map_err(|_| gone())?;
        timeout(ANSWER_MAX, told).await.context("no answer in time")?.map_err(|_| gone())
    }
}

async fn converse(mut connection: Connection, mut wished: mpsc::Receiver<Wish>) -> anyhow::Result<()> {
    let mut waiting = VecDeque::new();
    loop {
        let ping_at = Instant::from_std(connection.ping_due());
        tokio::select! {
            wish = wished.recv() => {
                let Some(wish) = wish else { return Ok(()) };
                let number = connection.put(wish.change.request())?;
                connection.say().await?;
                waiting.push_back((number, wish.done));
            }
            frame = connection.hear() => {
                let frame = frame?;
                let Heard::Reply { number, error, .. } = Heard::read(&frame)? else { continue };
                let (expected, done) = waiting.pop_front().context("an answer that nobody waits for")?;
                ensure!(number == expected, "an answer to request {number}, and not {expected}");
                // Who waits no more has been told so by the time.
                let _ = done.send(if error == 0 { Ok(()) } else { Err(error) });
            }
            () = sleep_until(ping_at) => {
                connection.put(Request::Ping)?;
                connection.say().await?;
            }
        }
    }
}

// === impl Change ===

impl Change {
    fn request(&self) -> Request<'_> {
        match self {
            Self::Create { path, data, lasts } => Request::Create { path, data, lasts: *lasts },
            Self::Delete { path } => Request::Delete(path),
        }
    }
}
