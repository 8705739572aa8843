//! The way from the sidecar to the controller of the same process: memory instead of a network.

use std::{io, net::SocketAddr};

use futures::future::{BoxFuture, FutureExt, pending};
use rollcall_net::{Accept, Accepted, Network, Stream};
use tokio::{
    io::{DuplexStream, duplex},
    sync::{Mutex, mpsc},
};

/// Bytes under way in one direction: as many as a socket of the kernel holds before its sender waits.
const BYTES_MAX: usize = 64 * 1024;
/// Connections that wait to be taken: a sidecar has one for each of the machine's addresses, and no more of those than this.
const WAITING_MAX: usize = 16;

/// Makes connections to the door, whatever address is dialled.
#[derive(Debug, Clone)]
pub(super) struct Way(mpsc::Sender<DuplexStream>);

/// Takes them.
#[derive(Debug)]
pub(super) struct Door(Mutex<mpsc::Receiver<DuplexStream>>);

pub(super) fn link() -> (Way, Door) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Way(sender), Door(Mutex::new(receiver)))
}

// === impl Way ===

impl Network for Way {
    fn dial(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async {
            let (ours, theirs) = duplex(BYTES_MAX);
            self.0.send(theirs).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(ours) as Box<dyn Stream>)
        }
        .boxed()
    }
}

// === impl Door ===

impl Accept for Door {
    async fn accept(&self) -> io::Result<Accepted> {
        let taken = self.0.lock().await.recv().await;
        // Nobody can come any more: the process is about to end.
        let Some(stream) = taken else { return pending().await };
        Ok(Accepted { stream: Box::new(stream), peer: self.local_address()?, local: None })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], 0).into())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_dialled_is_taken_and_what_is_closed_refuses() {
        let (way, door) = link();
        let mut ours = way.dial(([192, 0, 2, 1], 7310).into()).await.unwrap();
        let mut theirs = door.accept().await.unwrap().stream;
        ours.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        theirs.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        drop(door);
        let error = way.dial(([192, 0, 2, 1], 7310).into()).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
