//! A controller that is broken in one way: it opens sessions and takes nothing of what it is told.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollcall_controller::Authority;
use rollcall_net::{bind, server_config};
use rollcall_wire::{Down, PROTOCOL, PodIdentity, encode};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::TlsAcceptor;

/// Bytes that a peer may send of its request: less than any frame.
const WINDOW: u32 = 1;

pub struct Deaf {
    pub address: SocketAddr,
    sessions: Arc<AtomicU64>,
    _parts: JoinSet<()>,
}

impl Deaf {
    pub async fn start(authority: &Authority) -> Self {
        let leaf = authority.leaf("test").unwrap();
        let tls = server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap();
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let sessions = Arc::new(AtomicU64::new(0));
        let mut parts = JoinSet::new();
        let counted = sessions.clone();
        parts.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(TlsAcceptor::from(tls.clone()), stream, counted.clone()));
            }
        });
        Self { address, sessions, _parts: parts }
    }

    /// How many sessions were opened so far.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, sessions: Arc<AtomicU64>) {
    let tls = acceptor.accept(stream).await.unwrap();
    let service = service_fn(|request| {
        sessions.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, Infallible>(Response::new(StreamBody::new(welcome(request)))) }
    });
    // However it ends, the next one is counted.
    let _ = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .serve_connection(TokioIo::new(tls), service)
        .await;
}

/// `welcome`, and then nothing for as long as the peer stays.
fn welcome(request: Request<Incoming>) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    let pod = PodIdentity {
        namespace: "shop".parse().unwrap(),
        name: "p".into(),
        uid: "u9".into(),
        node: None,
        zone: None,
        addresses: vec![],
    };
    let welcome = Down::Welcome {
        protocol: PROTOCOL.to_owned(),
        replica: "deaf".to_owned(),
        epoch: "deaf".to_owned(),
        replicas: vec![],
        ca: None,
        controller: None,
        pod,
        position: Default::default(),
        changed: Default::default(),
    };
    let frame = Frame::data(encode(&welcome).unwrap().into());
    let silence = stream::pending().map(move |frame| {
        // Unread, and kept: a body that is dropped would be read away by HTTP/2 itself.
        let _ = &request;
        frame
    });
    stream::iter([Ok(frame)]).chain(silence)
}
