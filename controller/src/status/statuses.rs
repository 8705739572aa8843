//! The statuses of `ServiceRegistration`s: looked at and applied, one object at a time, for as long as we hold the
//! lease.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Client, Resource,
    api::{Patch, PatchParams},
};
use rollcall_crds::{ServiceRegistration, ServiceRegistrationStatus};
use rollcall_net::Jitter;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{debug, warn};

use super::{
    FIELD_MANAGER,
    api::{Failure, STATUS, registrations, send},
    compose::{digest, digest_of, status},
    pace::Pace,
    queue::{Outcome, Queue},
    source::Source,
};
use crate::{
    index::{ObjectKey, Report},
    lease::{Leadership, Term},
    operate::{WriteCounts, WriteKind},
    owner::OwnerGone,
};

/// How often the index is asked what changed: people read statuses, and lookups do not wait for them.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Statuses written in a second, over all objects: a rolling update of a large cluster is written within a minute, and
/// the API server has other work.
pub(super) const WRITES_MAX: usize = 20;

/// Holds the way to the statuses, within one term.
struct Statuses {
    client: Client,
    leadership: Leadership,
    term: Term,
    pace: Mutex<Pace>,
    counts: Arc<WriteCounts>,
}

/// Writes statuses in each term that we come to.
pub(super) async fn run<S: Source>(
    client: Client,
    source: S,
    mut leadership: Leadership,
    counts: Arc<WriteCounts>,
) -> Result<(), OwnerGone> {
    loop {
        let term = leadership.held().await;
        // Whatever the last holder had not written yet, it knew and we do not.
        source.report_all().await?;
        let statuses = Statuses {
            client: client.clone(),
            leadership: leadership.clone(),
            term,
            pace: Mutex::new(Pace::new(WRITES_MAX)),
            counts: counts.clone(),
        };
        tokio::select! {
            ended = statuses.serve(&source) => ended?,
            // What waits is dropped, and what is under way given up.
            () = leadership.over(term) => {}
        }
    }
}

// === impl Statuses ===

impl Statuses {
    async fn serve<S: Source>(&self, source: &S) -> Result<(), OwnerGone> {
        let mut queue = Queue::new(Jitter::from_entropy());
        let mut under_way = FuturesUnordered::new();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Here too: much may be looked at before anybody hears that the term is over.
            if !self.leadership.lasts(self.term) {
                return Ok(());
            }
            while let Some(report) = queue.next(Instant::now()) {
                under_way.push(self.tell(report));
            }
            let wake = queue.wake_at(Instant::now());
            tokio::select! {
                _ = look.tick(), if queue.room() > 0 => {
                    for report in source.reports(queue.room()).await? {
                        queue.offer(report, Instant::now());
                    }
                }
                Some((key, outcome)) = under_way.next(), if !under_way.is_empty() => {
                    queue.done(&key, outcome, Instant::now());
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    async fn tell(&self, report: Report) -> (ObjectKey, Outcome) {
        let outcome = match self.write(&report).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                let ObjectKey { namespace, name } = &report.object;
                match failure {
                    Failure::Gone => Outcome::Settled,
                    Failure::Conflict => Outcome::Again,
                    Failure::Refused(_) => {
                        warn!(%namespace, name = %name, %failure, "a status is left as it was");
                        Outcome::Settled
                    }
                    Failure::Denied(_) => {
                        warn!(%namespace, name = %name, %failure, "a status is not written, and tried again");
                        Outcome::Denied
                    }
                    Failure::Unavailable(_) => {
                        warn!(%namespace, name = %name, %failure, "a status is not written");
                        Outcome::Failed
                    }
                }
            }
        };
        (report.object, outcome)
    }

    async fn write(&self, report: &Report) -> Result<Outcome, Failure> {
        let ObjectKey { namespace, name } = &report.object;
        let path = registrations(namespace);
        let object = send(&self.client, path.get_subresource(STATUS, name)).await?;
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
        if uid != Some(&*report.uid) {
            debug!(%namespace, name = %name, "an object was made anew: what was true of the old one is not told");
            return Ok(Outcome::Settled);
        }
        let held = held(&object);
        // Another replica may be ahead of our watch; the index reports again when it has caught up.
        let behind = held.observed_generation.is_some_and(|seen| seen > report.generation);
        if behind || digest_of(&held) == digest(report) {
            return Ok(Outcome::Settled);
        }
        self.turn().await;
        // Looked at as late as can be: the look, or the wait, may have outlasted the lease.
        if !self.leadership.lasts(self.term) {
            return Ok(Outcome::Settled);
        }
        let body = json!({
            "apiVersion": ServiceRegistration::api_version(&()),
            "kind": ServiceRegistration::kind(&()),
            // Of the version that was looked at, so that an object made anew under the same name does not get it: a uid
            // alone is not looked at where a status is patched.
            "metadata": {"name": name, "namespace": namespace, "uid": report.uid,
                "resourceVersion": object.pointer("/metadata/resourceVersion")},
            "status": status(report, &held, &Time(Timestamp::now())),
        });
        self.counts.count(WriteKind::Status);
        // By force: nobody else has a say in a status of ours, and an older build's words must not stay.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = path.patch_subresource(STATUS, name, &params, &Patch::Apply(&body));
        send(&self.client, patch).await?;
        debug!(%namespace, name = %name, "a status is written");
        Ok(Outcome::Written)
    }

    /// Waits until one more write is within the pace.
    async fn turn(&self) {
        loop {
            // Two numbers in a list: whole whoever panicked while holding it.
            let taken = self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
            match taken {
                Ok(()) => return,
                Err(at) => sleep_until(at).await,
            }
        }
    }
}

/// What the object's status says. One that cannot be read has nothing to lend: it is replaced.
fn held(object: &Value) -> ServiceRegistrationStatus {
    let status = object.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

#[cfg(test)]
#[path = "statuses_tests.rs"]
mod tests;
