//! How processes reach each other: through the kernel, or in a test through something that can be cut.

use std::{fmt, io, net::SocketAddr};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// A connection's bytes, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Makes connections.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// A connection to this address; who waits for it sets the limit.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;
}

/// Takes connections.
pub trait Accept: Send + Sync + 'static {
    fn accept(&self) -> impl Future<Output = io::Result<Accepted>> + Send;

    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// Holds a connection that was taken.
pub struct Accepted {
    pub stream: Box<dyn Stream>,
    pub peer: SocketAddr,
    /// Where the peer has reached us.
    pub local: Option<SocketAddr>,
}

/// The kernel's network. What goes over it are whole words: waiting to fill a packet would only delay them.
#[derive(Debug, Clone, Copy)]
pub struct Kernel;

// === impl Kernel ===

impl Network for Kernel {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        }
        .boxed()
    }
}

// === impl TcpListener ===

impl Accept for TcpListener {
    async fn accept(&self) -> io::Result<Accepted> {
        let (stream, peer) = Self::accept(self).await?;
        // One that is closed already is noticed when it is read.
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok();
        Ok(Accepted { stream: Box::new(stream), peer, local })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}
