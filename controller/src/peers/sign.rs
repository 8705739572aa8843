//! The sign of life: an object of each replica's own, which it writes again each second while it misses another one, and
//! which whoever misses it reads. So those that the network keeps apart know of each other that they live.
//!
//! A sign's pod is its owner, so that Kubernetes removes the one with the other; nobody of us may delete it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
    jiff::Timestamp,
};
use kube::{Client, api::PostParams};
use rollcall_catalogue::PodUid;
use rollcall_net::Jitter;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, warn};

use super::{
    book::Answer,
    standing::{Lookout, SIGN_COUNTS_FOR_MS},
};
use crate::{
    operate::{WriteCounts, WriteKind},
    own_objects::OwnObjects,
    owner::IndexHandle,
    status::FIELD_MANAGER,
};

/// A sign is given, and looked at, as often: of those that are missed one in time is enough in [`SIGN_COUNTS_FOR_MS`].
const EVERY: Duration = Duration::from_secs(1);

/// An answer that takes longer is none. Two of them fit into the time that a sign counts.
const CALL_MAX: Duration = Duration::from_secs(2);

/// The longest pause between two rounds that nobody answered, so that replicas which miss each other are no burden to an API
/// server on its way back: what is not known meanwhile makes nobody lost.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// Says whose signs these are.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The controller's own.
    pub(super) namespace: String,
    /// Of the Lease that all replicas share: the signs are called after it.
    pub(super) lease_name: String,
    pub(super) replica: String,
    pub(super) epoch: Arc<str>,
}

/// Says what is to be given and read, until the next word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) lookout: Lookout,
    /// Our own pod, with which the sign is to go; none where we are no pod.
    pub(super) pod: Option<PodUid>,
}

/// Says what came of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// About the sign of this process.
    Sign { epoch: Arc<str>, answer: Answer, asked_ms: u64 },
    /// The API server is there; it did not say what was asked.
    Answered,
}

/// Holds the way to the signs.
struct Signs {
    settings: Settings,
    api: OwnObjects<Lease>,
    index: IndexHandle,
    counts: Arc<WriteCounts>,
    told: mpsc::Sender<Word>,
    /// Our own, where it stands as we wrote it.
    held: Option<Held>,
}

/// Holds our own sign as the API server has it.
#[derive(Debug, Clone, PartialEq)]
struct Held {
    version: String,
    /// With whom it goes.
    owners: Owners,
    /// It was not taken with other owners than these.
    is_settled: bool,
}

type Owners = Option<Vec<OwnerReference>>;

/// What the sign of this replica is called.
fn name(lease_name: &str, replica: &str) -> String {
    format!("{lease_name}-{replica}")
}

/// Gives and reads signs while the errand says so, for as long as anybody listens.
pub(super) async fn run(
    client: Client,
    settings: Settings,
    index: IndexHandle,
    counts: Arc<WriteCounts>,
    mut errand: watch::Receiver<Errand>,
    told: mpsc::Sender<Word>,
) {
    let api = OwnObjects::new(client, &settings.namespace);
    let mut signs = Signs { settings, api, index, counts, told, held: None };
    let (mut jitter, mut failed) = (Jitter::from_entropy(), 0);
    loop {
        // What nobody answered in an earlier need delays no round of this one.
        if errand.borrow().is_nothing() {
            failed = 0;
        }
        if errand.wait_for(|errand| !errand.is_nothing()).await.is_err() {
            return;
        }
        let began = Instant::now();
        let task = errand.borrow_and_update().clone();
        failed = if signs.round(&task).await { 0 } else { failed + 1 };
        sleep_until(began + pause(failed, &mut jitter)).await;
    }
}

/// What a call is answered with. Each has its own time, also where a sign takes two: whoever answers slowly still takes it.
async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    timeout(CALL_MAX, call).await.unwrap_or_else(|late| Err(kube::Error::Service(late.into())))
}

/// From the beginning of a round to that of the next, after so many that nobody answered.
fn pause(failed: u32, jitter: &mut Jitter) -> Duration {
    match failed {
        0 | 1 => EVERY,
        _ => EVERY + jitter.up_to(EVERY * 2_u32.saturating_pow(failed.min(8))).min(PAUSE_MAX - EVERY),
    }
}

// === impl Errand ===

impl Errand {
    fn is_nothing(&self) -> bool {
        !self.lookout.gives && self.lookout.reads.is_empty()
    }
}

// === impl Signs ===

impl Signs {
    /// Gives our sign and reads those of the others, all at once; says whether anything was answered.
    async fn round(&mut self, errand: &Errand) -> bool {
        let (mut held, gives) = (self.held.take(), errand.lookout.gives);
        let this = &*self;
        let mut calls = FuturesUnordered::<BoxFuture<'_, bool>>::new();
        if gives {
            let (held, pod) = (&mut held, errand.pod.as_ref());
            calls.push(Box::pin(async move { this.answered(this.give(held, pod).await).await }));
        }
        // One look at each, however many of its processes are missed.
        let mut missed = BTreeMap::<&str, Vec<Arc<str>>>::new();
        for one in &errand.lookout.reads {
            missed.entry(&one.replica).or_default().push(one.epoch.clone());
        }
        for (replica, epochs) in missed {
            calls.push(Box::pin(this.read(replica, epochs)));
        }
        let mut any = false;
        while let Some(is_answered) = calls.next().await {
            any |= is_answered;
        }
        drop(calls);
        self.held = held;
        any
    }

