//! What is known of a pod: its object, and what controllers and its sidecar's log say of it. Nothing is judged here.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ContainerPort, ContainerState, Namespace as NamespaceObject, Pod};
use kube::{Api, api::LogParams};
use rollcall_catalogue::{Namespace, Port, Visibility, by_annotations};
use rollcall_injection::{INJECT, SIDECAR, Shape, exemption, wish};
use serde::Deserialize;
use serde_json::Value;

use super::{
    facts::{Controllers, Member, PodFacts, Sidecar},
    service::ExplainAnswer,
};
use crate::{
    check::{
        ask::first,
        facts::{Asked, Many},
        gather::{build, crd, refused_in},
        judge,
    },
    failure::Failure,
    reach::{Reach, Replica, Seen, body},
    verbs::Heard,
};

/// Where the sidecar's token is mounted.
const TOKEN_PATH: &str = "/var/run/secrets/rollcall";
/// A sidecar without a session says why every 30 s at the latest.
const LOG_LINES: i64 = 200;
/// Services that one pod is asked for; a sidecar holds 16 registrations.
const SERVICES_MAX: usize = 16;

/// Holds the answer of `GET /v1/instances?address=`.
#[derive(Debug, Deserialize)]
struct Found {
    instances: Vec<FoundMember>,
}

#[derive(Debug, Deserialize)]
struct FoundMember {
    service: String,
    namespace: String,
}

pub(super) async fn facts(
    reach: &Reach,
    name: &str,
    caller: Option<&Namespace>,
) -> Result<PodFacts, Failure> {
    let pod = reach.pod(name).await?;
    let namespaces: Api<NamespaceObject> = Api::all(reach.client.clone());
    let (replicas, crd, labels, refused) = tokio::join!(
        reach.replicas(),
        crd(reach),
        reach.seen(namespaces.get(reach.namespace.as_str())),
        refused_in(reach, reach.namespace.as_str()),
    );
    let known = build()?;
    let asked = replicas.here().map(Vec::as_slice).unwrap_or_default();
    let (instances, session) = tokio::join!(members(reach, asked, &pod), session(reach, asked, name));
    let label = labels.here().and_then(|found| found.metadata.labels.as_ref()?.get(INJECT).cloned());
    let mut facts = of_pod(&reach.namespace, &pod, label.as_deref());
    facts.pod = name.to_owned();
    facts.controllers = controllers(&replicas);
    facts.crd = crd.here().map(|crd| judge::crd::age(crd, &known));
    facts.instances = instances;
    facts.refused = refused.here().cloned().unwrap_or_default();
    facts.caller = caller.map(ToString::to_string);
    if let Some(sidecar) = &mut facts.sidecar {
        sidecar.session = session;
        if sidecar.running {
            sidecar.last_error = last_error(reach, name).await;
        }
    }
    Ok(facts)
}

fn controllers(replicas: &Seen<Vec<Replica>>) -> Controllers {
    match replicas {
        Seen::Here(replicas) if replicas.is_empty() => Controllers::NotInstalled,
        Seen::Here(replicas) => match replicas.iter().filter(|replica| replica.ready).count() {
            0 => Controllers::NoneReady(replicas.len()),
            ready => Controllers::Ready(ready),
        },
        Seen::Missing => Controllers::NotInstalled,
        Seen::Forbidden(why) | Seen::Unknown(why) => Controllers::NotSeen(why.clone()),
    }
}

/// What the pod's own object says.
fn of_pod(namespace: &Namespace, pod: &Pod, label: Option<&str>) -> PodFacts {
    let annotations = pod.metadata.annotations.clone().unwrap_or_default();
    let annotations: BTreeMap<_, _> =
        annotations.into_iter().filter(|(name, _)| name.starts_with("rollcall.dev/")).collect();
    let (_, problems) = by_annotations(namespace, &annotations, first_port(pod));
    let shape = serde_json::to_value(pod).map(|pod| Shape::of(&pod)).ok();
    let spec = pod.spec.as_ref();
    let ours = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let has_sidecar = ours.into_iter().any(|container| container.name == SIDECAR);
    let status = pod.status.as_ref();
    PodFacts {
        namespace: namespace.to_string(),
        pod: String::new(),
        controllers: Controllers::NotInstalled,
        crd: None,
        problems: problems.iter().map(ToString::to_string).collect(),
        wish: wish(label, annotations.get(INJECT).map(String::as_str)),
        annotations,
        exempt: shape.and_then(exemption).map(|exempt| exempt.to_string()),
        sidecar: has_sidecar.then(|| sidecar(pod)),
        ending: pod.metadata.deletion_timestamp.is_some(),
        phase: status.and_then(|status| status.phase.clone()).unwrap_or_default(),
        unready: unready(pod),
        declared_ports: ports(pod).map(|port| port.container_port).collect(),
        instances: None,
        refused: Vec::new(),
        caller: None,
    }
}

