//! Why a pod is not ready, by what Kubernetes has of it.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition};
use rollcall_injection::SIDECAR;

/// What keeps the pod from being ready, the first thing first: a node, what begins it, its containers, its gates. Our own sidecar
/// is none of it.
pub(crate) fn unready(pod: &Pod) -> Vec<String> {
    let has_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    if !has_node && let Some(refused) = condition(pod, "PodScheduled").filter(|one| one.status == "False") {
        return vec![format!("no node takes it ({})", said(refused))];
    }
    let mut unready = beginning(pod);
    if unready.is_empty() {
        unready = containers(pod);
    }
    unready.extend(gates(pod));
    if unready.is_empty()
        && let Some(ready) = condition(pod, "Ready").filter(|one| one.status == "Unknown")
    {
        unready.push(format!("its node gives no sign of life ({})", said(ready)));
    }
    unready
}

/// Why a container is not running, as Kubernetes has it.
pub(crate) fn why(state: &ContainerState) -> String {
    let told = match (&state.waiting, &state.terminated) {
        (Some(waiting), _) => [waiting.reason.clone(), waiting.message.clone()],
        (None, Some(ended)) => {
            let code = format!("exit code {}", ended.exit_code);
            [
                Some(ended.reason.clone().map_or(code.clone(), |reason| format!("{reason}, {code}"))),
                ended.message.clone(),
            ]
        }
        (None, None) => [None, None],
    };
    let words: Vec<_> = told.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "Kubernetes does not say why".to_owned() } else { words.join(": ") }
}

/// The containers that begin the pod and have not come to their end, or to their start where they stay.
fn beginning(pod: &Pod) -> Vec<String> {
    let declared = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let statuses: Vec<_> =
        pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten()).collect();
    let mut awaited = declared.filter(|one| one.name != SIDECAR).filter_map(|one| {
        let status = statuses.iter().find(|status| status.name == one.name)?;
        let stays = one.restart_policy.as_deref() == Some("Always");
        let state = status.state.as_ref();
        let is_done = match stays {
            true => status.started == Some(true),
            false => {
                state.and_then(|state| state.terminated.as_ref()).is_some_and(|ended| ended.exit_code == 0)
            }
        };
        if is_done {
            return None;
        }
        let because = match state.filter(|state| state.running.is_none()) {
            Some(state) => because(status, state),
            None => "it has not come to its end".to_owned(),
        };
        Some(format!("init container {} ({because})", one.name))
    });
    // Those behind it wait for it.
    awaited.next().into_iter().collect()
}

/// The containers of the app that are not ready.
fn containers(pod: &Pod) -> Vec<String> {
    let statuses: Vec<_> =
        pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).collect();
    let names = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str());
    let unready = names.filter(|name| *name != SIDECAR).filter_map(|name| {
        let because = match statuses.iter().find(|one| one.name == name) {
            Some(status) if status.ready => return None,
            Some(status) => match status.state.as_ref().filter(|state| state.running.is_none()) {
                Some(state) => because(status, state),
                None if status.started == Some(false) => "its startup probe has not passed".to_owned(),
                None => "its readiness probe fails".to_owned(),
            },
            None => "not begun".to_owned(),
        };
        Some(format!("{name} ({because})"))
    });
    unready.collect()
}

/// Why it does not run, and what became of it the last time: a back-off says nothing of that.
fn because(status: &ContainerStatus, state: &ContainerState) -> String {
    let before =
        status.last_state.as_ref().filter(|last| state.waiting.is_some() && last.terminated.is_some());
    match before {
        Some(last) => format!("{}; before that {}", why(state), why(last)),
        None => why(state),
    }
}

/// What others are to vouch for, and do not.
fn gates(pod: &Pod) -> Vec<String> {
    let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let closed = gates.filter_map(|gate| match condition(pod, &gate.condition_type) {
        Some(open) if open.status == "True" => None,
        Some(closed) => Some(format!("readiness gate {} ({})", gate.condition_type, said(closed))),
        None => Some(format!("readiness gate {} (nobody has said that it is so)", gate.condition_type)),
    });
    closed.collect()
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|one| one.type_ == kind)
}

fn said(condition: &PodCondition) -> String {
    let words = [condition.reason.as_deref(), condition.message.as_deref()];
    let words: Vec<_> = words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    if words.is_empty() { condition.status.clone() } else { words.join(": ") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(spec: &Value, status: &Value) -> Vec<String> {
        let mut spec = spec.clone();
        spec["nodeName"] = spec.get("nodeName").cloned().unwrap_or_else(|| json!("n1"));
        unready(&serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": status})).unwrap())
    }

    fn status(name: &str, ready: bool, state: &Value) -> Value {
        json!({"name": name, "ready": ready, "image": "i", "imageID": "", "restartCount": 0, "state": state})
    }

    #[test]
    fn what_keeps_a_pod_from_being_ready_is_named() {
        let app = json!({"containers": [{"name": "app"}]});
        let running = json!({"running": {}});
        let back_off = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        let mut crashed = status("app", false, &back_off);
        crashed["lastState"] = json!({"terminated": {"exitCode": 2, "reason": "Error"}});
        let gate = json!({"containers": [{"name": "app"}], "readinessGates": [{"conditionType": "lb.example/ready"}]});
        let closed = json!([{"type": "lb.example/ready", "status": "False", "reason": "NotYet"}]);
        let init = json!({"containers": [{"name": "app"}], "initContainers": [
            {"name": SIDECAR, "restartPolicy": "Always"}, {"name": "migrate"}, {"name": "later"}]});
        let waiting = json!({"waiting": {"reason": "PodInitializing"}});
        let unscheduled = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}]);
        let unknown = json!([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]);
        for (what, spec, status, expected) in [
            ("ready", &app, json!({"containerStatuses": [status("app", true, &running)]}), &[][..]),
            (
                "a probe",
                &app,
                json!({"containerStatuses": [status("app", false, &running)]}),
                &["app (its readiness probe fails)"],
            ),
            (
                "a crash",
                &app,
                json!({"containerStatuses": [crashed]}),
                &["app (CrashLoopBackOff: back-off 10s; before that Error, exit code 2)"],
            ),
            ("nothing yet", &app, json!({}), &["app (not begun)"]),
            (
                "a gate that nobody opens",
                &gate,
                json!({"containerStatuses": [status("app", true, &running)]}),
                &["readiness gate lb.example/ready (nobody has said that it is so)"],
            ),
            (
                "a gate that is closed",
                &gate,
                json!({"containerStatuses": [status("app", true, &running)], "conditions": closed}),
                &["readiness gate lb.example/ready (NotYet)"],
            ),
            (
                "an init container",
                &init,
                json!({"initContainerStatuses": [status(SIDECAR, false, &running), status("migrate", false, &back_off),
                    status("later", false, &waiting)], "containerStatuses": [status("app", false, &waiting)]}),
                &["init container migrate (CrashLoopBackOff: back-off 10s)"],
            ),
            (
                "an init container that runs",
                &init,
                json!({"initContainerStatuses": [status("migrate", false, &running)]}),
                &["init container migrate (it has not come to its end)"],
            ),
            (
                "no node",
                &json!({"nodeName": null, "containers": [{"name": "app"}]}),
                json!({"conditions": unscheduled}),
                &["no node takes it (Unschedulable: 0/2 nodes)"],
            ),
            (
                "a node that is lost",
                &app,
                json!({"containerStatuses": [status("app", true, &running)], "conditions": unknown}),
                &["its node gives no sign of life (NodeStatusUnknown)"],
            ),
        ] {
            assert_eq!(told(spec, &status), expected, "{what}");
        }
    }
}
