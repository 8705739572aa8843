//! The load: requests over kept connections, as an app's client makes them, at the least cost to the machine.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// An answer that takes longer than this never comes.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Holds what a load came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) answers: u64,
    pub(super) took: Duration,
    delays_us: Vec<u32>,
}

/// Holds one connection to what answers.
pub(super) struct Caller {
    stream: TcpStream,
    read: Vec<u8>,
}

/// Says where an answer ends.
#[derive(Clone, Copy)]
enum Length {
    /// Its head included.
    Bytes(usize),
    /// With the empty chunk.
    Chunks,
}

/// As many requests as so many connections can make, one after the other each.
pub(super) async fn closed(
    at: SocketAddr,
    requests: &[String],
    connections: usize,
    lasts: Duration,
) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..connections {
        let requests = requests.to_vec();
        let mut caller = Caller::connect(at).await?;
        callers.spawn(async move {
            let mut delays_us = Vec::new();
            for request in requests.iter().cycle().skip(number) {
                let asked = Instant::now();
                if asked - begin >= lasts {
                    break;
                }
                caller.answer(request).await?;
                delays_us.push(micros(asked.elapsed()));
            }
            anyhow::Ok(delays_us)
        });
    }
    gathered(callers, begin).await
}

/// So many requests a second, at the times when they are due, whatever became of those before. Each connection has a thread
/// of its own: the kernel wakes those on time, and a runtime's timer only to the millisecond.
pub(super) async fn open(
    at: SocketAddr,
    requests: &[String],
    connections: usize,
    a_second: u32,
    lasts: Duration,
) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let apart = Duration::from_secs(1) / a_second;
    let all = usize::try_from(lasts.as_micros() / apart.as_micros())?;
    let mut callers = JoinSet::new();
    for number in 0..connections {
        let requests = requests.to_vec();
        callers.spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(at)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            let (mut delays_us, mut read) = (Vec::new(), Vec::new());
            for turn in (number..all).step_by(connections) {
                let due = begin + apart * u32::try_from(turn)?;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let request = requests.get(turn % requests.len()).context("no request")?;
                stream.write_all(request.as_bytes())?;
                read.clear();
                let mut length = None;
                while !Length::is_whole(&mut length, &read)? {
                    let mut chunk = [0; 16 * 1024];
                    let some = stream.read(&mut chunk)?;
                    ensure!(some > 0, "the connection ended");
                    read.extend_from_slice(chunk.get(..some).unwrap_or_default());
                }
                ensure!(read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&read));
                delays_us.push(micros(due.elapsed()));
            }
            anyhow::Ok(delays_us)
        });
    }
    gathered(callers, begin).await
}

async fn gathered(mut callers: JoinSet<anyhow::Result<Vec<u32>>>, begin: Instant) -> anyhow::Result<Outcome> {
    let mut delays_us = Vec::new();
    while let Some(delays) = callers.join_next().await {
        delays_us.extend(delays??);
    }
    delays_us.sort_unstable();
    Ok(Outcome { answers: delays_us.len() as u64, took: begin.elapsed(), delays_us })
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn a_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    /// The delay, in microseconds, that this share of the requests did not exceed.
    pub(super) fn delay_us(&self, share: f64) -> f64 {
        let place = (self.delays_us.len() as f64 * share) as usize;
        self.delays_us.get(place).or(self.delays_us.last()).copied().map_or(0.0, f64::from)
    }
}

// === impl Caller ===

impl Caller {
    pub(super) async fn connect(at: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(64 * 1024) })
    }

    /// The whole answer to this request, which must be a good one.
    pub(super) async fn answer(&mut self, request: &str) -> anyhow::Result<&[u8]> {
        self.read.clear();
        self.stream.write_all(request.as_bytes()).await?;
        timeout(ANSWER_MAX, self.hear()).await.context("no answer in time")??;
        ensure!(self.read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.read));
        Ok(&self.read)
    }

    async fn hear(&mut self) -> anyhow::Result<()> {
        let mut length = None;
        while !Length::is_whole(&mut length, &self.read)? {
            ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the connection ended");
        }
        Ok(())
    }
}

// === impl Length ===

impl Length {
    /// Whether what was read is all of it; `length` is what is known of that.
    fn is_whole(length: &mut Option<Self>, read: &[u8]) -> anyhow::Result<bool> {
        if length.is_none() {
            *length = Self::of(read)?;
        }
        Ok(match length {
            None => false,
            Some(Self::Bytes(bytes)) => read.len() >= *bytes,
            Some(Self::Chunks) => read.ends_with(b"\r\n0\r\n\r\n"),
        })
    }

    /// Of the answer that begins so; none while its head is not complete.
    fn of(read: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(head) = read.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(read.get(..head).unwrap_or_default())?.to_ascii_lowercase();
        if text.lines().any(|line| line == "transfer-encoding: chunked") {
            return Ok(Some(Self::Chunks));
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("an answer without a length")?.trim().parse()?;
        Ok(Some(Self::Bytes(head + 4 + length)))
    }
}
