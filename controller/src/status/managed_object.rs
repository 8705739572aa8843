//! What a registration that we write ourselves looks like, and whether one that there is was written by us.

use std::sync::Arc;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
    jiff::Timestamp,
};
use rollcall_catalogue::{Port, Registration, ServiceKey, ServiceName, Transport};
use rollcall_crds::{
    LabelSelector, Port as SpecPort, ServiceRegistration, ServiceRegistrationSpec, ServiceTarget, Target,
};
use rollcall_wire::RegistrationKey;

use super::{
    app_name,
    app_object::{self, SAID_ANNOTATION},
    managed_name,
};
use crate::index::{AppWord, ManagedSpec, ObjectKey, Origin, Present};

/// The label that says who wrote an object; it is not believed alone.
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
        tags: Default::default(),
        metadata: [].into(),
        weight: None,
        probe: None,
        heartbeat: None,
        load_balancing: None,
        visibility: None,
    };
    let (mut owners, mut annotations) = (None, None);
    match &spec.origin {
        Origin::Pods { version, ports } => {
            let match_labels = [(SERVICE_LABEL.to_owned(), service)].into();
            written.target.selector = Some(LabelSelector { match_labels, ..LabelSelector::default() });
            written.version = version.as_ref().map(ToString::to_string);
            written.ports = ports.iter().map(port).collect();
        }
        Origin::Service { name, uid } => {
            written.target.service = Some(ServiceTarget { name: name.to_string() });
            owners = Some(vec![owner(name, uid)]);
        }
        Origin::App { pod, uid, word } => {
            app_object::write(word, pod, uid, &mut written);
            annotations = Some([(SAID_ANNOTATION.to_owned(), app_object::said(word))].into());
            owners = Some(vec![app_object::owner(pod, uid)]);
        }
    }
    let metadata = ObjectMeta {
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        labels: Some([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY_US.to_owned())].into()),
        owner_references: owners,
        annotations,
        ..ObjectMeta::default()
    };
    ServiceRegistration { metadata, spec: written, status: None }
}

/// Whether we wrote it: it has our label, and is what we write for pods, for a Service or for an app, under the name that
/// this has.
/// Whoever gives the label to an object of his own does not make it ours; and one of ours to which somebody has given
/// a word that we never write is his from then on. Only the ports are no sign, since we keep them up to date.
pub fn is_ours(object: &ServiceRegistration) -> bool {
    let labels = object.metadata.labels.iter();
    labels.flatten().any(|(key, value)| key == MANAGED_BY_LABEL && value == MANAGED_BY_US)
        && is_of_our_form(object).unwrap_or_default()
}

/// What an app had said, if this is ours and keeps that.
pub fn app_word(object: &ServiceRegistration) -> Option<AppWord> {
    if is_ours(object) { app_object::kept(object).map(|(word, _)| word) } else { None }
}

/// Compared with what we would write in its place; none where there is nothing that it could stand for.
fn is_of_our_form(there: &ServiceRegistration) -> Option<bool> {
    let service: ServiceName = there.spec.service.as_deref()?.parse().ok()?;
    let (name, origin) = if there.spec.target.service.is_some() {
        let of_this_name = |owner: &&OwnerReference| **owner == self::owner(service.as_str(), &owner.uid);
        let owner = there.metadata.owner_references.iter().flatten().find(of_this_name)?;
        let name: Arc<str> = service.as_str().into();
        (name.clone(), Origin::Service { name, uid: owner.uid.as_str().into() })
    } else if there.spec.target.pod.is_some() {
        let (AppWord { uid, word }, pod) = app_object::kept(there)?;
        let owner = app_object::owner(pod, &uid);
        there.metadata.owner_references.iter().flatten().find(|there| **there == owner)?;
        (app_name(&RegistrationKey::of(&word), &uid), Origin::App { pod: pod.into(), uid, word })
    } else {
        let version = there.spec.version.as_deref().map(str::parse).transpose().ok()?;
        (managed_name(&service, version.as_ref()), Origin::Pods { version, ports: Vec::new() })
    };
    let namespace = there.metadata.namespace.as_deref()?.parse().ok()?;
    let key = ObjectKey { namespace, name };
    let of_pods = matches!(origin, Origin::Pods { .. });
    let service = match &origin {
        Origin::App { word, .. } => word.key.clone(),
        Origin::Pods { .. } | Origin::Service { .. } => {
            ServiceKey { namespace: key.namespace.clone(), service }
        }
    };
    let mut ours = object(&key, &ManagedSpec { service, origin });
    if of_pods {
        ours.spec.ports.clone_from(&there.spec.ports);
    }
    Some(ours.metadata.name == there.metadata.name && ours.spec == there.spec)
}

/// Whether one of ours says something else than it would if it were written now.
pub(super) fn differs(present: &Present, key: &ObjectKey, spec: &ManagedSpec) -> bool {
    if let Origin::App { word, .. } = &spec.origin {
        return present.app.as_ref() != Some(word);
    }
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

/// Never in the way of the Service's own deletion, and deleted with it.
fn owner(service: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: service.to_owned(),
        uid: uid.to_owned(),
        block_owner_deletion: None,
        controller: None,
    }
}

pub(super) fn port(port: &Port) -> SpecPort {
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
