//! What an app registered at run time, as an object that keeps it for the next process.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use rollcall_catalogue::{PodUid, Port, ProbeCheck, Probing, Registration, Source};
use rollcall_crds::{
    GrpcProbe, Heartbeat, HttpProbe, PodTarget, Port as SpecPort, Probe, ServiceRegistration,
    ServiceRegistrationSpec, TcpProbe,
};
use rollcall_wire::SelfRegistration;

use crate::index::AppWord;

/// The annotation with the app's word as it was said: not all of it has a place in the spec.
pub(super) const SAID_ANNOTATION: &str = "rollcall.dev/said";

/// The app's word in the annotation.
pub(super) fn said(word: &Registration) -> String {
    // Text, numbers and maps with text keys, which serde_json cannot fail to write.
    serde_json::to_string(&SelfRegistration::of(word)).unwrap_or_default()
}

/// What such an object keeps, if it does: that it says so in its spec as well is not looked at here.
pub(super) fn kept(object: &ServiceRegistration) -> Option<(AppWord, &str)> {
    let pod = object.spec.target.pod.as_ref()?;
    let said = object.metadata.annotations.as_ref()?.get(SAID_ANNOTATION)?;
    let said: SelfRegistration = serde_json::from_str(said).ok()?;
    let word = said.judge(&object.metadata.namespace.as_deref()?.parse().ok()?).ok()?;
    Some((AppWord { uid: pod.uid.as_str().into(), word: word.into() }, &pod.name))
}

/// Puts what has a place there into the spec.
pub(super) fn write(word: &Registration, pod: &str, uid: &PodUid, spec: &mut ServiceRegistrationSpec) {
    let attributes = &word.attributes;
    spec.target.pod = Some(PodTarget { name: pod.to_owned(), uid: uid.to_string() });
    spec.version = attributes.version.as_ref().map(ToString::to_string);
    spec.ports = attributes.ports.iter().map(port).collect();
    spec.tags = attributes.tags.iter().map(str::to_owned).collect();
    let metadata = attributes.metadata.iter();
    spec.metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    spec.weight = attributes.weight.map(i32::from);
    spec.probe = match &attributes.probe {
        Some(Probing::By(probe)) => {
            let mut written = Probe {
                http: None,
                tcp: None,
                grpc: None,
                interval_milliseconds: saturated(probe.interval_ms),
                timeout_milliseconds: saturated(probe.timeout_ms),
                failure_threshold: i32::from(probe.failure_threshold),
                success_threshold: i32::from(probe.success_threshold),
            };
            match &probe.check {
                ProbeCheck::Tcp { .. } => written.tcp = Some(TcpProbe { port: None }),
                ProbeCheck::Http { path, .. } => {
                    written.http = Some(HttpProbe { path: path.to_string(), port: None });
                }
                ProbeCheck::Grpc { service, .. } => {
                    let service = (!service.is_empty()).then(|| service.to_string());
                    written.grpc = Some(GrpcProbe { service, port: None });
                }
            }
            Some(written)
        }
        // Of an app that is not to be asked there is no word in the schema.
        Some(Probing::Off) | None => None,
    };
    spec.heartbeat = attributes.heartbeat.map(|heartbeat| Heartbeat {
        interval_seconds: saturated(heartbeat.interval_seconds),
        ttl_seconds: saturated(heartbeat.ttl_seconds),
    });
}

/// Deleted with the pod, and never in the way of that.
pub(super) fn owner(pod: &str, uid: &PodUid) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.to_owned(),
        uid: uid.to_string(),
        block_owner_deletion: None,
        controller: None,
    }
}

/// Whether the schema takes it: a word without ports says something of an instance that others declare.
pub(super) fn can_be(word: &Registration) -> bool {
    !word.attributes.ports.is_empty() && matches!(word.source, Source::Runtime { .. })
}

/// The schema asks each port for a name.
fn port(port: &Port) -> SpecPort {
    let written = super::managed_object::port(port);
    match port.name {
        Some(_) => written,
        None => SpecPort { name: format!("port-{}", port.port), ..written },
    }
}

/// The domain's limits are far below.
fn saturated(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[path = "app_object_tests.rs"]
mod tests;