    /// Writes our sign anew. It is nobody else's: what stands in the way is an earlier process of ours.
    async fn give(&self, held: &mut Option<Held>, pod: Option<&PodUid>) -> kube::Result<()> {
        let name = name(&self.settings.lease_name, &self.settings.replica);
        let stands = match held.take() {
            Some(held) => Some(held),
            None => match in_time(self.api.get(&name)).await {
                Ok(lease) => Held::of(lease, false),
                Err(kube::Error::Api(status)) if status.code == 404 => None,
                Err(error) => return Err(error),
            },
        };
        let is_settled = stands.as_ref().is_some_and(|stands| stands.is_settled);
        let (version, owners) = stands.map(|stands| (stands.version, stands.owners)).unzip();
        let owners = owners.flatten();
        // Whose pod is not known just now has not lost it.
        let wished = pod.filter(|_| !is_settled).map_or_else(|| owners.clone(), |uid| self.owner(uid));
        let is_other = wished != owners;
        match self.write(&self.sign(&name, version.clone(), wished)).await {
            // To change an owner, an admission plugin asks for the right to delete, which we have no other use for; a policy
            // may want no owners at all. That we live is worth more than that the sign goes with its pod.
            Err(kube::Error::Api(status)) if status.code == 403 && is_other => {
                let given = self.write(&self.sign(&name, version, owners)).await?;
                warn!(
                    sign = name,
                    why = status.message,
                    "the sign of life must not have this pod as its owner, and may stay when the pod goes"
                );
                *held = Held::of(given, true);
            }
            given => *held = Held::of(given?, is_settled),
        }
        Ok(())
    }

    /// Creates it, or replaces the one of its version.
    async fn write(&self, sign: &Lease) -> kube::Result<Lease> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        self.counts.count(WriteKind::Sign);
        match (&sign.metadata.resource_version, &sign.metadata.name) {
            (Some(_), Some(name)) => in_time(self.api.replace(name, &params, sign)).await,
            _ => in_time(self.api.create(&params, sign)).await,
        }
    }

    /// The pod with which our sign goes. It is not kept from being deleted by that, which would need rights on pods.
    fn owner(&self, uid: &PodUid) -> Owners {
        Some(vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: self.settings.replica.clone(),
            uid: uid.to_string(),
            block_owner_deletion: None,
            controller: None,
        }])
    }

    fn sign(&self, name: &str, version: Option<String>, owners: Owners) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                resource_version: version,
                owner_references: owners,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.settings.epoch.to_string()),
                lease_duration_seconds: i32::try_from(SIGN_COUNTS_FOR_MS / 1_000).ok(),
                // For people, and so that each sign is another one; nobody compares it with a clock.
                renew_time: Some(MicroTime(Timestamp::now())),
                ..LeaseSpec::default()
            }),
        }
    }

    async fn read(&self, replica: &str, epochs: Vec<Arc<str>>) -> bool {
        let asked_ms = self.index.now_ms();
        let name = name(&self.settings.lease_name, replica);
        let lease = match in_time(self.api.get(&name)).await {
            Ok(lease) => Some(lease),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => return self.answered(Err(error)).await,
        };
        for epoch in epochs {
            let answer = lease.as_ref().map_or(Answer::NoSign, |lease| understood(lease, &epoch));
            // A hub that is gone is a process that ends.
            let _ = self.told.send(Word::Sign { epoch, answer, asked_ms }).await;
        }
        true
    }

    /// Whether the API server has answered at all, be it with a no.
    async fn answered(&self, answer: kube::Result<()>) -> bool {
        match &answer {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                warn!(why = status.message, "signs of life are forbidden; check the controller's Role");
            }
            Err(kube::Error::Api(status)) if status.code < 500 => {
                debug!(%status, "a sign of life is not taken");
            }
            Err(error) => {
                debug!(%error, "no answer about a sign of life");
                return false;
            }
        }
        let _ = self.told.send(Word::Answered).await;
        true
    }
}

// === impl Held ===

impl Held {
    fn of(lease: Lease, is_settled: bool) -> Option<Self> {
        let meta = lease.metadata;
        Some(Self { version: meta.resource_version?, owners: meta.owner_references, is_settled })
    }
}

/// What a sign says of this process.
fn understood(lease: &Lease, epoch: &str) -> Answer {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
    match lease.metadata.resource_version.as_deref() {
        Some(version) if holder == Some(epoch) => Answer::Sign { version: version.into() },
        _ => Answer::NoSign,
    }
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
