//! The calls that the lease's rules ask for, each with its own timeout.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::{SignedDuration, Timestamp},
};
use kube::{Client, api::PostParams};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{
    CALL_MAX, DURATION, Settings,
    machine::{Answer, Call, Seen},
};
use crate::{
    operate::{WriteCounts, WriteKind},
    own_objects::OwnObjects,
    status::FIELD_MANAGER,
};

/// Holds the way to one Lease, and how it was last seen, so that what others wrote beside our fields stays.
pub(super) struct LeaseApi {
    api: OwnObjects<Lease>,
    name: String,
    identity: String,
    last: Option<Lease>,
    counts: Arc<WriteCounts>,
}

// === impl LeaseApi ===

impl LeaseApi {
    pub(super) fn new(
        client: Client,
        settings: &Settings,
        identity: String,
        counts: Arc<WriteCounts>,
    ) -> Self {
        let api = OwnObjects::new(client, &settings.namespace);
        Self { api, name: settings.name.clone(), identity, last: None, counts }
    }

    pub(super) async fn call(&mut self, call: Call) -> Answer {
        let Ok(answer) = timeout(CALL_MAX, self.send(&call)).await else {
            warn!(lease = self.name, ?call, limit = ?CALL_MAX, "no answer about the lease");
            return Answer::Failed;
        };
        match answer {
            Ok(lease) => match seen(&lease) {
                Some(seen) => {
                    self.last = Some(lease);
                    Answer::Lease(seen)
                }
                None => Answer::Failed,
            },
            Err(kube::Error::Api(status)) if status.code == 404 => Answer::Absent,
            Err(kube::Error::Api(status)) if status.code == 409 => {
                debug!(lease = self.name, ?call, "somebody else wrote the lease");
                Answer::Conflict
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                warn!(
                    lease = self.name,
                    ?call,
                    why = status.message,
                    "the lease is forbidden; check the controller's Role"
                );
                Answer::Failed
            }
            Err(error) => {
                warn!(lease = self.name, ?call, %error, "a call about the lease failed and is tried again");
                Answer::Failed
            }
        }
    }

    async fn send(&self, call: &Call) -> kube::Result<Lease> {
        if *call != Call::Read {
            self.counts.count(WriteKind::Lease);
        }
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match call {
            Call::Read => self.api.get(&self.name).await,
            Call::Create => self.api.create(&params, &self.lease(Some(&self.identity), None)).await,
            Call::Claim { version } => {
                let lease = self.lease(Some(&self.identity), Some(version));
                self.api.replace(&self.name, &params, &lease).await
            }
            Call::Release { version } => {
                self.api.replace(&self.name, &params, &self.lease(None, Some(version))).await
            }
        }
    }

    /// The lease as it is to be: as it was, but for what a lease is about.
    fn lease(&self, holder: Option<&String>, version: Option<&String>) -> Lease {
        // What is created anew has nothing to do with what was.
        let last = self.last.clone().filter(|_| version.is_some()).unwrap_or_default();
        let before = last.spec.unwrap_or_default();
        let passes = before.holder_identity.as_ref().filter(|holder| !holder.is_empty()) != holder;
        // A renewal with an equal time would change nothing, and look like none.
        let renewed = match &before.renew_time {
            Some(MicroTime(last)) => Timestamp::now().max(last.saturating_add(TICK).unwrap_or(*last)),
            None => Timestamp::now(),
        };
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: version.cloned(),
                ..last.metadata
            },
            spec: Some(LeaseSpec {
                holder_identity: holder.cloned(),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                renew_time: Some(MicroTime(renewed)),
                acquire_time: match passes && holder.is_some() {
                    true => Some(MicroTime(renewed)),
                    false => before.acquire_time,
                },
                lease_transitions: match passes && holder.is_some() {
                    true => before.lease_transitions.unwrap_or_default().checked_add(1),
                    false => before.lease_transitions,
                },
                ..before
            }),
        }
    }
}

/// The least difference that a Lease's times show.
const TICK: SignedDuration = SignedDuration::from_micros(1);

fn seen(lease: &Lease) -> Option<Seen> {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Some(Seen {
        version: lease.metadata.resource_version.clone()?,
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: seconds.map_or(DURATION, Duration::from_secs),
    })
}
