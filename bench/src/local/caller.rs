//! One client of an HTTP server.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// An answer that takes longer than this never comes.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Holds one connection to what answers.
pub(crate) struct Caller {
    stream: TcpStream,
    read: Vec<u8>,
}

/// Says where an answer ends.
#[derive(Clone, Copy)]
pub(crate) enum Length {
    /// Its head included.
    Bytes(usize),
    /// With the empty chunk.
    Chunks,
}

// === impl Caller ===

impl Caller {
    pub(crate) async fn connect(at: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(64 * 1024) })
    }

    /// The whole answer to this request, which must be a good one.
    pub(crate) async fn answer(&mut self, request: &str) -> anyhow::Result<&[u8]> {
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
    pub(crate) fn is_whole(length: &mut Option<Self>, read: &[u8]) -> anyhow::Result<bool> {
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
