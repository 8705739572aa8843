//! Plain HTTP/1.1 for local callers and probes, within limits.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tracing::{debug, warn};

use crate::{Places, Shutdown, patient::Patient};

/// An app's request head, and the pause between two requests of one connection, take no longer: an idle or a
/// dripping client gives its place back.
const APP_HEAD_MAX: Duration = Duration::from_secs(30);
/// A probe's head comes in one packet; whoever takes longer is no probe, and would hold a place that one needs.
const PROBE_HEAD_MAX: Duration = Duration::from_secs(2);
/// A probe's connection from accept to end: a kubelet waits 1 s by default, and a slow reader must not stay.
const PROBE_LIFE_MAX: Duration = Duration::from_secs(5);
/// A hook's connection from accept to end: its answer may take 10 s, its head 2 s.
const HOOK_LIFE_MAX: Duration = Duration::from_secs(13);
/// Bytes of a request's head; a lookup's is a few hundred.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Connections that the kernel holds before they are accepted.
const BACKLOG: u32 = 1_024;
/// What answers in flight get when the process ends; they come from memory.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Holds a listener, the places of its connections, and who they are for.
#[derive(Debug)]
pub struct Http1 {
    pub listener: TcpListener,
    pub places: Places,
    pub callers: Callers,
}

/// Says who calls, and with that for how long a connection may hold its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// The app beside us: its client library keeps connections open between requests.
    Apps,
    /// The kubelet, and whoever else reaches the pod's address: one request, then the place is free again, so that
    /// idle connections of strangers cannot keep the probes out.
    Probes,
    /// The same, with hooks among the requests: an answer may take longer than any probe waits.
    Hooks,
}

/// Listens on this address.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Whatever `net.ipv6.bindv6only` says on this machine.
        SockRef::from(&socket).set_only_v6(false)?;
    }
    // A restarted container must not wait for the connections of the one before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Listens on this address, where `[::]` means every address that the machine has, of IPv4 and, if there is any, of
/// IPv6: pods get addresses of either kind, and the default must suit both.
pub fn bind_any(address: SocketAddr) -> io::Result<TcpListener> {
    match bind_if_present(address)? {
        Some(listener) => Ok(listener),
        None if address.ip() == Ipv6Addr::UNSPECIFIED => bind((Ipv4Addr::UNSPECIFIED, address.port()).into()),
        None => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// Listens on this address, or says that the machine has none of its kind: many a cluster has no IPv6.
pub fn bind_if_present(address: SocketAddr) -> io::Result<Option<TcpListener>> {
    if_present(bind(address))
}

/// What was bound, or nothing where the machine has no address of that kind.
pub(crate) fn if_present<T>(bound: io::Result<T>) -> io::Result<Option<T>> {
    /// Linux's number for "address family not supported", which the standard library has no word for.
    const EAFNOSUPPORT: i32 = 97;
    match bound {
        Ok(bound) => Ok(Some(bound)),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Ok(None),
        Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => Ok(None),
        Err(error) => Err(error),
    }
}

// === impl Callers ===

impl Callers {
    const fn head_max(self) -> Duration {
        match self {
            Self::Apps => APP_HEAD_MAX,
            Self::Probes | Self::Hooks => PROBE_HEAD_MAX,
        }
    }

    const fn life_max(self) -> Option<Duration> {
        match self {
            Self::Apps => None,
            Self::Probes => Some(PROBE_LIFE_MAX),
            Self::Hooks => Some(HOOK_LIFE_MAX),
        }
    }
}

// === impl Http1 ===

impl Http1 {
    /// Answers requests until the process ends, then lets those in flight finish.
    pub async fn serve<H, F, B>(mut self, handler: H, mut shutdown: Shutdown)
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                // Reaped as they end, so that the set stays as small as what is open.
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        warn!(%error, "a connection's task died");
                    }
                }
                accepted = self.places.accept(&self.listener) => {
                    let (stream, _, place) = accepted;
                    let connection = connection(stream, self.callers, handler.clone(), shutdown.clone());
                    connections.spawn(async move {
                        match self.callers.life_max() {
                            None => connection.await,
                            Some(limit) => {
                                if timeout(limit, connection).await.is_err() {
                                    debug!("a connection was cut: its time is over");
                                }
                            }
                        }
                        drop(place);
                    });
                }
            }
        }
        let drained = timeout(DRAIN_MAX, async { while connections.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            debug!("connections were cut at shutdown");
        }
    }
}

