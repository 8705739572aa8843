//! `GET /v1/self`: what the pod is, and what became of what it says of itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use rollcall_catalogue::{Namespace, liveness::ProbeWitness};
use rollcall_wire::{Duty, PodIdentity, SelfRegistration};
use serde::{Serialize, Serializer};

use super::{
    entry::{Refusal, Status},
    files::Files,
    ledger::Ledger,
};

/// Holds the answer, its fields in the order of the contract.
#[derive(Debug, Serialize)]
pub(super) struct SelfBody<'a> {
    pod: Option<&'a str>,
    namespace: Option<&'a str>,
    registrations: Vec<Shown<'a>>,
    /// What the app says of all of it; null where it says nothing.
    health: Option<ShownHealth<'a>>,
}

/// Holds one registration.
#[derive(Debug, Default, Serialize)]
struct Shown<'a> {
    /// Of a machine with several: where it was registered, if that is not the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    service: Option<&'a str>,
    version: Option<&'a str>,
    /// The primary one.
    port: Option<u32>,
    ports: Ports<'a>,
    tags: &'a [String],
    metadata: Option<&'a BTreeMap<String, String>>,
    weight: Option<u32>,
    probe: Option<&'a str>,
    ttl: Option<String>,
    /// `app`, `classic`, `file`, `environment`, or `declared` by others: annotations, objects.
    source: &'static str,
    /// The file, where it is one that is refused.
    file: Option<&'a str>,
    state: &'static str,
    problem: Option<ShownProblem<'a>>,
    addresses: Vec<IpAddr>,
    /// What is known of the app, in the words of docs/liveness.md.
    health: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct ShownProblem<'a> {
    detail: &'a str,
    field: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ShownHealth<'a> {
    state: &'static str,
    output: &'a str,
}

/// Ports by their names, in the order that makes the first the primary one.
#[derive(Debug, Default)]
struct Ports<'a>(Vec<(&'a str, u32)>);

// === impl SelfBody ===

impl<'a> SelfBody<'a> {
    pub(super) fn of(
        ledger: &'a Ledger,
        files: &'a Files,
        pod: Option<&'a PodIdentity>,
        home: Option<&'a Namespace>,
    ) -> Self {
        Self {
            pod: pod.map(|pod| pod.name.as_str()),
            namespace: home.map(Namespace::as_str),
            registrations: registrations(ledger, files),
            health: ledger.health.app_word().map(|word| ShownHealth {
                state: if word.failing { "failing" } else { "serving" },
                output: &word.output,
            }),
        }
    }

    /// And what is registered at another address of the machine.
    pub(super) fn add(&mut self, address: IpAddr, ledger: &'a Ledger, files: &'a Files) {
        let there = registrations(ledger, files).into_iter();
        self.registrations.extend(there.map(|shown| Shown { address: Some(address), ..shown }));
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Text, numbers and maps with text keys, which serde_json cannot fail to write.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// All that one who speaks has registered, what others say that he is, and the files that are refused.
fn registrations<'a>(ledger: &'a Ledger, files: &'a Files) -> Vec<Shown<'a>> {
    let mut registrations = Vec::new();
    let mut said = BTreeSet::new();
    for (key, entry) in &ledger.entries {
        let Some((source, registration)) = entry.said() else { continue };
        let spots = ledger.spots_of(key);
        let duty = ledger
            .duties
            .iter()
            .find(|duty| spots.iter().any(|spot| (&spot.service, spot.port) == (&duty.service, duty.port)));
        let health = spots.first().and_then(|spot| ledger.health.of(spot));
        registrations.push(Shown {
            source: source.as_str(),
            state: match entry.status {
                Status::Pending => "pending",
                Status::Registered => "registered",
                Status::Rejected(_) => "rejected",
            },
            problem: match &entry.status {
                Status::Rejected(refusal) => Some(ShownProblem::of(refusal)),
                Status::Pending | Status::Registered => None,
            },
            addresses: duty.map(|duty| duty.addresses.clone()).unwrap_or_default(),
            health: health.map(ProbeWitness::as_str),
            ..Shown::of(registration)
        });
        said.extend(spots);
    }
    let others = ledger.spots().filter(|(spot, _)| !said.contains(spot));
    registrations.extend(
        others.map(|(spot, duty)| Shown::declared(duty, ledger.health.of(&spot).map(ProbeWitness::as_str))),
    );
    registrations.extend(files.refused().map(|(file, refusal)| Shown {
        source: "file",
        file: Some(file),
        state: "rejected",
        problem: Some(ShownProblem::of(refusal)),
        ..Shown::default()
    }));
    registrations
}

// === impl Shown ===

impl<'a> Shown<'a> {
    fn of(said: &'a SelfRegistration) -> Self {
        Self {
            service: Some(said.service.as_str()),
            version: said.version.as_deref(),
            port: said.ports.first().map(|port| port.port),
            ports: Ports(
                said.ports.iter().filter_map(|port| Some((port.name.as_deref()?, port.port))).collect(),
            ),
            tags: &said.tags,
            metadata: Some(&said.metadata),
            weight: said.weight,
            probe: said.probe.as_deref(),
            ttl: said.ttl_seconds.map(|seconds| format!("{seconds}s")),
            ..Self::default()
        }
    }

    fn declared(duty: &'a Duty, health: Option<&'static str>) -> Self {
        Self {
            service: Some(duty.service.as_str()),
            port: Some(duty.port.into()),
            ttl: duty.ttl_seconds.map(|seconds| format!("{seconds}s")),
            source: "declared",
            state: "registered",
            addresses: duty.addresses.clone(),
            health,
            ..Self::default()
        }
    }
}

// === impl ShownProblem ===

impl<'a> ShownProblem<'a> {
    fn of(refusal: &'a Refusal) -> Self {
        Self { detail: &refusal.reason, field: refusal.field.as_deref() }
    }
}

// === impl Ports ===

impl Serialize for Ports<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, port)| (name, port)))
    }
}
