//! One watch call: what is written after a revision, in order, for as long as it lasts.

use std::{collections::VecDeque, future::pending, io, time::Duration};

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    faults::Faults,
    kinds::Kind,
    read::shown,
    refusal::Refusal,
    request::{Call, Selection},
    server::ApiServer,
    state::State,
};

/// Where nobody says how long: the API server draws from half an hour to an hour.
const LASTS: Duration = Duration::from_secs(45 * 60);
/// How often a watch is told how far it is, at the latest.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// And so long before its end.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// Holds one watch call that is under way.
pub(crate) struct Watching {
    server: ApiServer,
    replica: usize,
    /// The life of the replica, and the age of the client's watches, in which it was begun.
    begun_in: (u64, u64),
    faults: Faults,
    kind: &'static Kind,
    selection: Selection,
    metadata_only: bool,
    bookmarks: bool,
    /// Everything up to this revision was looked at.
    position: u64,
    /// What the client was told last.
    told: u64,
    waiting: VecDeque<Bytes>,
    has_ended: bool,
    begun_at: Instant,
    ends_at: Instant,
    bookmark_at: Option<Instant>,
    written: watch::Receiver<u64>,
    harmed: watch::Receiver<u64>,
}

/// Says what comes next.
enum Next {
    Line(Bytes),
    Wait(Instant),
    End,
    Cut,
    Never,
}

// === impl Watching ===

impl Watching {
    pub(crate) fn begin(
        server: &ApiServer,
        replica: usize,
        faults: &Faults,
        call: &Call,
        state: &mut State,
    ) -> Result<Self, Refusal> {
        let now = Instant::now();
        let selection = call.selection()?;
        let reached = state.reached(replica);
        let asked = call.number("resourceVersion")?;
        let mut waiting = VecDeque::new();
        // Without a revision all that there is comes first.
        let from = match asked {
            None | Some(0) => {
                let at = if asked.is_none() { state.history.revision() } else { reached };
                for (id, object) in state.history.list_at(call.kind.plural, at, None) {
                    if selection.has(id, object) {
                        waiting.push_back(line("ADDED", &shown(object, call.metadata_only)));
                    }
                }
                at
            }
            Some(version) => version,
        };
        let lasts =
            call.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).map_or(LASTS, Duration::from_secs);
        let ends_at = now + lasts;
        Ok(Self {
            server: server.clone(),
            replica,
            begun_in: (state.replicas.get(replica).map_or(0, |replica| replica.life), faults.age()),
            faults: faults.clone(),
            kind: call.kind,
            selection,
            metadata_only: call.metadata_only,
            bookmarks: call.parameter("allowWatchBookmarks") == Some("true"),
            position: from,
            told: from,
            waiting,
            has_ended: false,
            begun_at: now,
            ends_at,
            bookmark_at: bookmark_after(now, ends_at),
            written: server.written(),
            harmed: faults.changes(),
        })
    }

    /// The lines of its body. One that is cut breaks with an error.
    pub(crate) fn lines(self) -> impl Stream<Item = io::Result<Bytes>> {
        futures::stream::unfold(self, |mut watching| async move {
            loop {
                watching.written.mark_unchanged();
                watching.harmed.mark_unchanged();
                match watching.next() {
                    Next::Line(line) => return Some((Ok(line), watching)),
                    Next::End => return None,
                    Next::Never => pending().await,
                    Next::Cut => {
                        watching.has_ended = true;
                        return Some((Err(io::ErrorKind::ConnectionReset.into()), watching));
                    }
                    Next::Wait(until) => {
                        tokio::select! {
                            () = sleep_until(until) => {}
                            // Both live as long as this does.
                            _ = watching.written.changed() => {}
                            _ = watching.harmed.changed() => {}
                        }
                    }
                }
            }
        })
    }

    fn next(&mut self) -> Next {
        let server = self.server.clone();
        let mut state = server.state();
        let now = Instant::now();
        let life = state.replicas.get(self.replica).map_or(0, |replica| replica.life);
        if self.faults.is_dead() {
            return Next::Never;
        }
        if self.has_ended {
            return Next::End;
        }
        if self.faults.is_away() || self.begun_in != (life, self.faults.age()) {
            return Next::Cut;
        }
        if let Some(line) = self.waiting.pop_front() {
            return Next::Line(line);
        }
        let reached = state.reached(self.replica);
        let remembered = state.replicas.get(self.replica).map_or(0, |replica| replica.remembers_from);
        let oldest = state.history.compacted().max(remembered);
        // What this client was told last is forgotten, so that nobody knows what came after it.
        if self.position < oldest {
            self.has_ended = true;
            let status = Refusal::expired(format!("too old resource version: {} ({oldest})", self.position));
            return Next::Line(line("ERROR", &status.body()));
        }
        if let Some(line) = self.event(&state, reached) {
            return Next::Line(line);
        }
        let closes_at = self.faults.time_of_a_watch().map_or(self.ends_at, |lasts| self.begun_at + lasts);
        let ends_at = self.ends_at.min(closes_at);
        if now >= ends_at {
            return Next::End;
        }
        if self.bookmark_at.is_some_and(|at| now >= at) {
            self.bookmark_at = bookmark_after(now, self.ends_at);
            if self.bookmarks && reached >= self.told {
                self.told = reached;
                return Next::Line(line("BOOKMARK", &self.bookmark(reached)));
            }
        }
        let hears_at =
            state.replicas.get(self.replica).and_then(|replica| replica.hears_next_at(&state.history));
        Next::Wait([self.bookmark_at, hears_at].into_iter().flatten().fold(ends_at, Instant::min))
    }

    /// The next event of this watch that its replica has come to.
    fn event(&mut self, state: &State, reached: u64) -> Option<Bytes> {
        for written in state.history.after(self.position) {
            if written.revision > reached {
                break;
            }
            self.position = written.revision;
            if written.id.kind != self.kind.plural || !self.selection.has(&written.id, &written.object) {
                continue;
            }
            if self.faults.hides(written.revision) {
                continue;
            }
            self.told = written.revision;
            let mut object = shown(&written.object, self.metadata_only);
            if self.faults.garbles(written.revision) {
                object["spec"] = json!("garbled");
                object["status"] = json!(7);
            }
            return Some(line(written.what.as_str(), &object));
        }
        None
    }

    fn bookmark(&self, revision: u64) -> Value {
        let (kind, version) = if self.metadata_only {
            ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned())
        } else {
            (self.kind.name, self.kind.api_version())
        };
        json!({"kind": kind, "apiVersion": version,
            "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null}})
    }
}

/// When the bookmark after this moment is due: the last comes shortly before the end.
fn bookmark_after(now: Instant, ends_at: Instant) -> Option<Instant> {
    let last = ends_at.checked_sub(LAST_BOOKMARK)?;
    (now < last).then(|| last.min(now + BOOKMARK_EVERY))
}

fn line(what: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{what}\",\"object\":{object}}}\n").into()
}
