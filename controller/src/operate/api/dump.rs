//! The whole catalogue as JSON, one instance a line. From the second line on, two dumps of equal catalogues are equal,
//! whichever replica gave them and in whatever order it heard of things: what differs is what `diff` shows.

use std::{io::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::unfold;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use rollcall_catalogue::{ContentHash, Namespace, Policy, Service, ServiceKey, Summary, Visibility};
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinSet,
    time::timeout,
};

use super::answer::{Body, Cut};
use crate::owner::View;

/// Dumps that are read at a time: each keeps the catalogue alive that it began with.
pub(super) const DUMPS_MAX: usize = 2;
/// What a reader gets for all of it. 20,000 instances are some 8 MB: a second over a port that is forwarded.
const DUMP_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of a piece, give or take an instance: enough to be worth a write, and little beside what the catalogue takes.
const PIECE_BYTES: usize = 64 * 1024;

/// Holds what is still to be written of a catalogue. Gives pieces of it, each written when it is asked for.
#[derive(Debug)]
pub(super) struct Dump {
    head: Option<Vec<u8>>,
    services: std::vec::IntoIter<(ServiceKey, Visibility, Arc<Service>)>,
    /// The service whose instances are being written, and how many of them are.
    open: Option<(Arc<Service>, usize)>,
    ended: bool,
}

#[derive(Serialize)]
struct Head<'a> {
    replica: &'a str,
    generation: u64,
    complete: bool,
    services: [(); 0],
}

#[derive(Serialize)]
struct ServiceHead<'a> {
    service: &'a str,
    namespace: &'a str,
    hash: ContentHash,
    policy: Policy,
    /// As its annotation says it: `cluster`, `namespace`, or the namespaces.
    visibility: String,
    truncated: bool,
    versions: Vec<&'a rollcall_catalogue::Version>,
    serving: usize,
    total: usize,
    instances: [(); 0],
}

/// The dump as a body, which its reader's pace moves on. A slow one is cut, and its place given back.
pub(super) fn streamed(dump: Dump, place: OwnedSemaphorePermit) -> Body {
    let (sender, pieces) = mpsc::channel(1);
    // Ends with the body that holds it.
    let mut writer = JoinSet::new();
    writer.spawn(async move {
        let written = timeout(DUMP_TIME_MAX, write(dump, sender)).await;
        drop(place);
        written.is_ok()
    });
    let stream = unfold(Some((writer, pieces)), |held| async move {
        let (mut writer, mut pieces) = held?;
        match pieces.recv().await {
            Some(piece) => Some((Ok(Frame::data(piece)), Some((writer, pieces)))),
            None => match writer.join_next().await {
                Some(Ok(true)) => None,
                _ => Some((Err(Cut), None)),
            },
        }
    });
    StreamBody::new(stream).boxed_unsync()
}

async fn write(dump: Dump, pieces: mpsc::Sender<Bytes>) {
    for piece in dump {
        // An error says that nobody reads any more.
        if pieces.send(piece).await.is_err() {
            return;
        }
    }
}

// === impl Dump ===

impl Dump {
    /// The dump of one namespace or of all.
    pub(super) fn of(view: &View, replica: &str, namespace: Option<&Namespace>) -> Self {
        let all = view.catalogue.iter();
        let wanted = all.filter(|(key, _)| namespace.is_none_or(|namespace| key.namespace == *namespace));
        let visibility = |key: &ServiceKey| view.catalogue.visibility(key).cloned().unwrap_or_default();
        let wanted = wanted.map(|(key, service)| (key.clone(), visibility(key), service.clone()));
        let mut services: Vec<_> = wanted.collect();
        services.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let head = Head { replica, generation: view.generation, complete: view.complete, services: [] };
        let mut line = Vec::new();
        opened(&mut line, &head);
        Self { head: Some(line), services: services.into_iter(), open: None, ended: false }
    }

    /// Writes the next line; false where there is none.
    fn line(&mut self, text: &mut Vec<u8>) -> bool {
        if let Some(head) = self.head.take() {
            text.extend(head);
            return true;
        }
        match &mut self.open {
            Some((service, written)) => match service.instances.get(*written) {
                Some(instance) => {
                    *written += 1;
                    json(text, &instance.undated());
                    let comma = if *written < service.instances.len() { "," } else { "" };
                    text.extend(format!("{comma}\n").bytes());
                }
                None => {
                    self.open = None;
                    let end: &[u8] = if self.services.len() > 0 { b"]},\n" } else { b"]}\n" };
                    text.extend(end);
                }
            },
            None => match self.services.next() {
                Some((key, visibility, service)) => {
                    opened(text, &ServiceHead::of(&key, &visibility, &service));
                    self.open = Some((service, 0));
                }
                None if self.ended => return false,
                None => {
                    self.ended = true;
                    text.extend(b"]}\n");
                }
            },
        }
        true
    }
}

impl Iterator for Dump {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        while piece.len() < PIECE_BYTES && self.line(&mut piece) {}
        (!piece.is_empty()).then(|| piece.into())
    }
}

// === impl ServiceHead ===

impl<'a> ServiceHead<'a> {
    fn of(key: &'a ServiceKey, visibility: &Visibility, held: &'a Service) -> Self {
        let Summary { service, namespace, versions, serving, total } = held.summary(key);
        Self {
            service,
            namespace,
            hash: held.hash,
            policy: held.policy,
            visibility: visibility.to_string(),
            truncated: held.truncated,
            versions,
            serving,
            total,
            instances: [],
        }
    }
}

/// An object whose last member is an empty list, left open for what belongs into that list.
fn opened(text: &mut Vec<u8>, value: &impl Serialize) {
    json(text, value);
    text.truncate(text.len().saturating_sub("]}".len()));
    text.push(b'\n');
}

fn json(text: &mut Vec<u8>, value: &impl Serialize) {
    // Neither can fail: what is written is text, numbers and maps with text keys, and where to is memory.
    let _ = serde_json::to_writer(text.by_ref(), value);
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;
