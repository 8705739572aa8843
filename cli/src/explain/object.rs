//! What a pod's own object says of its way into the catalogue. Asks nobody.

use k8s_openapi::api::core::v1::{Container, ContainerPort, Pod};
use rollcall_catalogue::{Namespace, Port, Transport, by_annotations};
use rollcall_injection::{INJECT, SIDECAR, Shape, exemption, wish};

use super::{
    astray::{Owner, PREFIX, Words, astray},
    facts::{Controllers, Crd, Declared, Injection, LastWord, PodFacts, Sidecar},
};
use crate::pods::{unready, why};

/// Where the sidecar's token is mounted, unless its flag says something else.
const TOKEN_PATH: &str = "/var/run/secrets/rollcall/token";
const TOKEN_ENV: &str = "ROLLCALL_TOKEN_FILE";

/// What the pod itself says; the rest is as if nobody had been asked.
pub(super) fn of_pod(namespace: &Namespace, pod: &Pod, label: Option<&str>, owners: &[Owner]) -> PodFacts {
    let all = pod.metadata.annotations.clone().unwrap_or_default();
    let astray = astray(&all, &pod.metadata.labels.clone().unwrap_or_default(), owners);
    let annotations: Words = all.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    let (_, problems) = by_annotations(namespace, &annotations, first_port(pod));
    let shape = serde_json::to_value(pod).map(|pod| Shape::of(&pod)).ok();
    let name = pod.metadata.name.clone().unwrap_or_default();
    let status = pod.status.as_ref();
    PodFacts {
        namespace: namespace.to_string(),
        controllers: Controllers::NotInstalled,
        crd: Crd::NotSeen,
        problems: problems.iter().map(ToString::to_string).collect(),
        wish: wish(label, annotations.get(INJECT).map(String::as_str)),
        annotations,
        astray,
        injection: Injection { label: label.map(str::to_owned), ..Injection::default() },
        exempt: shape.and_then(exemption).map(|exempt| why_exempt(&exempt.to_string())),
        sidecar: ours(pod).map(|container| sidecar(pod, container)),
        anew: anew(namespace, &name, owners),
        ending: pod.metadata.deletion_timestamp.is_some(),
        phase: status.and_then(|status| status.phase.clone()).unwrap_or_default(),
        unready: unready(pod),
        declared_ports: ports(pod).filter_map(declared).collect(),
        instances: None,
        registrations: None,
        walls: Vec::new(),
        caller: None,
        pod: name,
    }
}

/// What is said of it in an Event, without what is to be done.
fn why_exempt(said: &str) -> String {
    let why = said.strip_prefix("no sidecar: ").unwrap_or(said);
    why.split_once("; ").map_or(why, |(why, _)| why).to_owned()
}

/// How to have such a pod made anew.
fn anew(namespace: &Namespace, pod: &str, owners: &[Owner]) -> String {
    const RESTARTED: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];
    match owners.iter().rev().find(|owner| RESTARTED.contains(&owner.kind.as_str())) {
        Some(Owner { kind, name, .. }) => {
            format!("`kubectl -n {namespace} rollout restart {}/{name}`", kind.to_lowercase())
        }
        None if owners.is_empty() => format!("delete the pod {pod} and create it again"),
        None => format!("`kubectl -n {namespace} delete pod {pod}`"),
    }
}

/// The first port that its containers declare, which is meant where no annotation names one.
fn first_port(pod: &Pod) -> Option<Port> {
    ports(pod).find_map(|port| {
        let number = u16::try_from(port.container_port).ok()?;
        let transport = match port.protocol.as_deref() {
            Some("UDP") => Transport::Udp,
            Some("SCTP") => Transport::Sctp,
            _ => Transport::Tcp,
        };
        Some(Port { transport, ..Port::tcp(port.name.as_deref(), number) })
    })
}

fn declared(port: &ContainerPort) -> Option<Declared> {
    let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
    Some(Declared { port: u16::try_from(port.container_port).ok()?, protocol })
}

/// The ports that the containers of its app declare; what a sidecar declares is none of them.
fn ports(pod: &Pod) -> impl Iterator<Item = &ContainerPort> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let of_app = containers.filter(|container| container.name != SIDECAR);
    of_app.flat_map(|container| container.ports.iter().flatten())
}

/// The sidecar: injection makes it an init container, and people who write one by hand may make it another.
fn ours(pod: &Pod) -> Option<&Container> {
    let spec = pod.spec.as_ref()?;
    spec.init_containers.iter().flatten().chain(&spec.containers).find(|container| container.name == SIDECAR)
}

fn sidecar(pod: &Pod, container: &Container) -> Sidecar {
    let status = pod.status.as_ref();
    let of_init = status.into_iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let of_app = status.into_iter().flat_map(|status| status.container_statuses.iter().flatten());
    let found = of_init.chain(of_app).find(|one| one.name == SIDECAR);
    let state = found.and_then(|one| one.state.as_ref());
    let running = state.is_some_and(|state| state.running.is_some());
    let why = state.map(why);
    Sidecar { running, why, audience: audience(pod, container), session: None, last_word: LastWord::Nothing }
}

