//! A local caller's connection: written to for as long as the caller reads, and read with a little leniency.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::SendFlags;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::heads::Heads;

/// A caller that takes nothing of its answer for so long gives its place back: what it is to read is already here.
const STALLED_MAX: Duration = Duration::from_secs(30);

/// A caller that says that it is done, before its answer is there, has so long for it. Who has hung up altogether looks
/// the same, and what he waits for is not to go on for long.
const DONE_MAX: Duration = Duration::from_secs(1);

/// Bytes of an answer, head and all, that are put together before they are given to the kernel: for so few, that is cheaper
/// than to have it gather them.
const WHOLE_MAX: usize = 16 * 1024;

thread_local! {
    /// Where they are put together: all connections of a thread write one after the other.
    static WHOLE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Holds a connection, and since when its peer takes nothing, or says nothing more.
#[derive(Debug)]
pub(crate) struct Patient {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Something was read since anything was written.
    owed: bool,
    done: Option<Pin<Box<Sleep>>>,
    heads: Heads,
}

// === impl Patient ===

impl Patient {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, stalled: None, owed: false, done: None, heads: Heads::default() }
    }

    /// Gives these bytes to the kernel. The C library's own call would make each time a place where the thread can be
    /// cancelled, which costs more than what we do for a lookup.
    fn sent(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            let sent = self.stream.try_io(Interest::WRITABLE, || {
                Ok(rustix::net::send(&self.stream, bytes, SendFlags::NOSIGNAL)?)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn judged(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            self.owed = false;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED_MAX)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.heads.give(buffer) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if !matches!(read, Poll::Ready(Ok(()))) {
            return read;
        }
        if buffer.filled().len() > before {
            self.owed = true;
            self.heads.pass(buffer, before);
            return read;
        }
        if !self.owed {
            return read;
        }
        let done = self.done.get_or_insert_with(|| Box::pin(sleep(DONE_MAX)));
        done.as_mut().poll(context).map(Ok)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.sent(context, bytes);
        self.judged(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        if all > WHOLE_MAX {
            let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
            return self.judged(context, written);
        }
        WHOLE.with_borrow_mut(|whole| {
            whole.clear();
            slices.iter().for_each(|slice| whole.extend_from_slice(slice));
            self.poll_write(context, whole)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        io::AsyncWriteExt,
        net::TcpListener,
        time::{Instant, timeout},
    };

    use super::*;

    #[tokio::test]
    async fn who_reads_nothing_is_given_up_and_who_reads_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut patient = Patient::new(listener.accept().await.unwrap().0);
        let block = vec![0_u8; 1 << 20];
        let fill = async {
            loop {
                if let Err(error) = patient.write_all(&block).await {
                    return error.kind();
                }
            }
        };
        tokio::pin!(fill);
        // The kernel's buffers fill in real time; then only the clock moves.
        assert!(timeout(Duration::from_millis(300), fill.as_mut()).await.is_err());
        tokio::time::pause();
        let begin = Instant::now();
        assert_eq!(fill.await, io::ErrorKind::TimedOut);
        assert!(begin.elapsed() <= STALLED_MAX);

        let mut taken = vec![0; 1 << 16];
        tokio::time::resume();
        while peer.try_read(&mut taken).is_ok_and(|length| length > 0) {}
        patient.stalled = Some(Box::pin(sleep(Duration::ZERO)));
        let written = poll_fn(|context| Pin::new(&mut patient).poll_write(context, b"x"));
        assert!(timeout(Duration::from_secs(5), written).await.is_ok_and(|written| written.is_ok()));
        assert!(patient.stalled.is_none(), "whatever was before");
    }
}
