//! A client of the wire, as a sidecar is one, without what a sidecar does beside.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use futures::{FutureExt, future::BoxFuture};
use rollcall_catalogue::{Service, ServiceKey, State};
use rollcall_wire::client::{Client, Event};
use rustls::ClientConfig;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};

use super::town::crowd_token;
use crate::{
    peers::Watcher,
    sessions::{News, converse},
};

/// Holds a session of its own; it ends with this.
pub(super) struct Told {
    news: UnboundedReceiver<anyhow::Result<(Instant, Vec<String>)>>,
    session: JoinHandle<()>,
}

// === impl Told ===

impl Told {
    /// Each member of the crowd has an address of its own, as pods do: the controller takes only so many from one.
    pub(super) fn open(number: u32, controller: SocketAddr, tls: Arc<ClientConfig>, key: ServiceKey) -> Self {
        let (tell, news) = unbounded_channel();
        let session = tokio::spawn(async move {
            let [_, _, high, low] = number.to_be_bytes();
            let from = Ipv4Addr::new(127, 1, high, low);
            // Another process each time, so that the controller takes none for the late one of another.
            let mut client = Client::new(format!("watcher-{number}-{:?}", Instant::now()), usize::MAX);
            client.subscribe([key.clone()]);
            let begin = tokio::time::Instant::now();
            let token = crowd_token(number);
            let ended = converse((from, controller), tls, &token, &mut client, begin, |event, _| {
                let News::Event(event) = event else { return };
                let now = match &*event {
                    Event::Changed { key: of, service } if *of == key => serving(service),
                    Event::Gone { key: of } if *of == key => Vec::new(),
                    _ => return,
                };
                // Whoever watched may have ended.
                let _ = tell.send(Ok((Instant::now(), now)));
            });
            if let Err(error) = ended.await {
                let _ = tell.send(Err(error));
            }
        });
        Self { news, session }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.session.abort();
    }
}

impl Watcher for Told {
    fn next(&mut self) -> BoxFuture<'_, anyhow::Result<(Instant, Vec<String>)>> {
        async { self.news.recv().await.context("the session ended")? }.boxed()
    }
}

/// As a lookup would have them.
fn serving(service: &Service) -> Vec<String> {
    let serving = service.instances.iter().filter(|one| one.state == State::Serving);
    let mut addresses: Vec<_> = serving.map(|one| one.address().to_string()).collect();
    addresses.sort();
    addresses
}
