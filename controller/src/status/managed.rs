//! The registrations that we write ourselves, so that people see with `kubectl` what the catalogue has without them.

use std::sync::Arc;

use kube::{
    Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use rollcall_crds::ServiceRegistration;
use rollcall_net::Jitter;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{debug, info, warn};

use super::{
    FIELD_MANAGER, KEEP_EVERY,
    api::{Failure, STATUS, registrations, send},
    keeper::{Keeper, Step},
    managed_object::{is_ours, object},
    pace::Pause,
    source::Source,
};
use crate::{
    index::{ManagedSpec, ObjectKey},
    lease::{Leadership, Term},
    operate::{WriteCounts, WriteKind},
    owner::OwnerGone,
};

/// Creates what is missing, replaces what says something else, and deletes what nobody wants any more, in each term
/// that we come to.
pub(super) async fn run<S: Source>(
    client: Client,
    source: S,
    mut leadership: Leadership,
    counts: Arc<WriteCounts>,
) -> Result<(), OwnerGone> {
    loop {
        let term = leadership.held().await;
        let keeping =
            Keeping { client: client.clone(), leadership: leadership.clone(), term, counts: &counts };
        tokio::select! {
            ended = keeping.keep(&source) => ended?,
            () = leadership.over(term) => {}
        }
    }
}

/// Holds what one term's work needs.
struct Keeping<'a> {
    client: Client,
    leadership: Leadership,
    term: Term,
    counts: &'a WriteCounts,
}

// === impl Keeping ===

impl Keeping<'_> {
    async fn keep<S: Source>(&self, source: &S) -> Result<(), OwnerGone> {
        let mut keeper = Keeper::new(Jitter::from_entropy());
        let mut pause = Pause::new(Jitter::from_entropy());
        let mut round = interval(KEEP_EVERY);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            sleep_until(pause.over_at(Instant::now())).await;
            let Some(managed) = source.managed().await? else { continue };
            for step in keeper.plan(&managed, Instant::now()) {
                // Before each write, since those before it took their time.
                if !self.leadership.lasts(self.term) {
                    return Ok(());
                }
                if !self.take(&step, &mut pause).await {
                    keeper.unanswered(&step, Instant::now());
                    break;
                }
                keeper.rest(&step, Instant::now());
            }
        }
    }

    /// Whether the API server answered: if not, the rest of the round is left to a later one.
    async fn take(&self, step: &Step, pause: &mut Pause) -> bool {
        let ObjectKey { namespace, name } = step.object();
        let result = self.write(step).await;
        if let Err(failure @ Failure::Unavailable(_)) = &result {
            warn!(%namespace, name = %name, %failure, "a managed registration is not seen to");
            pause.failed(Instant::now());
            return false;
        }
        pause.answered();
        match (step, result) {
            (Step::Create(..), Ok(())) => {
                info!(%namespace, name = %name, "a managed registration is created");
            }
            (Step::Delete { .. }, Ok(())) => {
                info!(%namespace, name = %name, "a managed registration is deleted: nobody wants it any more");
            }
            (Step::Replace { .. }, Ok(())) => {
                info!(%namespace, name = %name, "a managed registration is made anew: it said something else");
            }
            (_, Err(failure @ (Failure::Refused(_) | Failure::Denied(_)))) => {
                warn!(%namespace, name = %name, %failure, "a managed registration is left alone");
            }
            // Somebody else's of that name, or one that was made anew or deleted meanwhile: not ours to touch.
            (_, Err(failure)) => {
                debug!(%namespace, name = %name, %failure, "a managed registration is left alone");
            }
        }
        true
    }

    async fn write(&self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Create(key, spec) => self.create(key, spec).await,
            Step::Delete { object, uid } => self.delete(object, uid).await,
            Step::Replace { object, uid, spec } => {
                self.delete(object, uid).await?;
                // The next holder creates what is missing.
                if !self.leadership.lasts(self.term) {
                    return Ok(());
                }
                self.create(object, spec).await
            }
        }
    }

    /// Not applied: that would take over an object of this name which a person wrote.
    async fn create(&self, key: &ObjectKey, spec: &ManagedSpec) -> Result<(), Failure> {
        self.counts.count(WriteKind::Registration);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let body = serde_json::to_vec(&object(key, spec));
        let body = body.map_err(|error| Failure::Refused(error.to_string()))?;
        send(&self.client, registrations(&key.namespace).create(&params, body)).await.map(drop)
    }

    /// Only as it is now: since our watch showed it, somebody may have made it his.
    async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), Failure> {
        let path = registrations(&key.namespace);
        // Its status is what our role may get.
        let there = send(&self.client, path.get_subresource(STATUS, &key.name)).await?;
        let version = version_of_ours(there, uid).filter(|_| self.leadership.lasts(self.term));
        let version = version.ok_or(Failure::Conflict)?;
        self.counts.count(WriteKind::Registration);
        let preconditions = Preconditions { resource_version: Some(version), uid: Some(uid.to_owned()) };
        let params = DeleteParams::default().preconditions(preconditions);
        send(&self.client, path.delete(&key.name, &params)).await.map(drop)
    }
}

/// The version of the object that has this uid, while it is ours.
fn version_of_ours(mut there: Value, uid: &str) -> Option<String> {
    // Whoever may write an object may write into this list what no type can hold.
    there.get_mut("metadata")?.as_object_mut()?.remove("managedFields");
    let there: ServiceRegistration = serde_json::from_value(there).ok()?;
    let ours = is_ours(&there) && there.metadata.uid.as_deref() == Some(uid);
    there.metadata.resource_version.filter(|_| ours)
}

#[cfg(test)]
#[path = "managed_tests.rs"]
mod tests;