/// The first port that its containers declare, which is meant where no annotation names one.
fn first_port(pod: &Pod) -> Option<Port> {
    ports(pod)
        .find_map(|port| Some(Port::tcp(port.name.as_deref(), u16::try_from(port.container_port).ok()?)))
}

/// The ports that the containers of its app declare; what a sidecar declares is none of them.
fn ports(pod: &Pod) -> impl Iterator<Item = &ContainerPort> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let of_app = containers.filter(|container| container.name != SIDECAR);
    of_app.flat_map(|container| container.ports.iter().flatten())
}

fn sidecar(pod: &Pod) -> Sidecar {
    let statuses = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let state = statuses.into_iter().find(|one| one.name == SIDECAR).and_then(|one| one.state.as_ref());
    let running = state.is_some_and(|state| state.running.is_some());
    let why = state.map_or_else(|| "it is not begun yet".to_owned(), why);
    Sidecar { running, why, audience: audience(pod), session: None, last_error: None }
}

fn why(state: &ContainerState) -> String {
    let told = match (&state.waiting, &state.terminated) {
        (Some(waiting), _) => (waiting.reason.clone(), waiting.message.clone()),
        (None, Some(ended)) => (ended.reason.clone(), ended.message.clone()),
        (None, None) => (None, None),
    };
    let words: Vec<_> = [told.0, told.1].into_iter().flatten().collect();
    if words.is_empty() { "Kubernetes does not say why".to_owned() } else { words.join(": ") }
}

/// Whom the token is for that the sidecar has at its place.
fn audience(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let ours = spec.init_containers.as_ref()?.iter().find(|container| container.name == SIDECAR)?;
    let mounts = ours.volume_mounts.as_ref()?;
    let mount = mounts.iter().find(|mount| mount.mount_path.trim_end_matches('/') == TOKEN_PATH)?;
    let volume = spec.volumes.as_ref()?.iter().find(|volume| volume.name == mount.name)?;
    let sources = volume.projected.as_ref()?.sources.as_ref()?;
    let token = sources.iter().find_map(|source| source.service_account_token.as_ref())?;
    // Without one it is the API server's own.
    Some(token.audience.clone().unwrap_or_else(|| "of the API server".to_owned()))
}

/// The containers of the app that are not ready.
fn unready(pod: &Pod) -> Vec<String> {
    let statuses: Vec<_> =
        pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).collect();
    let names = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str());
    names
        .filter(|name| *name != SIDECAR)
        .filter_map(|name| match statuses.iter().find(|one| one.name == name) {
            Some(status) if status.ready => None,
            Some(status) => {
                let state = status.state.as_ref().filter(|state| state.running.is_none());
                let because = state.map_or_else(|| "its readiness probe fails".to_owned(), why);
                Some(format!("{name} ({because})"))
            }
            None => Some(format!("{name} (not begun)")),
        })
        .collect()
}

/// What the pod is in the catalogue; none where nobody could be asked.
async fn members(reach: &Reach, replicas: &[Replica], pod: &Pod) -> Option<Vec<Member>> {
    let Some(address) = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()) else {
        return Some(Vec::new());
    };
    let path = format!("/v1/instances?address={address}");
    let Asked::Told(found) = first::<Found>(reach, replicas, &path).await else { return None };
    let name = pod.metadata.name.as_deref();
    let services: BTreeSet<_> = found.instances.into_iter().map(|one| (one.namespace, one.service)).collect();
    let mut members = Vec::new();
    for (namespace, service) in services.into_iter().take(SERVICES_MAX) {
        let path = format!("/v1/explain/{service}.{namespace}");
        let Asked::Told(explained) = first::<ExplainAnswer>(reach, replicas, &path).await else { continue };
        let visibility = visibility(reach, &namespace, &service).await;
        let ours = explained.instances.into_iter().filter(|one| one.pod.as_deref() == name);
        members.extend(ours.map(|one| Member {
            service: service.clone(),
            namespace: namespace.clone(),
            port: one.port,
            served: one.served,
            state: one.state,
            reason: one.reason,
            probe: one.witnesses.probe,
            visibility: visibility.clone(),
        }));
    }
    Some(members)
}

/// Who may see the service, by the dump of its namespace.
async fn visibility(reach: &Reach, namespace: &str, service: &str) -> Option<Visibility> {
    let answer = reach.read(&format!("/v1/catalogue?namespace={namespace}")).await.ok()?;
    let dump: Value = serde_json::from_slice(body(&answer).ok()?).ok()?;
    let services = dump.get("services")?.as_array()?;
    let ours = services.iter().find(|one| one.get("service").is_some_and(|name| name == service))?;
    seen_by(ours.get("visibility")?.as_str()?)
}

/// As the annotation writes it.
fn seen_by(text: &str) -> Option<Visibility> {
    match text {
        "cluster" => Some(Visibility::Cluster),
        "namespace" => Some(Visibility::own()),
        names => {
            let names: Result<BTreeSet<Namespace>, _> = names.split(',').map(str::parse).collect();
            names.ok().map(Visibility::Namespaces)
        }
    }
}

