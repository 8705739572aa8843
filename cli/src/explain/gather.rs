//! What is known of a pod: its object, what is around it in the cluster, and what controllers and its sidecar's log say of it.
//! Nothing is judged here.

use k8s_openapi::{
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        core::v1::{Namespace as NamespaceObject, Pod, Secret, Service},
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use rollcall_catalogue::{Namespace, Visibility};
use rollcall_injection::INJECT;

use super::{
    astray::Owner,
    catalogue::{last_word, members, session},
    facts::{Controllers, Crd, Injection, PodFacts},
    object::of_pod,
    registrations::{Mark, Registration, registration},
};
use crate::{
    check::{
        facts::{Authority, Deployment, Webhook},
        gather::{AUTHORITY, SESSIONS_PORT, build, crd, deployment, now_s, registrations},
        judge, objects,
    },
    failure::Failure,
    policies::{Direction, Labels, Party, selects, walls},
    reach::{Reach, Replica, Seen, Source},
};

/// A pod of a CronJob has two before it, and nobody makes longer chains.
const OWNERS_MAX: usize = 3;

pub(super) async fn facts(
    reach: &Reach,
    name: &str,
    caller: Option<&Namespace>,
) -> Result<PodFacts, Failure> {
    let pod = reach.pod(name).await?;
    let source = Source::Cluster(Box::new(reach.clone()));
    let namespaces: Api<NamespaceObject> = Api::all(reach.client.clone());
    let mark = mark(&pod);
    let (replicas, deployment, crd, home, owners, registrations) = tokio::join!(
        reach.replicas(),
        deployment(reach),
        crd(reach),
        reach.seen(namespaces.get(reach.namespace.as_str())),
        owners(reach, &pod),
        of_namespace(reach, &reach.namespace, &mark),
    );
    let known = build()?;
    let label = home.here().and_then(|found| found.metadata.labels.as_ref()?.get(INJECT).cloned());
    let mut facts = of_pod(&reach.namespace, &pod, label.as_deref(), &owners);
    let asked = replicas.here().map(Vec::as_slice).unwrap_or_default();
    let (instances, session, webhook, walls) = tokio::join!(
        members(&source, reach, asked, &pod),
        session(reach, asked, name),
        webhook(reach, &deployment, home.here()),
        around(reach, &pod, home.here(), asked),
    );
    facts.controllers = controllers(&replicas, &deployment);
    facts.crd = match &crd {
        Seen::Here(there) => Crd::Seen(judge::crd::age(there, &known), judge::crd::lacking(there, &known)),
        Seen::Missing => Crd::Missing,
        Seen::Forbidden(_) | Seen::Unknown(_) => Crd::NotSeen,
    };
    facts.injection = Injection { webhook, ..injection(&pod, home.here()) };
    facts.instances = instances;
    facts.registrations = registrations;
    facts.walls = walls;
    facts.caller = caller.map(ToString::to_string);
    if let Some(sidecar) = &mut facts.sidecar {
        sidecar.session = session;
        if sidecar.running {
            sidecar.last_word = last_word(reach, name).await;
        }
    }
    Ok(facts)
}

fn controllers(replicas: &Seen<Vec<Replica>>, deployment: &Seen<Deployment>) -> Controllers {
    let replicas = match replicas {
        Seen::Here(replicas) => replicas.as_slice(),
        Seen::Missing => &[],
        Seen::Forbidden(why) | Seen::Unknown(why) => return Controllers::NotSeen(why.clone()),
    };
    let ready = replicas.iter().filter(|replica| replica.ready).count();
    match deployment {
        _ if ready > 0 => Controllers::Ready(ready),
        Seen::Here(Deployment { wanted: 0, .. }) => Controllers::ScaledToZero,
        _ if !replicas.is_empty() => Controllers::NoneReady(replicas.iter().map(Replica::told).collect()),
        Seen::Here(Deployment { stuck, .. }) => Controllers::NotMade(stuck.clone()),
        _ => Controllers::NotInstalled,
    }
}

/// Whoever made the pod, and whoever made that; those that may be seen.
async fn owners(reach: &Reach, pod: &Pod) -> Vec<Owner> {
    let mut owners = Vec::new();
    let mut next = owner(&pod.metadata);
    while let Some(reference) = next.take().filter(|_| owners.len() < OWNERS_MAX) {
        let (group, version) = reference.api_version.split_once('/').unwrap_or(("", &reference.api_version));
        // The kinds that make pods are called by their plural's name in lower case.
        let kind = GroupVersionKind::gvk(group, version, &reference.kind);
        let kind = ApiResource::from_gvk_with_plural(&kind, &format!("{}s", reference.kind.to_lowercase()));
        let api: Api<DynamicObject> =
            Api::namespaced_with(reach.client.clone(), reach.namespace.as_str(), &kind);
        let seen = reach.seen(api.get_metadata(&reference.name)).await;
        let metadata = seen.here().map(|found| found.metadata.clone()).unwrap_or_default();
        next = owner(&metadata);
        owners.push(Owner {
            kind: reference.kind,
            name: reference.name,
            annotations: metadata.annotations.unwrap_or_default(),
        });
    }
    owners
}

fn owner(metadata: &ObjectMeta) -> Option<OwnerReference> {
    metadata.owner_references.as_ref()?.iter().find(|one| one.controller == Some(true)).cloned()
}

fn mark(pod: &Pod) -> Mark {
    let metadata = &pod.metadata;
    Mark {
        pod: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        labels: metadata.labels.clone().unwrap_or_default(),
    }
}

/// The registrations of the namespace, as they bear on this pod; none where they were not seen.
pub(super) async fn of_namespace(
    reach: &Reach,
    namespace: &Namespace,
    mark: &Mark,
) -> Option<Vec<Registration>> {
    let services: Api<Service> = Api::namespaced(reach.client.clone(), namespace.as_str());
    let found = registrations(reach, Some(namespace.as_str()));
    let (found, services) = tokio::join!(
        reach.all(&found, None, |object: DynamicObject| Some(object)),
        reach.all(&services, None, |service: Service| Some(service)),
    );
    let services = services.here().map(|listed| listed.items.as_slice()).unwrap_or_default();
    match found {
        Seen::Here(found) => {
            Some(found.items.iter().filter_map(|object| registration(object, mark, services)).collect())
        }
        // Without the CRD there are none.
        Seen::Missing => Some(Vec::new()),
        Seen::Forbidden(_) | Seen::Unknown(_) => None,
    }
}

/// What is wrong with the webhook, for pods of this namespace; none where it is well, or was not seen.
async fn webhook(
    reach: &Reach,
    deployment: &Seen<Deployment>,
    home: Option<&NamespaceObject>,
) -> Option<(String, String)> {
    let system = reach.system.as_str();
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(reach.client.clone());
    let secrets: Api<Secret> = Api::namespaced(reach.client.clone(), system);
    let name = format!("{system}-injection");
    let (webhook, authority) =
        tokio::join!(reach.seen(webhooks.get(&name)), reach.seen(secrets.get(AUTHORITY)));
    let (webhook, authority): (Seen<Webhook>, Seen<Authority>) =
        (webhook.map(objects::webhook), authority.map(objects::authority));
    let injects = deployment.here().map(|deployment| deployment.injects);
    if let Some(wrong) = judge::webhook::wrong(&webhook, injects, &authority, system, now_s()) {
        return Some(wrong);
    }
    let labels = home?.metadata.labels.clone().unwrap_or_default();
    let entries = &webhook.here()?.entries;
    let is_asked = entries.iter().any(|entry| selects(&entry.namespaces, &labels));
    (!is_asked).then(|| {
        let says = format!("the webhook leaves the namespace {} alone", reach.namespace);
        (
            says,
            "see injection.namespaces of the chart: `only` and `except` say which namespaces it is asked for"
                .to_owned(),
        )
    })
}

/// What of the namespace has a say in the pod's sidecar.
fn injection(pod: &Pod, home: Option<&NamespaceObject>) -> Injection {
    let metadata = home.map(|home| &home.metadata);
    let label = metadata.and_then(|metadata| metadata.labels.as_ref()?.get(INJECT).cloned());
    let is_annotation = metadata
        .and_then(|metadata| metadata.annotations.as_ref())
        .is_some_and(|annotations| annotations.contains_key(INJECT));
    let field = format!("f:{INJECT}");
    let written = metadata.into_iter().flat_map(|metadata| metadata.managed_fields.iter().flatten());
    let of_label = written.filter(|entry| {
        let labels = entry.fields_v1.as_ref().and_then(|fields| fields.0.pointer("/f:metadata/f:labels"));
        labels.is_some_and(|labels| labels.get(&field).is_some())
    });
    let labelled = of_label.filter_map(|entry| entry.time.clone()).max();
    let made = pod.metadata.creation_timestamp.clone();
    let is_older_than_label = labelled.zip(made).is_some_and(|(labelled, made)| made < labelled);
    Injection { label, is_annotation, is_older_than_label, webhook: None }
}

/// The NetworkPolicies between the pod and the controllers.
async fn around(
    reach: &Reach,
    pod: &Pod,
    home: Option<&NamespaceObject>,
    replicas: &[Replica],
) -> Vec<String> {
    let policies =
        |namespace: &str| -> Api<NetworkPolicy> { Api::namespaced(reach.client.clone(), namespace) };
    let (ours, theirs) = (policies(reach.namespace.as_str()), policies(reach.system.as_str()));
    let namespaces: Api<NamespaceObject> = Api::all(reach.client.clone());
    let kept = |policy: NetworkPolicy| Some(policy);
    let (ours, theirs, system) = tokio::join!(
        reach.all(&ours, None, kept),
        reach.all(&theirs, None, kept),
        reach.seen(namespaces.get(reach.system.as_str())),
    );
    let labels_of = |found: Option<&NamespaceObject>, name: &Namespace| -> Labels {
        let own = ("kubernetes.io/metadata.name".to_owned(), name.to_string());
        found.and_then(|found| found.metadata.labels.clone()).unwrap_or_else(|| [own].into())
    };
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()?.parse().ok());
    let here = Party {
        namespace: reach.namespace.to_string(),
        namespace_labels: labels_of(home, &reach.namespace),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        addresses: address.into_iter().collect(),
    };
    let system_labels = labels_of(system.here(), &reach.system);
    let there: Vec<_> = replicas.iter().map(|one| one.party(&reach.system, &system_labels)).collect();
    let none = Vec::new();
    let (ours, theirs) = (
        ours.here().map_or(&none, |listed| &listed.items),
        theirs.here().map_or(&none, |listed| &listed.items),
    );
    if there.is_empty() {
        return Vec::new();
    }
    let own = walls(ours, Direction::Out, &here, &there, SESSIONS_PORT)
        .into_iter()
        .map(|name| format!("{name} of {} lets it reach no controller", reach.namespace));
    let me = std::slice::from_ref(&here);
    let their_walls: Vec<_> =
        there.iter().map(|one| walls(theirs, Direction::In, one, me, SESSIONS_PORT)).collect();
    // One that lets it in is enough.
    let is_shut = their_walls.iter().all(|walls| !walls.is_empty());
    let of_theirs = their_walls.into_iter().next().filter(|_| is_shut).unwrap_or_default();
    let of_theirs =
        of_theirs.into_iter().map(|name| format!("{name} of {} lets it in at no controller", reach.system));
    own.chain(of_theirs).collect()
}

