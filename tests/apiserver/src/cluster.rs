//! What Kubernetes' own controllers and kubelets write, so that a test can play a cluster: each word as the real ones say
//! it, and at once.

use rollcall_injection::SIDECAR;
use serde_json::{Value, json};

use crate::{
    history::Id,
    kinds::Kind,
    server::ApiServer,
    state::{Options, State},
};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const OF_SLICES: &str = "endpointslice-controller.k8s.io";
const KUBELET: &str = "kubelet";
const CONTROLLERS: &str = "kube-controller-manager";

/// Holds the way to a server, as those have it who keep a cluster going.
#[derive(Debug, Clone)]
pub struct Cluster(ApiServer);

/// Says what a pod is to be.
#[derive(Debug, Clone, Default)]
pub struct PodWish {
    /// Empty: nobody has given it one yet.
    pub node: String,
    pub labels: Vec<(&'static str, String)>,
    pub annotations: Vec<(&'static str, String)>,
    /// Whether it was given our container.
    pub sidecar: bool,
}

// === impl Cluster ===

impl Cluster {
    pub fn new(server: &ApiServer) -> Self {
        Self(server.clone())
    }

    pub fn namespace(&self, name: &str) {
        self.create("namespaces", "", json!({"metadata": {"name": name}}));
    }

    /// A node that is ready, in this zone.
    pub fn node(&self, name: &str, zone: &str) {
        self.create("nodes", "", json!({
            "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone, "kubernetes.io/os": "linux"}},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                "addresses": [{"type": "Hostname", "address": name}]},
        }));
    }

    /// A Service of the pods with the label `app` of this value, with its slice.
    pub fn service(&self, namespace: &str, name: &str, app: &str, port: u16) {
        self.create(
            "services",
            namespace,
            json!({
                "metadata": {"name": name},
                "spec": {"type": "ClusterIP", "selector": {"app": app}, "ipFamilies": ["IPv4"],
                    "ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]},
            }),
        );
        self.sync_slices();
    }

    pub fn delete_service(&self, namespace: &str, name: &str) {
        self.delete("services", namespace, name, &Value::Null);
    }

    /// Some object of a person's.
    pub fn create(&self, plural: &str, namespace: &str, object: Value) -> Value {
        let created =
            self.0.change(|state| state.create(Kind::of(plural), namespace, object, &Options::by("kubectl")));
        Value::clone(&created.unwrap_or_else(|refusal| panic!("{plural} in {namespace}: {refusal:?}")))
    }

    /// A person's change of an object.
    pub fn edit(&self, plural: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        self.change(plural, namespace, name, &Options::by("kubectl"), change);
        self.sync_slices();
    }

    pub fn delete(&self, plural: &str, namespace: &str, name: &str, options: &Value) {
        let deleted = self.0.change(|state| state.delete(Kind::of(plural), namespace, name, options));
        deleted.unwrap_or_else(|refusal| panic!("{plural} {namespace}/{name}: {refusal:?}"));
        self.sync_slices();
    }

    /// A pod that nobody has started yet; gives its uid.
    pub fn pod(&self, namespace: &str, name: &str, wish: &PodWish) -> String {
        let map = |pairs: &[(&str, String)]| -> Value {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let mut spec =
            json!({"containers": [{"name": "app", "image": "app"}], "serviceAccountName": "default"});
        if wish.sidecar {
            spec["initContainers"] =
                json!([{"name": SIDECAR, "image": "sidecar", "restartPolicy": "Always"}]);
        }
        if !wish.node.is_empty() {
            spec["nodeName"] = json!(wish.node);
        }
        let object = json!({"spec": spec, "metadata":
            {"name": name, "labels": map(&wish.labels), "annotations": map(&wish.annotations)}});
        text(&self.create("pods", namespace, object)["metadata"]["uid"])
    }

    /// Its containers run, at this address, and none of them is ready.
    pub fn run(&self, namespace: &str, name: &str, address: &str) {
        self.tell(namespace, name, |pod, now| {
            let names = |of: &str| pod["spec"][of].as_array().cloned().unwrap_or_default();
            let say = |containers: Vec<Value>| -> Vec<_> {
                let say = |one: &Value| {
                    json!({"name": one["name"], "ready": false, "restartCount": 0, "image": one["image"], "imageID": "",
                        "state": {"running": {"startedAt": now}}})
                };
                containers.iter().map(say).collect()
            };
            let (init, own) = (say(names("initContainers")), say(names("containers")));
            pod["status"] = json!({"phase": "Running", "qosClass": "BestEffort", "podIP": address,
                "podIPs": [{"ip": address}], "startTime": now, "containerStatuses": own});
            if !init.is_empty() {
                pod["status"]["initContainerStatuses"] = json!(init);
            }
        });
    }

    /// Whether one of its containers is ready; the pod is when all are.
    pub fn ready(&self, namespace: &str, name: &str, container: &str, is_ready: bool) {
        self.tell(namespace, name, |pod, _| {
            for list in ["containerStatuses", "initContainerStatuses"] {
                for one in pod["status"][list].as_array_mut().into_iter().flatten() {
                    if one["name"] == container {
                        one["ready"] = json!(is_ready);
                    }
                }
            }
        });
    }

    /// The app is ready, and our container where there is one.
    pub fn all_ready(&self, namespace: &str, name: &str) {
        self.ready(namespace, name, "app", true);
        self.ready(namespace, name, SIDECAR, true);
    }

    /// A pod that runs and is ready; gives its uid.
    pub fn ready_pod(&self, namespace: &str, name: &str, address: &str, wish: &PodWish) -> String {
        let uid = self.pod(namespace, name, wish);
        self.run(namespace, name, address);
        self.all_ready(namespace, name);
        uid
    }

    /// Somebody deletes a pod: it is told to end, and is there until [`Self::end_pod`].
    pub fn delete_pod(&self, namespace: &str, name: &str) {
        self.delete("pods", namespace, name, &Value::Null);
    }

    /// The kubelet has ended a pod that was to go.
    pub fn end_pod(&self, namespace: &str, name: &str) {
        self.delete("pods", namespace, name, &json!({"gracePeriodSeconds": 0}));
    }

    /// The node controller loses sight of a node: it is Unknown, its pods are not ready by their condition, and what their
    /// containers were stays as the kubelet said it last.
    pub fn lose_node(&self, name: &str) {
        self.of_node(name, "Unknown", "NodeStatusUnknown");
        for (namespace, pod) in self.pods_of(name) {
            let options = Options::by(CONTROLLERS).of_status();
            self.change("pods", &namespace, &pod, &options, |pod| {
                condition(pod, "Ready", "False", None);
            });
        }
        self.sync_slices();
    }

    /// And sees it again: its kubelet says how its pods are.
    pub fn find_node(&self, name: &str) {
        self.of_node(name, "True", "KubeletReady");
        for (namespace, pod) in self.pods_of(name) {
            self.tell(&namespace, &pod, |_, _| {});
        }
    }

    /// A token of the pod's account that is bound to the pod.
    pub fn token(&self, namespace: &str, pod: &str, audience: &str, lasts_seconds: u32) -> String {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
            "audiences": [audience], "expirationSeconds": lasts_seconds,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": pod}}});
        let issued = self.0.change(|state| state.issue(namespace, "default", request));
        text(&issued.unwrap_or_else(|refusal| panic!("{namespace}/{pod}: {refusal:?}"))["status"]["token"])
    }

    fn of_node(&self, name: &str, ready: &str, reason: &str) {
        self.change("nodes", "", name, &Options::by(CONTROLLERS).of_status(), |node| {
            condition(node, "Ready", ready, None);
            if let Some(one) = node.pointer_mut("/status/conditions/0") {
                one["reason"] = json!(reason);
            }
        });
    }

    fn pods_of(&self, node: &str) -> Vec<(String, String)> {
        let pods = self.0.objects("pods").into_iter().filter(|pod| pod["spec"]["nodeName"] == node);
        pods.map(|pod| (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]))).collect()
    }

    /// The kubelet's word on a pod, and what follows from it.
    fn tell(&self, namespace: &str, name: &str, change: impl FnOnce(&mut Value, &str)) {
        let now = self.0.state().now_text();
        self.change("pods", namespace, name, &Options::by(KUBELET).of_status(), |pod| {
            change(pod, &now);
            let mut all = ["containerStatuses", "initContainerStatuses"]
                .iter()
                .flat_map(|list| pod["status"][*list].as_array().cloned().unwrap_or_default());
            let is_ready = all.all(|one| one["ready"] == true) && pod["status"]["podIP"].is_string();
            let status = if is_ready { "True" } else { "False" };
            condition(pod, "ContainersReady", status, Some(&now));
            condition(pod, "Ready", status, Some(&now));
        });
        self.sync_slices();
    }

    fn change(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        options: &Options,
        change: impl FnOnce(&mut Value),
    ) {
        let changed = self.0.change(|state| {
            state.update(Kind::of(plural), namespace, name, options, |before, _| {
                let mut after = before.clone();
                change(&mut after);
                Ok(after)
            })
        });
        changed.unwrap_or_else(|refusal| panic!("{plural} {namespace}/{name}: {refusal:?}"));
    }

    /// What the endpoint slice controller makes of all Services and pods.
    pub fn sync_slices(&self) {
        self.0.change(|state| {
            let services: Vec<_> = state
                .history
                .all()
                .filter(|(id, _)| id.kind == "services")
                .map(|(id, service)| (id.clone(), service.clone()))
                .collect();
            for (id, service) in services {
                if service["spec"]["selector"].is_object() {
                    sync_slice(state, &id, &service);
                }
            }
        });
    }
}

fn sync_slice(state: &mut State, id: &Id, service: &Value) {
    let slices = Kind::of("endpointslices");
    let pods = state.history.all().filter(|(pod, _)| pod.kind == "pods" && pod.namespace == id.namespace);
    let endpoints: Vec<_> = pods.filter_map(|(_, pod)| endpoint(state, service, pod)).collect();
    let ports: Vec<_> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| json!({"name": port["name"], "port": port["targetPort"], "protocol": port["protocol"]}))
        .collect();
    // One for each Service, by a name that is made once, as the controller keeps it.
    let name = format!("{}-{}", id.name, "slice");
    let says = json!({"endpoints": endpoints, "ports": ports});
    let slice = Id::new(slices, &id.namespace, &name);
    let options = Options::by(CONTROLLERS);
    let written = if state.history.get(&slice).is_some() {
        state.update(slices, &id.namespace, &name, &options, |before, _| {
            let mut after = before.clone();
            after["endpoints"] = says["endpoints"].clone();
            after["ports"] = says["ports"].clone();
            Ok(after)
        })
    } else {
        let object = json!({"addressType": "IPv4", "endpoints": says["endpoints"], "ports": says["ports"], "metadata": {
            "name": name, "labels": {SERVICE_NAME: id.name, "endpointslice.kubernetes.io/managed-by": OF_SLICES},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": id.name,
                "uid": service["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}]}});
        state.create(slices, &id.namespace, object, &options)
    };
    written.unwrap_or_else(|refusal| panic!("{slice:?}: {refusal:?}"));
}

/// What a slice says of a pod: nothing of one that is not meant, has no address, or has ended.
fn endpoint(state: &State, service: &Value, pod: &Value) -> Option<Value> {
    let labels = &pod["metadata"]["labels"];
    let selector = service["spec"]["selector"].as_object()?;
    let is_meant = selector.iter().all(|(label, value)| labels[label] == *value);
    let has_ended = ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase);
    let address = pod["status"]["podIP"].as_str()?;
    if !is_meant || has_ended {
        return None;
    }
    let conditions = pod["status"]["conditions"].as_array();
    let is_ready =
        conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True");
    let terminates = pod["metadata"]["deletionTimestamp"].is_string();
    let mut endpoint = json!({"addresses": [address],
        "conditions": {"ready": is_ready && !terminates, "serving": is_ready, "terminating": terminates},
        "targetRef": {"kind": "Pod", "namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"]}});
    if let Some(node) = pod["spec"]["nodeName"].as_str() {
        endpoint["nodeName"] = json!(node);
        let there = state.history.get(&Id::new(Kind::of("nodes"), "", node));
        let zone = there.map(|node| node["metadata"]["labels"]["topology.kubernetes.io/zone"].clone());
        if let Some(zone) = zone.filter(Value::is_string) {
            endpoint["zone"] = zone;
        }
    }
    Some(endpoint)
}

/// Sets a condition; its time is that of its last turn.
fn condition(object: &mut Value, kind: &str, status: &str, now: Option<&str>) {
    if !object["status"]["conditions"].is_array() {
        object["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = object["status"]["conditions"].as_array_mut() else { return };
    let held = conditions.iter_mut().find(|one| one["type"] == kind);
    let turned = held.as_ref().is_none_or(|one| one["status"] != status);
    let mut said = json!({"type": kind, "status": status});
    if let Some(now) = now.filter(|_| turned) {
        said["lastTransitionTime"] = json!(now);
    }
    match held {
        Some(one) if turned => {
            let reason = one["reason"].take();
            *one = said;
            if !reason.is_null() {
                one["reason"] = reason;
            }
        }
        Some(_) => {}
        None => conditions.push(said),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
