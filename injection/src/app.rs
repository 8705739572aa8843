//! What the pod's own containers get: where lookups are answered, and a hook that waits until nobody calls the pod any more.

use serde_json::{Value, json};

use crate::{
    NotAPod,
    container::HEALTH_PORT,
    pod::{Object, entry, list, name, object},
};

/// Where an app finds its sidecar.
const URL: &str = "ROLLCALL_URL";
/// IPv4's loopback is there in every pod, whichever addresses it has itself.
const LOCAL_API: &str = "http://127.0.0.1:7300";
/// Kubernetes' own grace period, of a pod that does not say.
const GRACE_SECONDS: u64 = 30;

/// Gives each of the pod's own containers [`URL`], unless it has it; `with_hook`: and those that run beside each other a
/// preStop hook, unless they have one. Ours are put in their places after this.
pub(crate) fn add(spec: &mut Object, with_hook: bool) -> Result<(), NotAPod> {
    let said = spec.get("terminationGracePeriodSeconds").and_then(Value::as_u64);
    let path = format!("/prestop?grace={}", said.unwrap_or(GRACE_SECONDS));
    let hook = json!({"httpGet": {"path": path, "port": HEALTH_PORT}});
    for container in list(spec, "spec.initContainers")? {
        add_url(entry(container, "spec.initContainers")?)?;
    }
    for container in list(spec, "spec.containers")? {
        let container = entry(container, "spec.containers")?;
        add_url(container)?;
        let lifecycle = container.get("lifecycle").filter(|lifecycle| !lifecycle.is_null());
        let has_hook = |lifecycle: &Value| lifecycle.get("preStop").is_some_and(|hook| !hook.is_null());
        if with_hook && !lifecycle.is_some_and(has_hook) {
            object(container, "spec.containers.lifecycle")?.insert("preStop".to_owned(), hook.clone());
        }
    }
    Ok(())
}

fn add_url(container: &mut Object) -> Result<(), NotAPod> {
    let environment = list(container, "spec.containers.env")?;
    if !environment.iter().any(|variable| name(variable) == Some(URL)) {
        environment.push(json!({"name": URL, "value": LOCAL_API}));
    }
    Ok(())
}
