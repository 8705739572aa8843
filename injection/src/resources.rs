//! What our containers ask for and may take, so that the pod keeps its class of service.

use serde_json::{Map, Value, json};

use crate::{
    Amounts, Settings,
    pod::{Object, own_containers},
    quantity::Quantity,
};

/// What decides a pod's class.
const COUNTED: [&str; 2] = ["cpu", "memory"];

/// What our containers get in this pod.
pub(crate) fn resources(spec: &Object, settings: &Settings) -> Value {
    let of_pod = spec.get("resources").filter(|resources| says_anything(resources));
    if of_pod.is_none() && own_containers(spec).all(is_guaranteed) {
        let both = amounts(&settings.guaranteed);
        return json!({"requests": both, "limits": both});
    }
    let mut requests = amounts(&settings.resources.requests);
    let mut limits = amounts(&settings.resources.limits);
    // A quota on limits.cpu refuses a pod of which one container has none.
    if !limits.contains_key("cpu")
        && own_containers(spec).all(|container| amount(container, "limits", "cpu").is_some())
    {
        let least = &settings.resources.requests.cpu;
        let given = &settings.guaranteed.cpu;
        let limit = if Quantity::parse(least) > Quantity::parse(given) { least } else { given };
        limits.insert("cpu".to_owned(), limit.as_str().into());
    }
    // What the pod has as a whole decides its class, and is for all its containers: one more that asked for a part of its own
    // could be one too many.
    for name in COUNTED.into_iter().filter(|name| of_pod.is_some_and(|of_pod| says(of_pod, name))) {
        requests.remove(name);
        limits.remove(name);
    }
    let parts = [("requests", requests), ("limits", limits)];
    let parts = parts.into_iter().filter(|(_, amounts)| !amounts.is_empty());
    parts.map(|(name, amounts)| (name.to_owned(), Value::Object(amounts))).collect::<Map<_, _>>().into()
}

/// Whether a container alone would make a Guaranteed pod. A request that is missing is the limit.
fn is_guaranteed(container: &Value) -> bool {
    COUNTED.into_iter().all(|name| {
        let limit = amount(container, "limits", name).filter(|limit| limit.is_some());
        let asked =
            container.pointer(&format!("/resources/requests/{name}")).filter(|asked| !asked.is_null());
        limit.is_some_and(|limit| asked.is_none_or(|asked| Quantity::read(asked) == Some(limit)))
    })
}

fn amount(container: &Value, part: &str, name: &str) -> Option<Quantity> {
    Quantity::read(container.pointer(&format!("/resources/{part}/{name}"))?)
}

/// Whether a pod's own resources say anything, of huge pages too.
fn says_anything(resources: &Value) -> bool {
    let parts = ["requests", "limits"].into_iter().filter_map(|part| resources.get(part)?.as_object());
    parts.flatten().next().is_some()
}

fn says(resources: &Value, name: &str) -> bool {
    ["requests", "limits"]
        .into_iter()
        .any(|part| resources.get(part).is_some_and(|part| part.get(name).is_some()))
}

fn amounts(amounts: &Amounts) -> Object {
    let pairs = [("cpu", &amounts.cpu), ("memory", &amounts.memory)];
    let pairs = pairs.into_iter().filter(|(_, amount)| !amount.is_empty());
    pairs.map(|(name, amount)| (name.to_owned(), amount.as_str().into())).collect()
}
