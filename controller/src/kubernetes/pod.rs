//! From Kubernetes' pod to the few facts that are kept of it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::{api::core::v1::PodCondition, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use rollcall_catalogue::{
    PodFacts, Port, asks_to_drain, by_annotations,
    liveness::{Phase, PodLife},
};
use rollcall_injection::{INJECT, MIRROR, REQUIRES, SIDECAR, Shape, exemption, wish};

use crate::{
    index::{Change, InjectionFacts, Key, Kind, NoticeReason, PodSeen},
    kubernetes::{
        pod_object::{Container, Pod, PodSpec, PodStatus},
        watched::{NoMeta, Watched, milliseconds, object_key, transport, uid},
    },
};

/// Characters of a container's last words: as many as an Event takes.
const MESSAGE_CHARS_MAX: usize = 1_024;

/// Pods, of all namespaces.
pub(super) struct Pods;

impl Watched for Pods {
    type Object = Pod;
    const KIND: Kind = Kind::Pod;

    fn key(meta: &ObjectMeta) -> Result<Key, NoMeta> {
        Ok(Key::Pod(uid(meta)?.into()))
    }

    fn seen(pod: Pod) -> Result<Change, NoMeta> {
        Ok(Change::Pod(Box::new(seen(pod)?)))
    }
}

fn seen(pod: Pod) -> Result<PodSeen, NoMeta> {
    let turned_ms = turned_ms(&pod);
    let Pod { metadata: meta, spec, status } = pod;
    let (spec, status) = (spec.as_ref(), status.as_ref());
    let object = object_key(&meta)?;
    let annotations = meta.annotations.as_ref();
    let (registration, problems) = annotations
        .map(|annotations| by_annotations(&object.namespace, annotations, first_container_port(spec)))
        .unwrap_or_default();
    let has_sidecar = spec.is_some_and(has_sidecar);
    let ready_beside_us = ready_beside_us(spec, status);
    let injection = injection(annotations, spec);
    let facts = PodFacts {
        uid: uid(&meta)?.into(),
        namespace: object.namespace,
        name: object.name,
        node: spec.and_then(|spec| spec.node_name.as_deref()).map(Into::into),
        addresses: addresses(status).into_iter().collect(),
        has_sidecar,
        registration: registration.map(Arc::new),
        asks_to_drain: annotations.is_some_and(asks_to_drain),
        life: PodLife {
            phase: phase(status),
            deleting: meta.deletion_timestamp.is_some(),
            ready: if has_sidecar { ready_beside_us } else { is_true(status, "Ready") },
            containers_ready: ready_beside_us,
        },
        labels: Arc::new(meta.labels.unwrap_or_default().into_iter().collect()),
    };
    let has_liveness_probe = spec.is_some_and(has_liveness_probe);
    Ok(PodSeen { facts, turned_ms, problems, injection, gave_up: gave_up(status), has_liveness_probe })
}

/// When it came into its present life. Kubernetes writes whole seconds.
fn turned_ms(pod: &Pod) -> Option<u64> {
    let meta = &pod.metadata;
    let turned_ms = match &meta.deletion_timestamp {
        // That is when the pod's grace will have ended: it was asked to go before it.
        Some(end) => {
            let grace_ms = meta.deletion_grace_period_seconds.unwrap_or_default().saturating_mul(1_000);
            milliseconds(end).saturating_sub(grace_ms)
        }
        None => milliseconds(condition(pod.status.as_ref(), "Ready")?.last_transition_time.as_ref()?),
    };
    u64::try_from(turned_ms).ok()
}

fn injection(annotations: Option<&BTreeMap<String, String>>, spec: Option<&PodSpec>) -> InjectionFacts {
    let annotation = |name: &str| annotations?.get(name).map(String::as_str);
    let is_windows = |spec: &PodSpec| {
        let os = spec.os.as_ref().and_then(|os| os.name.as_deref());
        let node = spec.node_selector.as_ref().and_then(|selector| selector.os.as_deref());
        [os, node].contains(&Some("windows"))
    };
    let shape = Shape {
        host_network: spec.is_some_and(|spec| spec.host_network),
        mirror: annotation(MIRROR).is_some(),
        windows: spec.is_some_and(is_windows),
    };
    InjectionFacts { wish: wish(None, annotation(INJECT)), exemption: exemption(shape) }
}

