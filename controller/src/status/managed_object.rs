//! What a registration that we write ourselves looks like, and whether one that there is looks so.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
    jiff::Timestamp,
};
use rollcall_catalogue::{Port, Registration, Transport};
use rollcall_crds::{
    LabelSelector, Port as SpecPort, ServiceRegistration, ServiceRegistrationSpec, ServiceTarget, Target,
};

use crate::index::{ManagedSpec, ObjectKey, Origin, Present};

/// The label that says who wrote an object; a person who takes one over removes it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// What that label says of ours.
pub const MANAGED_BY_US: &str = "rollcall-controller";
/// The label of a pod that names its service.
pub const SERVICE_LABEL: &str = "rollcall.dev/service";
/// The name of a port that nobody named: the schema asks for one.
const UNNAMED_PORT: &str = "primary";

/// The object that says so.
pub(super) fn object(key: &ObjectKey, spec: &ManagedSpec) -> ServiceRegistration {
    let service = spec.service.service.to_string();
    let mut written = ServiceRegistrationSpec {
        service: Some(service.clone()),
        version: None,
        target: Target::default(),
        ports: Vec::new(),
        tags: [].into(),
        metadata: [].into(),
        weight: None,
        probe: None,
        heartbeat: None,
        load_balancing: None,
        visibility: None,
    };
    let mut owners = None;
    match &spec.origin {
        Origin::Pods { version, ports } => {
            let match_labels = [(SERVICE_LABEL.to_owned(), service)].into();
            written.target.selector = Some(LabelSelector { match_labels, ..LabelSelector::default() });
            written.version = version.as_ref().map(ToString::to_string);
            written.ports = ports.iter().map(port).collect();
        }
        Origin::Service { name, uid } => {
            written.target.service = Some(ServiceTarget { name: name.to_string() });
            // Never in the way of the Service's own deletion, and deleted with it.
            owners = Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Service".to_owned(),
                name: name.to_string(),
                uid: uid.to_string(),
                block_owner_deletion: None,
                controller: None,
            }]);
        }
    }
    let metadata = ObjectMeta {
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        labels: Some([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY_US.to_owned())].into()),
        owner_references: owners,
        ..ObjectMeta::default()
    };
    ServiceRegistration { metadata, spec: written, status: None }
}

/// Whether the object says something else than it would if it were written now. What we do not write, such as a weight
/// that a person added, is not looked at.
pub(super) fn differs(present: &Present, key: &ObjectKey, spec: &ManagedSpec) -> bool {
    // Of what cannot be, nothing better can be made.
    let Some(wanted) = read(key, spec) else { return false };
    let said = |registration: &Registration| {
        let Registration { key, target, attributes, .. } = registration.clone();
        (key, target, attributes.version, attributes.ports)
    };
    present.registration.as_deref().map(said) != Some(said(&wanted))
}

/// As the index reads it, once the API server has made it an object.
pub(super) fn read(key: &ObjectKey, spec: &ManagedSpec) -> Option<Registration> {
    let mut written = object(key, spec);
    written.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    rollcall_crds::registration(&written).ok()
}

fn port(port: &Port) -> SpecPort {
    let protocol = match port.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Sctp => "SCTP",
    };
    SpecPort {
        name: port.name.as_deref().unwrap_or(UNNAMED_PORT).to_owned(),
        port: i32::from(port.port),
        protocol: protocol.to_owned(),
        app_protocol: port.app_protocol.as_deref().map(str::to_owned),
    }
}
