//! What our containers ask for and may take, so that the pod keeps its class of service.

use serde_json::{Map, Value, json};

use crate::{
    Amounts, Settings,
    pod::{Object, own_containers},
    quantity::Quantity,
};

/// What decides a pod's class.
const COUNTED: [&str; 2] = ["cpu", "memory"];

/// What a container's logs and files may take of the node's disk. It has a name of its own in quotas and LimitRanges.
const DISK: &str = "ephemeral-storage";
/// The state's volume of 16 MiB, and the logs that a kubelet keeps by default: five files of 10 MiB. And room for one that grew
/// before the kubelet looked.
const DISK_LIMIT: &str = "80Mi";
/// The state's volume alone. Not 0, which a LimitRange that wants any at all would refuse.
const DISK_REQUEST: &str = "16Mi";

const PARTS: [&str; 2] = ["requests", "limits"];

/// What our containers get in this pod.
pub(crate) fn resources(spec: &Object, settings: &Settings) -> Value {
    let (mut requests, mut limits) = of_class(spec, settings);
    // A quota on it refuses a pod of which one container has none. A request that is missing is the limit.
    let all_have = |parts: &[&str]| {
        own_containers(spec).all(|container| parts.iter().any(|part| amount(container, part, DISK).is_some()))
    };
    if all_have(&PARTS) {
        requests.insert(DISK.to_owned(), DISK_REQUEST.into());
    }
    if all_have(&["limits"]) {
        limits.insert(DISK.to_owned(), DISK_LIMIT.into());
    }
    let parts = [("requests", requests), ("limits", limits)];
    let parts = parts.into_iter().filter(|(_, amounts)| !amounts.is_empty());
    parts.map(|(name, amounts)| (name.to_owned(), Value::Object(amounts))).collect::<Map<_, _>>().into()
}

/// What ours gets, and of the container that it replaces whatever ours does not name: after the webhook Kubernetes runs its
/// LimitRanger once more, which fills in what is missing, and refuses the pod where a second call of ours takes that away.
pub(crate) fn carried(mut ours: Value, replaced: &Value) -> Value {
    for (part, other) in [("requests", "limits"), ("limits", "requests")] {
        let said = replaced.pointer(&format!("/resources/{part}")).and_then(Value::as_object);
        for (name, value) in said.into_iter().flatten() {
            let Some(amount) = Quantity::read(value) else { continue };
            let bound = ours.get(other).and_then(|amounts| Quantity::read(amounts.get(name)?));
            // One that contradicts ours is of other settings: with both no pod could be made.
            let fits =
                bound.is_none_or(|bound| if part == "limits" { amount >= bound } else { amount <= bound });
            let named = ours.get(part).is_some_and(|amounts| amounts.get(name).is_some());
            if fits
                && !named
                && let Some(ours) = ours.as_object_mut()
            {
                let amounts = ours.entry(part).or_insert_with(|| json!({}));
                if let Some(amounts) = amounts.as_object_mut() {
                    amounts.insert(name.clone(), value.clone());
                }
            }
        }
    }
    ours
}

/// The amounts that decide the pod's class: requests and limits.
fn of_class(spec: &Object, settings: &Settings) -> (Object, Object) {
    // What the pod has as a whole decides its class, and is for all its containers: one more that asked for a part of its own
    // could be one too many. Whatever is not named there, Kubernetes fills in by what the containers ask for.
    if spec.get("resources").is_some_and(says_anything) {
        return (Object::new(), Object::new());
    }
    if own_containers(spec).all(is_guaranteed) {
        let both = amounts(&settings.guaranteed);
        return (both.clone(), both);
    }
    let requests = amounts(&settings.resources.requests);
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
    (requests, limits)
}

/// Whether a container alone would make a Guaranteed pod. A request that is missing is the limit.
fn is_guaranteed(container: &Value) -> bool {
    COUNTED.into_iter().all(|name| {
        let limit = amount(container, "limits", name).filter(|limit| limit.is_positive());
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
    let parts = PARTS.into_iter().filter_map(|part| resources.get(part)?.as_object());
    parts.flatten().next().is_some()
}

fn amounts(amounts: &Amounts) -> Object {
    let pairs = [("cpu", &amounts.cpu), ("memory", &amounts.memory)];
    let pairs = pairs.into_iter().filter(|(_, amount)| !amount.is_empty());
    pairs.map(|(name, amount)| (name.to_owned(), amount.as_str().into())).collect()
}