/// What the init container that waits for what the pod requires left behind where it gave up. Anybody can write anything
/// there.
fn gave_up(status: Option<&PodStatus>) -> Option<Box<str>> {
    let mut waiting = status?.init_container_statuses.iter().flatten();
    let ended = waiting.find(|container| container.name == REQUIRES)?.state.as_ref()?.terminated.as_ref()?;
    let message = ended.message.as_ref()?.trim_end();
    let printable = |character| if matches!(character, ' '..='~') { character } else { '?' };
    // The word is the Event's reason already.
    let rest = message.strip_prefix(NoticeReason::RequiresTimedOut.as_str())?;
    let rest = rest.trim_start_matches([':', ' ']);
    Some(rest.chars().take(MESSAGE_CHARS_MAX).map(printable).collect::<String>().into())
}

fn has_sidecar(spec: &PodSpec) -> bool {
    spec.init_containers.iter().flatten().chain(&spec.containers).any(|container| container.name == SIDECAR)
}

/// The containers of the app: those that are not there to serve it.
fn of_app(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.containers.iter().filter(|container| container.name != SIDECAR)
}

/// Whether Kubernetes looks after a container of the app, and restarts it.
fn has_liveness_probe(spec: &PodSpec) -> bool {
    of_app(spec).any(|container| container.liveness_probe.is_some())
}

/// The first port that a container of the app declares.
fn first_container_port(spec: Option<&PodSpec>) -> Option<Port> {
    spec.into_iter().flat_map(of_app).flat_map(|container| container.ports.iter().flatten()).find_map(
        |port| {
            let number = u16::try_from(port.container_port).ok()?;
            let transport = transport(port.protocol.as_deref());
            Some(Port { transport, ..Port::tcp(port.name.as_deref(), number) })
        },
    )
}

fn addresses(status: Option<&PodStatus>) -> Vec<IpAddr> {
    let Some(status) = status else { return Vec::new() };
    let listed = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let mut addresses = Vec::new();
    for ip in status.pod_ip.as_deref().into_iter().chain(listed) {
        if let Ok(ip) = ip.parse()
            && !addresses.contains(&ip)
        {
            addresses.push(ip);
        }
    }
    addresses
}

fn phase(status: Option<&PodStatus>) -> Phase {
    match status.and_then(|status| status.phase.as_deref()) {
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some("Running") => Phase::Running,
        _ => Phase::Pending,
    }
}

fn condition<'a>(status: Option<&'a PodStatus>, kind: &str) -> Option<&'a PodCondition> {
    status?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn is_true(status: Option<&PodStatus>, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition.status == "True")
}