/// As the annotation writes it.
pub(super) fn seen_by(text: &str) -> Option<Visibility> {
    match text {
        "cluster" => Some(Visibility::Cluster),
        "namespace" => Some(Visibility::own()),
        names => {
            let names: Result<_, _> = names.split(',').map(str::parse).collect();
            names.ok().map(Visibility::Namespaces)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn who_may_see_a_service_is_read_as_it_is_written() {
        for visibility in ["cluster", "namespace", "bank,web"] {
            assert_eq!(seen_by(visibility).unwrap().to_string(), visibility);
        }
        assert_eq!(seen_by("Bank!"), None);
    }

    #[test]
    fn why_there_is_no_controller_is_told_by_whoever_makes_them() {
        let deployment = |wanted: i32, stuck: Option<&str>| {
            Seen::Here(Deployment {
                version: None,
                wanted,
                ready: 0,
                injects: true,
                overlap_s: None,
                stuck: stuck.map(str::to_owned),
            })
        };
        let replica = |ready: bool| Replica { ready, ..Replica::named("c-1") };
        let stuck = Some("exceeded quota".to_owned());
        for (replicas, deployment, expected) in [
            (vec![replica(true)], deployment(0, None), Controllers::Ready(1)),
            (vec![], deployment(0, None), Controllers::ScaledToZero),
            (vec![replica(false)], deployment(0, None), Controllers::ScaledToZero),
            (vec![replica(false)], deployment(2, None), Controllers::NoneReady(vec!["c-1".to_owned()])),
            (vec![], deployment(2, Some("exceeded quota")), Controllers::NotMade(stuck)),
            (vec![], Seen::Missing, Controllers::NotInstalled),
        ] {
            assert_eq!(controllers(&Seen::Here(replicas), &deployment), expected);
        }
    }

    #[test]
    fn a_pod_that_is_older_than_the_label_is_known_by_when_that_was_written() {
        let home = |name: &str, time: &str| -> NamespaceObject {
            let fields = json!({"f:metadata": {"f:labels": {format!("f:{name}"): {}}}});
            let entry =
                json!({"manager": "kubectl-label", "operation": "Update", "time": time, "fieldsV1": fields});
            let metadata = json!({"name": "shop", "labels": {INJECT: "enabled"}, "managedFields": [entry]});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        let pod: Pod = serde_json::from_value::<Value>(
            json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:10Z"}}),
        )
        .and_then(serde_json::from_value)
        .unwrap();
        for (name, time, expected) in [
            (INJECT, "2026-01-01T00:00:11Z", true),
            (INJECT, "2026-01-01T00:00:09Z", false),
            ("team", "2026-01-01T00:00:11Z", false),
        ] {
            let found = injection(&pod, Some(&home(name, time)));
            assert_eq!(
                (found.is_older_than_label, found.label.as_deref()),
                (expected, Some("enabled")),
                "{name} {time}"
            );
        }
        assert_eq!(injection(&pod, None), Injection::default());
    }
}
