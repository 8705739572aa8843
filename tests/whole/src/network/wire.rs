//! One end of a connection, as a process has it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Net, connection::Side};

/// Holds one end; dropping it closes the connection, as a process that ends does.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) net: Net,
    pub(super) connection: u64,
    pub(super) side: Side,
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.net.state();
        let state = &mut *state;
        let Some(connection) = state.connections.get_mut(&self.connection) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let end = connection.end_mut(self.side);
        if end.was_reset || end.gone {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if end.inbox.is_empty() {
            if end.ended {
                return Poll::Ready(Ok(()));
            }
            end.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let length = end.inbox.len().min(buffer.remaining());
        buffer.put_slice(&end.inbox[..length]);
        end.inbox.advance(length);
        // Who waits for room is told by the next that the machine sends: at once, for want of a reason to be late.
        let other = connection.end_mut(self.side.other());
        let (address, waker) = (other.address.ip(), other.writer.take());
        if let Some(waker) = waker {
            state.touched.insert(address);
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.net.state();
        let Some(connection) = state.connections.get_mut(&self.connection) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let room = connection.room(self.side).min(bytes.len());
        let end = connection.end_mut(self.side);
        if end.was_reset || end.gone || end.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if room == 0 && !bytes.is_empty() {
            end.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        state.send(self.connection, self.side, Some(Bytes::copy_from_slice(&bytes[..room])));
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.net.state();
        let is_open = state.connections.get(&self.connection).is_some_and(|connection| {
            let end = connection.end(self.side);
            !end.shut && !end.gone && !end.was_reset
        });
        if is_open {
            state.send(self.connection, self.side, None);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut state = self.net.state();
        let Some(connection) = state.connections.get_mut(&self.connection) else { return };
        let end = connection.end_mut(self.side);
        if end.gone {
            return;
        }
        end.gone = true;
        end.inbox.clear();
        let says_so = !end.shut && !end.was_reset;
        if says_so {
            state.send(self.connection, self.side, None);
        }
        state.sweep();
    }
}
