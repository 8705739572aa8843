//! Kubernetes Events: what a person should hear of once.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    Resource as _,
    api::{
        coordination::v1::Lease,
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use rollcall_crds::ServiceRegistration;
use rollcall_net::Jitter;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, warn};

use super::{
    FIELD_MANAGER,
    api::{Failure, call},
    notices::{Form, Letter, Notices, WAITING_MAX, object},
    source::Source,
};
use crate::{
    index::{About, Notice},
    lease::Leadership,
    operate::{WriteCounts, WriteKind},
    owner::OwnerGone,
};

/// How often the index is asked what there is to hear: Events are read minutes later.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Who says so, in the form that the API server asks for: a domain of ours.
const REPORTER: &str = "rollcall.dev/controller";
/// What was done about it. Nobody reads it, and the API server insists.
const ACTION: &str = "Reconcile";
/// Characters of a replica's name in an Event, which the API server limits.
const REPLICA_CHARS_MAX: usize = 128;

/// Writes Events while we hold the lease. Those who do not hold it listen too, and forget; but for pods without a
/// sidecar, which are there to be told of for as long as nobody has.
pub(super) async fn run<S: Source>(
    client: Client,
    source: S,
    leadership: Leadership,
    replica: String,
    counts: Arc<WriteCounts>,
) -> Result<(), OwnerGone> {
    let replica = replica.chars().take(REPLICA_CHARS_MAX).collect();
    let voice = Voice { client, replica, counts };
    let mut notices = Notices::new(Jitter::from_entropy());
    let mut held = None;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        if held.is_some_and(|term| !leadership.lasts(term)) {
            notices.clear();
        }
        let before = std::mem::replace(&mut held, leadership.term_now());
        let mut heard = source.notices(WAITING_MAX).await?;
        if held.is_some() {
            if held != before {
                source.tell_skipped_anew().await?;
            }
            heard.extend(source.skipped().await?);
        }
        let dropped =
            heard.into_iter().filter(|notice| !notices.offer(notice.clone(), Instant::now())).count();
        voice.drop_events(dropped);
        let Some(term) = held else {
            notices.forget_old(Instant::now());
            continue;
        };
        // Before each write, since those before it took their time.
        while leadership.lasts(term)
            && let Some(letter) = notices.next(Instant::now())
        {
            let result = voice.tell(&letter).await;
            let told = notices.done(letter, &result, Instant::now());
            voice.drop_events(usize::from(!told));
        }
    }
}

/// Holds the way to the Events.
struct Voice {
    client: Client,
    replica: String,
    counts: Arc<WriteCounts>,
}

// === impl Voice ===

impl Voice {
    async fn tell(&self, letter: &Letter) -> Result<(), Failure> {
        let (about, _) = object(&letter.notice.about);
        let api = Api::<Event>::namespaced(self.client.clone(), about.namespace.as_str());
        let now = MicroTime(Timestamp::now());
        let result = match &letter.form {
            Form::New { name } => {
                let uid = self.uid(&letter.notice.about).await;
                self.counts.count(WriteKind::Event);
                let params =
                    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
                call(api.create(&params, &self.event(&letter.notice, uid, name, now))).await
            }
            Form::CountOn { name, count } => {
                self.counts.count(WriteKind::Event);
                let series = EventSeries { count: *count, last_observed_time: now };
                let params =
                    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
                call(api.patch(name, &params, &Patch::Merge(json!({ "series": series })))).await
            }
        };
        match &result {
            Ok(_) => debug!(namespace = %about.namespace, name = %about.name, "an Event is written"),
            Err(failure) => {
                warn!(namespace = %about.namespace, name = %about.name, %failure, "an Event is not written");
            }
        }
        result.map(drop)
    }

    /// That of the object, without which `kubectl describe` does not find what is said of it. Of our Lease it is asked
    /// for: that is rare, and an Event without it is better than none.
    async fn uid(&self, about: &About) -> Option<String> {
        let (object, uid) = object(about);
        match (about, uid) {
            (About::Lease { .. }, _) => {
                let leases = Api::<Lease>::namespaced(self.client.clone(), object.namespace.as_str());
                call(leases.get(&object.name)).await.ok().and_then(|lease| lease.metadata.uid)
            }
            (_, uid) => uid.map(ToString::to_string),
        }
    }

    fn event(&self, notice: &Notice, uid: Option<String>, name: &str, now: MicroTime) -> Event {
        let (about, _) = object(&notice.about);
        let (api_version, kind) = match &notice.about {
            About::Pod { .. } => ("v1".into(), "Pod".into()),
            About::Registration { .. } => {
                (ServiceRegistration::api_version(&()), ServiceRegistration::kind(&()))
            }
            About::Lease { .. } => (Lease::API_VERSION.into(), Lease::KIND.into()),
        };
        Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(about.namespace.to_string()),
                ..ObjectMeta::default()
            },
            event_time: Some(now),
            type_: Some("Warning".to_owned()),
            reason: Some(notice.reason.as_str().to_owned()),
            note: Some(notice.message.clone()),
            action: Some(ACTION.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(api_version.into_owned()),
                kind: Some(kind.into_owned()),
                namespace: Some(about.namespace.to_string()),
                name: Some(about.name.to_string()),
                uid,
                ..ObjectReference::default()
            }),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(self.replica.clone()),
            ..Event::default()
        }
    }

    fn drop_events(&self, many: usize) {
        if many > 0 {
            warn!(many, "Events are left out: too many waited, or the API server did not take them");
            self.counts.drop_events(u64::try_from(many).unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
#[path = "voice_tests.rs"]
mod tests;
