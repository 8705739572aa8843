//! A controller that says what a test makes it say.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures::{Stream, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollcall_controller::Authority;
use rollcall_net::{bind, server_config};
use rollcall_wire::{Decoder, Down, PROTOCOL, PodIdentity, Up, encode};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::TlsAcceptor;

/// What it says to a frame.
type Script = dyn Fn(&Up) -> Vec<Down> + Send + Sync;

pub struct Played {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Up>>>,
    _parts: JoinSet<()>,
}

/// Holds one session from its request's body to the frames that answer it.
struct Session {
    body: Incoming,
    decoder: Decoder<Up>,
    due: Vec<Down>,
    script: Arc<Script>,
    heard: Arc<Mutex<Vec<Up>>>,
}

impl Played {
    /// Welcomes everyone, and answers each frame as the script says.
    pub async fn start(
        authority: &Authority,
        script: impl Fn(&Up) -> Vec<Down> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(authority, |_| welcome(), script).await
    }

    /// The same, with this for a welcome of the one at an address.
    pub async fn start_with(
        authority: &Authority,
        greeting: impl Fn(SocketAddr) -> Down,
        script: impl Fn(&Up) -> Vec<Down> + Send + Sync + 'static,
    ) -> Self {
        let leaf = authority.leaf("test").unwrap();
        let tls = server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap();
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (script, heard): (Arc<Script>, _) = (Arc::new(script), Arc::<Mutex<Vec<Up>>>::default());
        let greeting = greeting(address);
        let mut parts = JoinSet::new();
        let kept = heard.clone();
        parts.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(tls.clone());
                let greeting = greeting.clone();
                connections.spawn(connection(acceptor, stream, greeting, script.clone(), kept.clone()));
            }
        });
        Self { address, heard, _parts: parts }
    }

    /// All frames so far, of all sessions.
    pub fn heard(&self) -> Vec<Up> {
        self.heard.lock().unwrap().clone()
    }
}

async fn connection(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    greeting: Down,
    script: Arc<Script>,
    heard: Arc<Mutex<Vec<Up>>>,
) {
    // Who has dialled may have gone elsewhere meanwhile.
    let Ok(tls) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let session = Session {
            body: request.into_body(),
            decoder: Decoder::default(),
            due: vec![greeting.clone()],
            script: script.clone(),
            heard: heard.clone(),
        };
        async move { Ok::<_, Infallible>(Response::new(StreamBody::new(frames(session)))) }
    });
    // However it ends, the next one begins anew.
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), service).await;
}

fn frames(session: Session) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    stream::unfold(session, |mut session| async move {
        loop {
            if !session.due.is_empty() {
                let bytes: Vec<u8> = session.due.drain(..).flat_map(|due| encode(&due).unwrap()).collect();
                return Some((Ok(Frame::data(bytes.into())), session));
            }
            if let Some(frame) = session.decoder.next_frame().unwrap() {
                session.due = (session.script)(&frame);
                session.heard.lock().unwrap().push(frame);
                continue;
            }
            let chunk = session.body.frame().await?.ok()?.into_data().ok()?;
            session.decoder.push(&chunk);
        }
    })
}

pub fn welcome() -> Down {
    let pod = PodIdentity {
        namespace: "shop".parse().unwrap(),
        name: "p".into(),
        uid: "u9".into(),
        node: None,
        zone: None,
        addresses: vec![],
    };
    Down::Welcome {
        protocol: PROTOCOL.to_owned(),
        replica: "played".to_owned(),
        epoch: "played".to_owned(),
        replicas: vec![],
        ca: None,
        controller: None,
        pod,
        position: Default::default(),
        changed: Default::default(),
    }
}
