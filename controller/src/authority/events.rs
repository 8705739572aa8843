//! What people hear of the authority: an Event at the Secret for each step, written by the replica that took it.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::{
        core::v1::{ObjectReference, Secret},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{PostParams, ResourceExt},
};
use tokio::time::timeout;
use tracing::debug;

use super::plan::Why;
use crate::{
    operate::{WriteCounts, WriteKind},
    status::FIELD_MANAGER,
};

/// An Event is worth one short try.
const CALL_MAX: Duration = Duration::from_secs(2);
/// Who says so, in the form that the API server asks for: a domain of ours.
const REPORTER: &str = "rollcall.dev/controller";
/// Characters of a replica's name in an Event, which the API server limits.
const REPLICA_CHARS_MAX: usize = 128;

/// Holds the way to the Events, and who says them.
pub(super) struct Voice {
    pub(super) api: Api<Event>,
    pub(super) replica: String,
    pub(super) counts: Arc<WriteCounts>,
}

// === impl Voice ===

impl Voice {
    pub(super) fn new(client: Client, namespace: &str, replica: &str, counts: Arc<WriteCounts>) -> Self {
        let replica = replica.chars().take(REPLICA_CHARS_MAX).collect();
        Self { api: Api::namespaced(client, namespace), replica, counts }
    }

    /// Says of this Secret why it was written.
    pub(super) async fn tell(&self, secret: &Secret, why: Why) {
        let event = self.event(secret, why);
        self.counts.count(WriteKind::Event);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match timeout(CALL_MAX, self.api.create(&params, &event)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(%error, "an Event is not written"),
            Err(_) => debug!(limit = ?CALL_MAX, "an Event is not written"),
        }
    }

    fn event(&self, secret: &Secret, why: Why) -> Event {
        let (reason, weight, note) = said(why);
        let name = secret.name_any();
        // A version is written once, so that no other Event has this name.
        let version = secret.resource_version().unwrap_or_default();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{version}.{}", why.as_str())),
                namespace: secret.namespace(),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(Timestamp::now())),
            type_: Some(weight.to_owned()),
            reason: Some(reason.to_owned()),
            note: Some(note.to_owned()),
            action: Some("Rotate".to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Secret".to_owned()),
                namespace: secret.namespace(),
                name: Some(name),
                uid: secret.uid(),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(self.replica.clone()),
            ..Event::default()
        }
    }
}

/// The Event's reason, how bad it is, and its text.
fn said(why: Why) -> (&'static str, &'static str, &'static str) {
    match why {
        Why::Made => (
            "AuthorityMade",
            "Normal",
            "There was no authority, and one was made. Pods that were given another one before know nothing of it: make them anew.",
        ),
        Why::Announced => (
            "AuthorityAnnounced",
            "Normal",
            "Another authority signs from the time in rollcall.dev/sign-from on. Sidecars in session are told; the one before is believed until it is retired.",
        ),
        Why::Retired => ("AuthorityRetired", "Normal", "The authority before this one is believed no more."),
        Why::Adopted => (
            "AuthorityAdopted",
            "Warning",
            "Somebody put another authority here. It signs from the time in rollcall.dev/sign-from on, so that sidecars in session hear of it first.",
        ),
        Why::Repaired => (
            "AuthorityRepaired",
            "Warning",
            "Something was missing, broken or out of date here, and was put back from a controller's memory.",
        ),
    }
}
