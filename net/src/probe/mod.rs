//! The probe client: one question to an app or an address, and how it ended. Who is asked, how often, and what
//! follows from the answers is decided elsewhere.
//!
//! ```text
//!  attempt ─► connect ─┬─ Tcp: enough
//!                      ├─ Http ─► over_http: the status of one answer
//!                      └─ Grpc ─► over_grpc: grpc.health.v1.Health/Check ◄─► health_message
//! ```
//!
//! All of it runs within one future and one deadline: whoever drops it leaves nothing behind, and a peer that drips
//! gets no more time than one that is silent.

mod check;
mod health_message;
mod listeners;
mod outcome;
mod over_grpc;
mod over_http;

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

pub use check::{BadPath, Check, HttpMethod};
pub use health_message::Health;
pub use listeners::Listeners;
pub use outcome::{Fault, GrpcStatus, Outcome};

/// Bytes that are read of one connection, whatever they are: a head of the largest size that is taken, and the frames
/// around a short message. It is the bound of what a peer can make us hold, where the limits of the single parts add
/// up to more.
const REPLY_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of the head of a reply, as for those that we take as a server.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What the other side may read in its log.
const USER_AGENT: &str = concat!("rollcall-probe/", env!("CARGO_PKG_VERSION"));

/// Asks once; `limit` is for all of it, from the first packet to the last.
pub async fn attempt(target: SocketAddr, check: &Check, limit: Duration) -> Outcome {
    match timeout(limit, ask(target, check)).await {
        Ok(Ok(())) => Outcome::Passing,
        Ok(Err(outcome)) => outcome,
        Err(_) => Outcome::TimedOut,
    }
}

async fn ask(target: SocketAddr, check: &Check) -> Result<(), Outcome> {
    let stream = TcpStream::connect(target).await.map_err(|error| Outcome::of_connect(&error))?;
    if is_mirror(&stream).map_err(|error| Outcome::of_connect(&error))? {
        return Err(Outcome::Refused);
    }
    match check {
        // Nothing was sent and nothing is left unread, so that dropping it is an orderly end.
        Check::Tcp => Ok(()),
        Check::Http { method, path } => over_http::ask(bounded(stream), target, *method, path).await,
        Check::Grpc { service } => over_grpc::ask(bounded(stream), target, service).await,
    }
}

/// Whether this is a connection with ourselves: when nobody listens at a local port, the kernel may pick that very
/// port for our own end, and TCP then lets it answer itself.
fn is_mirror(stream: &TcpStream) -> io::Result<bool> {
    Ok(stream.local_addr()? == stream.peer_addr()?)
}

/// The stream as one that ends after the most that is read of a reply.
fn bounded(stream: TcpStream) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
    // Requests are one packet; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    tokio::io::join(read.take(REPLY_BYTES_MAX), write)
}

#[cfg(test)]
#[path = "probe_tests/mod.rs"]
mod tests;
