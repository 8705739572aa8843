//! A process' way to the API server: kube's client over connections of the simulated network.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{Request, Uri};
use hyper_util::{
    client::legacy::{
        Client as Pool,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use kube::client::Body;
use rollcall_net::{Network, Stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, timeout},
};
use tower::{Service, ServiceExt};

use crate::network::Endpoint;

/// As the process has it with real connections.
const READ_MAX: Duration = Duration::from_secs(75);
/// kube's own.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// Makes connections with the API server at this address.
#[derive(Debug, Clone)]
struct Dialler {
    endpoint: Arc<Endpoint>,
    to: SocketAddr,
}

/// Holds a connection that is given up where it says nothing for too long after a question.
struct Impatient {
    stream: Box<dyn Stream>,
    silence: Pin<Box<Sleep>>,
    waits: bool,
}

/// A client of the API server at this address.
pub fn client(endpoint: Endpoint, to: SocketAddr, namespace: &str) -> kube::Client {
    let dialler = Dialler { endpoint: Arc::new(endpoint), to };
    let pool: Pool<Dialler, Body> = Pool::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .build(dialler);
    let service = pool.map_request(move |mut request: Request<Body>| {
        // Whose it is: kube's own layers, which are made of a `Config`, would write it there.
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        *request.uri_mut() =
            format!("http://{to}{path}").parse().expect("a path is one behind an address too");
        request
    });
    kube::Client::new(service, namespace)
}

impl Service<Uri> for Dialler {
    type Response = TokioIo<Impatient>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { endpoint, to } = self.clone();
        async move {
            let stream =
                timeout(CONNECT_MAX, endpoint.dial(to)).await.map_err(|_| io::ErrorKind::TimedOut)??;
            Ok(TokioIo::new(Impatient { stream, silence: Box::pin(sleep(READ_MAX)), waits: false }))
        }
        .boxed()
    }
}

// === impl Impatient ===

impl Connection for Impatient {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            this.waits = false;
            return Poll::Ready(read);
        }
        if !std::mem::replace(&mut this.waits, true) {
            this.silence.as_mut().reset(Instant::now() + READ_MAX);
        }
        ready!(this.silence.as_mut().poll(context));
        this.waits = false;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.silence.as_mut().reset(Instant::now() + READ_MAX);
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