/// How the session of its sidecar stands.
async fn session(reach: &Reach, replicas: &[Replica], name: &str) -> Option<String> {
    let path = format!("/v1/sessions?namespace={}", reach.namespace);
    let Asked::Told(told) = first::<Many<Heard>>(reach, replicas, &path).await else { return None };
    told.pods.into_iter().find(|one| one.pod == name).map(|one| one.session)
}

/// Why the sidecar has no session, by its own log; none where it says nothing of it, or has one.
async fn last_error(reach: &Reach, name: &str) -> Option<String> {
    let pods: Api<Pod> = Api::namespaced(reach.client.clone(), reach.namespace.as_str());
    let wanted = LogParams {
        container: Some(SIDECAR.to_owned()),
        tail_lines: Some(LOG_LINES),
        ..LogParams::default()
    };
    match reach.seen(pods.logs(name, &wanted)).await {
        Seen::Here(log) => no_session(&log),
        _ => None,
    }
}

/// The last word of a log on why there is no session, unless there was one since.
fn no_session(log: &str) -> Option<String> {
    let mut last = None;
    for line in log.lines() {
        let Ok(said) = serde_json::from_str::<Value>(line) else { continue };
        let word = |name: &str| said.get(name).and_then(Value::as_str);
        match word("message") {
            Some("in session") => last = None,
            Some(message) if message.starts_with("no session") || message == "another replica is asked" => {
                let told =
                    [word("error"), word("cause")].into_iter().flatten().filter(|told| !told.is_empty());
                last = Some(told.collect::<Vec<_>>().join(": "));
            }
            _ => {}
        }
    }
    last.filter(|told| !told.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_word_of_a_log_counts() {
        let failed = json!({"message": "no session; lookups go on from the last state", "error": "controller 10.0.0.1:7310: did not answer in time", "cause": ""});
        let entered = json!({"message": "in session"});
        let log = |lines: &[&Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(
            no_session(&log(&[&entered, &failed])).as_deref(),
            Some("controller 10.0.0.1:7310: did not answer in time")
        );
        assert_eq!(no_session(&log(&[&failed, &entered])), None);
        assert_eq!(no_session("no JSON at all\n"), None);
    }

    #[test]
    fn a_pods_object_tells_its_token_and_what_is_not_ready() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web-1"},
            "spec": {
                "containers": [{"name": "app"}, {"name": "helper"}, {"name": "late"}],
                "initContainers": [{"name": SIDECAR, "volumeMounts": [{"name": "t", "mountPath": TOKEN_PATH}]}],
                "volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "vault"}}]}}]
            },
            "status": {
                "initContainerStatuses": [{"name": SIDECAR, "ready": false, "image": "i", "imageID": "", "restartCount": 0,
                    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}],
                "containerStatuses": [
                    {"name": "app", "ready": false, "image": "i", "imageID": "", "restartCount": 0, "state": {"running": {}}},
                    {"name": "helper", "ready": true, "image": "i", "imageID": "", "restartCount": 0}]
            }
        }))
        .unwrap();
        assert_eq!(audience(&pod).as_deref(), Some("vault"));
        let found = sidecar(&pod);
        assert_eq!((found.running, found.why.as_str()), (false, "ImagePullBackOff: no such image"));
        assert_eq!(unready(&pod), ["app (its readiness probe fails)", "late (not begun)"]);
    }

    #[test]
    fn a_port_that_a_container_declares_needs_no_annotation() {
        let problems = |container: &str, ports: Value, annotations: Value| {
            let pod: Pod = serde_json::from_value(json!({
                "metadata": {"name": "orders-1", "annotations": annotations},
                "spec": {"containers": [{"name": container, "ports": ports}]}
            }))
            .unwrap();
            let facts = of_pod(&"shop".parse().unwrap(), &pod, None);
            (facts.problems, facts.declared_ports)
        };
        let service = json!({"rollcall.dev/service": "orders"});
        let declared = json!([{"containerPort": 8080, "name": "http"}]);
        assert_eq!(problems("app", declared.clone(), service.clone()), (vec![], vec![8080]));
        let named = json!({"rollcall.dev/service": "orders", "rollcall.dev/port": "8080"});
        assert_eq!(problems("app", json!([]), named), (vec![], vec![]));
        let (said, _) = problems("app", json!([]), service.clone());
        assert!(said.len() == 1 && said[0].contains("rollcall.dev/port"), "{said:?}");
        let (said, ports) = problems(SIDECAR, declared, service);
        assert_eq!((said.len(), ports.len()), (1, 0), "a sidecar's port is not the app's");
        let none = problems("app", json!([]), json!({"rollcall.dev/version": "1.4.2"}));
        assert_eq!(none, (vec![], vec![]), "who names no service needs no port");
    }

    #[test]
    fn who_may_see_a_service_is_read_as_it_is_written() {
        for visibility in ["cluster", "namespace", "bank,web"] {
            assert_eq!(seen_by(visibility).unwrap().to_string(), visibility);
        }
        assert_eq!(seen_by("Bank!"), None);
    }
}