async fn connection<H, F, B>(stream: TcpStream, callers: Callers, handler: H, mut shutdown: Shutdown)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    // Answers are small and complete: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(callers.head_max())
        .keep_alive(callers == Callers::Apps)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut connection = std::pin::pin!(connection);
    // In a set of its own, the word to end is looked at only when it comes, and not with each request.
    let mut end: FuturesUnordered<_> = [shutdown.requested()].into_iter().collect();
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        _ = end.next() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::shutdown;

    async fn answer(_: Request<Incoming>) -> Response<Full<Bytes>> {
        Response::new(Full::from("here"))
    }

    #[tokio::test]
    async fn places_are_bounded_pipelining_works_and_the_end_is_clean() {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, ear) = shutdown();
        let server = tokio::spawn(
            Http1 { listener, places: Places::new(1), callers: Callers::Apps }.serve(answer, ear),
        );

        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut seen = String::new();
        while seen.matches("here").count() < 2 {
            let mut chunk = [0; 512];
            let length = first.read(&mut chunk).await.unwrap();
            assert!(length > 0, "closed after {seen}");
            seen.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
        }
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut chunk = [0; 1];
        let early = timeout(Duration::from_millis(50), second.peek(&mut chunk)).await;
        assert!(early.is_err(), "the only place is taken");
        drop(first);
        let mut answer = String::new();
        second.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");

        trigger.pull();
        server.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_and_who_drips_give_the_place_back() {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, ear) = shutdown();
        let http = Http1 { listener, places: Places::new(1), callers: Callers::Apps };
        let server = tokio::spawn(http.serve(answer, ear));
        let begin = tokio::time::Instant::now();
        for said in ["", "GET / HTTP/1.1\r\nHost:"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert!(text.is_empty(), "{text}");
        }
        assert!(begin.elapsed() >= APP_HEAD_MAX && begin.elapsed() <= 3 * APP_HEAD_MAX);
        trigger.pull();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_kinds() {
        let listener = bind_any((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).await.unwrap();
        if address.is_ipv6() && bind_if_present((Ipv6Addr::LOCALHOST, 0).into()).unwrap().is_some() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, address.port())).await.unwrap();
        }
    }

    #[tokio::test]
    async fn idle_connections_do_not_keep_probes_out() {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, ear) = shutdown();
        let http = Http1 { listener, places: Places::new(1), callers: Callers::Probes };
        let server = tokio::spawn(http.serve(answer, ear));
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

        // One that asked and stays, and one that never asks: both lose the only place.
        let mut asked = TcpStream::connect(address).await.unwrap();
        asked.write_all(request).await.unwrap();
        let mut text = String::new();
        timeout(Duration::from_secs(1), asked.read_to_string(&mut text)).await.unwrap().unwrap();
        assert!(text.ends_with("here"), "closed by the server: {text}");
        let idle = TcpStream::connect(address).await.unwrap();
        let mut probe = TcpStream::connect(address).await.unwrap();
        probe.write_all(request).await.unwrap();
        let mut text = String::new();
        let limit = PROBE_LIFE_MAX + Duration::from_secs(5);
        timeout(limit, probe.read_to_string(&mut text)).await.unwrap().unwrap();
        assert!(text.ends_with("here"), "{text}");
        drop((asked, idle));

        trigger.pull();
        server.await.unwrap();
    }
}
