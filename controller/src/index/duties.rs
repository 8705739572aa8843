//! What the pods in session are: the instances that their sidecars look after. Nothing is kept of it here: whoever tells
//! the sidecars knows what they were told.

use std::collections::BTreeSet;

use rollcall_catalogue::{
    Addresses, PodUid, ProbeCheck, ProbeSpec, Profile, ServiceKey,
    consolidate::{Consolidated, Profiles},
};
use rollcall_wire::{DUTIES_MAX, Duty, DutyCheck, DutyProbe};

use crate::index::{Index, endpoints::OwnerId, join::probed_port};

// === impl Index ===

impl Index {
    /// The pods in session that were joined since the last call, or have said hello: they may be other instances now.
    pub fn take_on_duty(&mut self) -> BTreeSet<PodUid> {
        std::mem::take(&mut self.on_duty)
    }

    /// What a pod is, by service and port.
    pub fn duties(&self, uid: &PodUid) -> Vec<Duty> {
        let mut services = self.services_of(uid);
        services.sort();
        let owner = OwnerId::Pod(uid.clone());
        let joined = services.iter().flat_map(|key| {
            let entry = self.services.get(key);
            // Joined once more: of what was joined, only what callers see is kept.
            let joined = entry.and_then(|entry| self.join(key, entry, &owner, &mut Profiles::default()));
            let consolidated = joined.map(|joined| joined.consolidated).unwrap_or_default();
            consolidated.into_iter().map(move |one| duty(key, one))
        });
        joined.take(DUTIES_MAX).collect()
    }

    /// What this pod is may have changed; of interest while it is in session.
    pub(super) fn mark_on_duty(&mut self, uid: &PodUid) {
        let session = self.pods.get(uid).and_then(|entry| entry.session.as_ref());
        if session.is_some_and(|session| session.is_open()) {
            self.on_duty.insert(uid.clone());
        }
    }
}

fn duty(key: &ServiceKey, one: Consolidated) -> Duty {
    let Consolidated { instance, probe, heartbeat, declared } = one;
    Duty {
        service: key.service.clone(),
        probe: probe.and_then(|probe| duty_probe(probe, &instance.profile)),
        id: instance.id,
        addresses: Addresses::iter(&instance.addresses).collect(),
        port: instance.profile.port,
        declared,
        ttl_seconds: heartbeat.map(|heartbeat| heartbeat.ttl_seconds),
    }
}

fn duty_probe(probe: ProbeSpec, profile: &Profile) -> Option<DutyProbe> {
    let port = probed_port(&probe, profile)?;
    let ProbeSpec { check, interval_ms, timeout_ms, failure_threshold, success_threshold } = probe;
    let check = match check {
        ProbeCheck::Tcp { .. } => DutyCheck::Tcp,
        ProbeCheck::Http { path, .. } => DutyCheck::Http(path),
        ProbeCheck::Grpc { service, .. } => DutyCheck::Grpc(service),
    };
    Some(DutyProbe { check, port, interval_ms, timeout_ms, failure_threshold, success_threshold })
}