/// Whom the token is for that the sidecar has at its place.
fn audience(pod: &Pod, container: &Container) -> Option<String> {
    let told = container.env.iter().flatten().find(|variable| variable.name == TOKEN_ENV);
    let path = told.and_then(|variable| variable.value.as_deref()).unwrap_or(TOKEN_PATH);
    let folder = path.rsplit_once('/').map_or(path, |(folder, _)| folder);
    let mounts = container.volume_mounts.as_ref()?;
    let mount = mounts.iter().find(|mount| {
        let at = mount.mount_path.trim_end_matches('/');
        at == folder || at == path
    })?;
    let volumes = pod.spec.as_ref()?.volumes.as_ref()?;
    let volume = volumes.iter().find(|volume| volume.name == mount.name)?;
    let sources = volume.projected.as_ref()?.sources.as_ref()?;
    let token = sources.iter().find_map(|source| source.service_account_token.as_ref())?;
    // Without one it is the API server's own.
    Some(
        token
            .audience
            .clone()
            .filter(|audience| !audience.is_empty())
            .unwrap_or_else(|| "of the API server".to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    fn facts(pod: &Pod) -> PodFacts {
        of_pod(&"shop".parse().unwrap(), pod, None, &[])
    }

    #[test]
    fn a_pods_object_tells_its_sidecar_and_its_token() {
        let with = |place: &str, container: Value| {
            let mut spec = json!({
                "nodeName": "n1",
                "containers": [{"name": "app"}],
                "volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "vault"}}]}}]
            });
            let mut all = spec.get(place).and_then(Value::as_array).cloned().unwrap_or_default();
            all.push(container);
            spec[place] = all.into();
            facts(&pod(json!({"metadata": {"name": "web-1"}, "spec": spec,
                "status": {"initContainerStatuses": [{"name": SIDECAR, "ready": false, "image": "i", "imageID": "", "restartCount": 0,
                    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}})))
            .sidecar
        };
        let at = |path: &str| json!([{"name": "t", "mountPath": path}]);
        let found =
            with("initContainers", json!({"name": SIDECAR, "volumeMounts": at("/var/run/secrets/rollcall")}))
                .unwrap();
        assert_eq!((found.running, found.why.as_deref()), (false, Some("ImagePullBackOff: no such image")));
        assert_eq!(found.audience.as_deref(), Some("vault"));
        let by_hand = json!({"name": SIDECAR, "volumeMounts": at("/tokens/"), "env": [{"name": TOKEN_ENV, "value": "/tokens/mine"}]});
        assert_eq!(with("containers", by_hand).unwrap().audience.as_deref(), Some("vault"));
        assert_eq!(with("containers", json!({"name": SIDECAR})).unwrap().audience, None);
        assert_eq!(with("containers", json!({"name": "other"})), None);
    }

    #[test]
    fn of_a_pod_that_no_node_takes_no_sidecar_is_begun() {
        let conditions = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}]);
        let spec = json!({"containers": [{"name": "app"}], "initContainers": [{"name": SIDECAR}]});
        let found = facts(&pod(
            json!({"metadata": {"name": "a"}, "spec": spec, "status": {"conditions": conditions}}),
        ));
        assert_eq!(found.sidecar.unwrap().why, None);
        assert_eq!(found.unready, ["no node takes it (Unschedulable: 0/2 nodes)"]);
    }

    #[test]
    fn a_port_that_a_container_declares_needs_no_annotation() {
        let problems = |container: &str, ports: Value, annotations: Value| {
            let pod = pod(json!({
                "metadata": {"name": "orders-1", "annotations": annotations},
                "spec": {"containers": [{"name": container, "ports": ports}]}
            }));
            let facts = facts(&pod);
            (facts.problems, facts.declared_ports.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let service = json!({"rollcall.dev/service": "orders"});
        let declared =
            json!([{"containerPort": 8080, "name": "http"}, {"containerPort": 53, "protocol": "UDP"}]);
        let expected = vec!["8080".to_owned(), "53/UDP".to_owned()];
        assert_eq!(problems("app", declared.clone(), service.clone()), (vec![], expected));
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
    fn why_a_pod_can_have_no_sidecar_is_told_once() {
        let found =
            facts(&pod(json!({"metadata": {"name": "a"}, "spec": {"hostNetwork": true, "containers": []}})));
        let expected = "it is in its node's network, where the ports of a sidecar would be the node's";
        assert_eq!(found.exempt.as_deref(), Some(expected));
    }

    #[test]
    fn a_pod_is_made_anew_by_whoever_made_it() {
        let owner = |kind: &str, name: &str| Owner {
            kind: kind.into(),
            name: name.into(),
            annotations: Words::new(),
        };
        let told = |owners: &[Owner]| anew(&"shop".parse().unwrap(), "orders-1", owners);
        assert_eq!(
            told(&[owner("ReplicaSet", "orders-6d"), owner("Deployment", "orders")]),
            "`kubectl -n shop rollout restart deployment/orders`"
        );
        assert_eq!(told(&[owner("Job", "migrate")]), "`kubectl -n shop delete pod orders-1`");
        assert_eq!(told(&[]), "delete the pod orders-1 and create it again");
    }
}
