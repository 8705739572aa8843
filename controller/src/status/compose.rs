//! What a status says: pure functions of a report.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use rollcall_catalogue::Instance;
use rollcall_crds::{ConditionType, InstanceStatus, ServiceRegistrationStatus, conditions};
use sha2::{Digest, Sha256};

use crate::index::{REPORTED_MAX, Report, StatusDigest};

/// The longest reason that the schema takes: one of a newer build may be any word.
const REASON_CHARS_MAX: usize = 63;

/// The status to write for this report. What is held already lends the times of what did not change.
pub fn status(report: &Report, held: &ServiceRegistrationStatus, now: &Time) -> ServiceRegistrationStatus {
    let instances = report.instances.iter().take(REPORTED_MAX).map(|one| instance(one, held, now));
    ServiceRegistrationStatus {
        observed_generation: Some(report.generation),
        conditions: conditions(&held.conditions, &report.findings, Some(report.generation), now),
        serving: Some(count(report.serving)),
        total: Some(count(report.total)),
        instances: instances.collect(),
        truncated: report.truncated || report.instances.len() > REPORTED_MAX,
    }
}

/// What a report says, its times left out: that of every status which is written for it, whatever is held.
pub fn digest(report: &Report) -> StatusDigest {
    let anytime = Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
    digest_of(&status(report, &ServiceRegistrationStatus::default(), &anytime))
}

/// What a status says, its times left out, and what others may have written into it. The same in every process: two
/// builds that differ here write each status once more.
pub fn digest_of(status: &ServiceRegistrationStatus) -> StatusDigest {
    let ServiceRegistrationStatus { observed_generation, conditions, serving, total, instances, truncated } =
        status;
    let mut writing = Writing(Sha256::new());
    writing.number(*observed_generation);
    writing.number(serving.map(i64::from));
    writing.number(total.map(i64::from));
    writing.number(Some(i64::from(*truncated)));
    let mut ours: Vec<_> = conditions.iter().filter(|condition| is_ours(condition)).collect();
    ours.sort_by(|a, b| a.type_.cmp(&b.type_));
    writing.number(i64::try_from(ours.len()).ok());
    for condition in ours {
        let Condition { last_transition_time: _, message, observed_generation, reason, status, type_ } =
            condition;
        [type_, status, reason, message].into_iter().for_each(|text| writing.text(Some(text)));
        writing.number(*observed_generation);
    }
    // A list that is a map by id says the same in any order, and the API server may keep its own.
    let mut by_id: Vec<_> = instances.iter().collect();
    by_id.sort_by(|a, b| a.id.cmp(&b.id));
    writing.number(i64::try_from(by_id.len()).ok());
    for InstanceStatus { id, address, port, pod, state, reason, since: _ } in by_id {
        writing.text(Some(id));
        writing.text(address.as_ref());
        writing.number(port.map(i64::from));
        writing.text(pod.as_ref());
        writing.text(Some(state));
        writing.text(reason.as_ref());
    }
    writing.digest()
}

/// Holds a hash under way. Each part goes in with its length or its width, so that no two lists of parts are alike.
struct Writing(Sha256);

fn instance(instance: &Instance, held: &ServiceRegistrationStatus, now: &Time) -> InstanceStatus {
    let id = instance.id.to_string();
    let state = instance.state.to_string();
    let same = held.instances.iter().find(|one| one.id == id && one.state == state);
    InstanceStatus {
        id,
        address: Some(instance.address().to_string()),
        port: Some(i32::from(instance.profile.port)),
        pod: instance.pod.as_deref().map(str::to_owned),
        state,
        reason: Some(instance.reason.as_str().chars().take(REASON_CHARS_MAX).collect()),
        since: Some(same.and_then(|one| one.since.clone()).unwrap_or_else(|| now.clone())),
    }
}

fn is_ours(condition: &Condition) -> bool {
    let ours = [ConditionType::Ready, ConditionType::Accepted, ConditionType::Resolved];
    ours.iter().any(|kind| kind.as_str() == condition.type_)
}

fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

// === impl Writing ===

impl Writing {
    fn text(&mut self, text: Option<&String>) {
        self.number(text.and_then(|text| i64::try_from(text.len()).ok()));
        self.0.update(text.map(String::as_bytes).unwrap_or_default());
    }

    fn number(&mut self, number: Option<i64>) {
        self.0.update([u8::from(number.is_some())]);
        self.0.update(number.unwrap_or_default().to_be_bytes());
    }

    fn digest(self) -> StatusDigest {
        let hash: [u8; 32] = self.0.finalize().into();
        let first = hash.first_chunk().copied().unwrap_or_default();
        // 0 is the digest of an object without a status.
        StatusDigest(u64::from_be_bytes(first).max(1))
    }
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