/// Whether all containers but ours, other native sidecars included, and all readiness gates are ready. The pod's
/// own `Ready` condition will not do: it falls whenever our container restarts, and that must evict nobody. The
/// node controller turns that condition too, when it loses sight of the node; these it leaves as the kubelet had them.
fn ready_beside_us(spec: Option<&PodSpec>, status: Option<&PodStatus>) -> bool {
    let (Some(spec), Some(status)) = (spec, status) else { return false };
    let native =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let mut expected =
        spec.containers.iter().chain(native).map(|c| &c.name).filter(|name| *name != SIDECAR).peekable();
    let statuses = || status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let ready = |name: &String| statuses().any(|container| container.ready && container.name == *name);
    let mut gates = spec.readiness_gates.iter().flatten();
    expected.peek().is_some()
        && expected.all(ready)
        && gates.all(|gate| is_true(Some(status), &gate.condition_type))
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::Transport;
    use rollcall_injection::{Exemption, Wish};
    use serde_json::json;

    use super::*;

    /// A running pod with these containers ready, as the API server would give it.
    fn pod(app_ready: bool, sidecar_ready: bool) -> serde_json::Value {
        json!({
            "metadata": {"name": "orders-1", "namespace": "shop", "uid": "u1", "labels": {"app": "orders"},
                "annotations": {"rollcall.dev/service": "orders", "rollcall.dev/port": "http:8080"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "app"}],
                "initContainers": [{"name": "setup"}, {"name": SIDECAR, "restartPolicy": "Always"}]},
            "status": {"phase": "Running", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}, {"ip": "fd00::3"}],
                "conditions": [{"type": "Ready", "status": if app_ready && sidecar_ready { "True" } else { "False" }}],
                "containerStatuses": [{"name": "app", "ready": app_ready, "image": "", "imageID": "", "restartCount": 0}],
                "initContainerStatuses": [
                    {"name": SIDECAR, "ready": sidecar_ready, "image": "", "imageID": "", "restartCount": 0}]}
        })
    }

    fn see(value: serde_json::Value) -> PodSeen {
        let change = Pods::seen(serde_json::from_value(value).unwrap()).unwrap();
        let Change::Pod(seen) = change else { panic!("{change:?}") };
        *seen
    }

    fn read(value: serde_json::Value) -> PodFacts {
        let PodSeen { facts, problems, .. } = see(value);
        assert_eq!(problems, []);
        facts
    }

    #[test]
    fn the_facts_of_a_pod() {
        let facts = read(pod(true, true));
        assert_eq!((&*facts.uid.text(), facts.namespace.as_str(), &*facts.name), ("u1", "shop", "orders-1"));
        let addresses: Vec<_> = facts.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.1.2.3", "fd00::3"]);
        assert!(facts.has_sidecar && facts.life == PodLife::READY && !facts.asks_to_drain);
        assert_eq!(facts.registration.unwrap().key.to_string(), "orders.shop");
        assert_eq!(Pods::seen(Pod::default()).unwrap_err(), NoMeta("namespace"));
    }

    #[test]
    fn without_a_port_annotation_the_first_declared_one_counts() {
        let mut declaring = pod(true, true);
        let annotations = declaring["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove("rollcall.dev/port");
        declaring["spec"]["containers"] = json!([
            {"name": SIDECAR, "ports": [{"containerPort": 7300}]},
            {"name": "app", "ports": [{"name": "dns", "containerPort": 5353, "protocol": "UDP"}, {"containerPort": 80}]},
        ]);
        let registration = read(declaring).registration.unwrap();
        let dns = Port { transport: Transport::Udp, ..Port::tcp(Some("dns"), 5353) };
        assert_eq!(registration.attributes.ports, [dns]);
    }

    #[test]
    fn only_a_liveness_probe_of_the_app_restarts_it() {
        let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10});
        let with = |containers: serde_json::Value, native: serde_json::Value| {
            let mut pod = pod(true, true);
            pod["spec"]["containers"] = containers;
            pod["spec"]["initContainers"] = native;
            see(pod).has_liveness_probe
        };
        let (bare, probed) = (json!({"name": "app"}), json!({"name": "app", "livenessProbe": probe}));
        let ours = json!({"name": SIDECAR, "livenessProbe": probe});
        let native = json!({"name": "proxy", "restartPolicy": "Always", "livenessProbe": probe});
        for (containers, natives, expected) in [
            (json!([bare]), json!([]), false),
            (json!([probed]), json!([]), true),
            (json!([bare, probed]), json!([]), true),
            (json!([ours, bare]), json!([]), false),
            (json!([bare]), json!([ours, native]), false),
            (json!([{"name": "app", "livenessProbe": null, "readinessProbe": probe}]), json!([]), false),
        ] {
            assert_eq!(with(containers.clone(), natives), expected, "{containers}");
        }
    }

    #[test]
    fn a_dead_sidecar_takes_nobody_out_and_a_dead_app_does() {
        let served = |value| read(value).life.ready;
        assert!(served(pod(true, true)));
        assert!(served(pod(true, false)), "only our own container is not ready");
        assert!(!served(pod(false, true)));
        let mut other_native = pod(true, true);
        other_native["spec"]["initContainers"][0]["restartPolicy"] = json!("Always");
        assert!(!served(other_native), "another native sidecar counts as any container");
        let mut gated = pod(true, true);
        gated["spec"]["readinessGates"] = json!([{"conditionType": "lb.example/ready"}]);
        assert!(!served(gated));
        let mut plain = pod(true, true);
        plain["spec"]["initContainers"] = json!([]);
        plain["status"]["conditions"][0]["status"] = json!("False");
        assert!(!served(plain), "without a sidecar Kubernetes' own word counts");
    }

    #[test]
    fn what_the_kubelet_said_last_outlives_what_the_node_controller_makes_of_it() {
        let mut lost = pod(true, true);
        lost["status"]["conditions"][0]["status"] = json!("False");
        let life = read(lost.clone()).life;
        assert!(life.ready && life.containers_ready, "with a sidecar the condition is not asked");
        lost["spec"]["initContainers"] = json!([]);
        let life = read(lost.clone()).life;
        assert!(!life.ready && life.containers_ready);
        lost["status"]["containerStatuses"][0]["ready"] = json!(false);
        assert!(!read(lost).life.containers_ready);
    }

    #[test]
    fn when_a_pod_turned() {
        let mut turned = pod(true, true);
        assert_eq!(see(turned.clone()).turned_ms, None, "nobody said when");
        turned["status"]["conditions"] = json!([
            {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-02T03:04:00Z"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"},
        ]);
        assert_eq!(see(turned.clone()).turned_ms, Some(1_767_323_045_000));
        turned["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:05:00Z");
        turned["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        let seen = see(turned.clone());
        assert_eq!(seen.turned_ms, Some(1_767_323_070_000), "asked to go 30 s before its grace ends");
        assert!(seen.facts.life.deleting);
        turned["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        assert_eq!(see(turned).turned_ms, Some(1_767_323_100_000));
    }

    #[test]
    fn who_asks_for_a_sidecar_and_who_can_have_none() {
        let at = |path: &str, value: serde_json::Value| {
            let mut pod = pod(true, true);
            let (parent, name) = path.rsplit_once('/').unwrap();
            pod.pointer_mut(parent).unwrap()[name.replace("~1", "/")] = value;
            see(pod).injection
        };
        let annotated = |name: &str, value| at(&format!("/metadata/annotations/{name}"), json!(value));
        assert_eq!(see(pod(true, true)).injection, InjectionFacts::default());
        assert_eq!(annotated("rollcall.dev~1inject", "true").wish, Wish::Asked);
        assert_eq!(annotated("rollcall.dev~1inject", "disabled").wish, Wish::Declined);
        let [linux, windows] = ["linux", "windows"].map(|os| json!({"name": os}));
        for (facts, exemption) in [
            (annotated("kubernetes.io~1config.mirror", "0a1b"), Some(Exemption::Mirror)),
            (at("/spec/hostNetwork", json!(true)), Some(Exemption::HostNetwork)),
            (at("/spec/hostNetwork", json!(false)), None),
            (at("/spec/os", windows), Some(Exemption::Windows)),
            (at("/spec/os", linux), None),
            (at("/spec/nodeSelector", json!({"kubernetes.io/os": "windows"})), Some(Exemption::Windows)),
            (at("/spec/nodeSelector", json!({"disk": "ssd"})), None),
        ] {
            assert_eq!(facts, InjectionFacts { wish: Wish::None, exemption });
        }
    }

    #[test]
    fn the_last_words_of_who_waited_are_taken_and_of_nobody_else() {
        let left = |name: &str, state: serde_json::Value| {
            let mut pod = pod(true, true);
            pod["status"]["initContainerStatuses"] = json!([{"name": name, "ready": true, "state": state}]);
            see(pod).gave_up
        };
        let words = |message: &str| json!({"terminated": {"exitCode": 0, "message": message}});
        let said = "RequiresTimedOut: after 60s: orders needs 2 and has 1";
        assert_eq!(left(REQUIRES, words(said)).as_deref(), said.strip_prefix("RequiresTimedOut: "));
        for (name, state) in [
            ("setup", words(said)),
            (REQUIRES, words("panicked")),
            (REQUIRES, words("")),
            (REQUIRES, json!({"terminated": {"exitCode": 0}})),
            (REQUIRES, json!({"running": {}})),
        ] {
            assert_eq!(left(name, state.clone()), None, "{name} {state}");
        }
        let odd = left(REQUIRES, words("RequiresTimedOut\u{1b}[2J\u{202e}é\n")).unwrap();
        assert_eq!(&*odd, "?[2J??");
        let long = left(REQUIRES, words(&format!("RequiresTimedOut{}", "é".repeat(5_000)))).unwrap();
        assert_eq!(long.len(), MESSAGE_CHARS_MAX);
    }

    #[test]
    fn bad_annotations_are_told_and_the_rest_counts() {
        let mut bad = pod(true, true);
        bad["metadata"]["annotations"]["rollcall.dev/weight"] = json!("heavy");
        let seen = see(bad);
        assert_eq!(seen.problems.len(), 1);
        assert!(seen.facts.registration.is_some());
    }
}
