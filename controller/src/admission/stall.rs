//! A connection whose peer must take what it is sent.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A peer that takes nothing of an answer for so long is gone: an API server that asks waits 2 s for it.
pub(super) const STALLED_MAX: Duration = Duration::from_secs(10);

/// Holds a connection, and since when its peer takes nothing.
#[derive(Debug)]
pub(super) struct Stall<IO> {
    io: IO,
    stalled: Option<Pin<Box<Sleep>>>,
}

// === impl Stall ===

impl<IO> Stall<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self { io, stalled: None }
    }

    fn judged<T>(&mut self, context: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED_MAX)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Stall<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Stall<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write(context, bytes);
        self.judged(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.judged(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        self.judged(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.io).poll_shutdown(context);
        self.judged(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::Instant,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_and_who_takes_his_time_is_not() {
        let (ours, mut theirs) = duplex(16);
        let mut slow = Stall::new(ours);
        let begin = Instant::now();
        let told = slow.write_all(&[7; 64]);
        let taken = async {
            for _ in 0..4 {
                sleep(STALLED_MAX * 2 / 3).await;
                theirs.read_exact(&mut [0; 16]).await.unwrap();
            }
        };
        tokio::join!(async { told.await.unwrap() }, taken);
        assert!(begin.elapsed() > 2 * STALLED_MAX);

        let begin = Instant::now();
        assert_eq!(slow.write_all(&[7; 64]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), STALLED_MAX.as_secs());
    }
}
