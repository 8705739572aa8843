//! The registrations of a namespace, as far as they bear on one pod or on one service.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use kube::core::DynamicObject;
use rollcall_catalogue::{Namespace, Visibility};
use serde_json::Value;

use super::gather::seen_by;
use crate::{
    names::distance,
    policies::{Labels, selects},
};

/// Letters between two labels that were meant to be the same.
const SLIPS_MAX: usize = 2;

/// Holds a registration, whether or not it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) name: String,
    /// The name that counts.
    pub(super) service: String,
    pub(super) aim: Aim,
    /// Why it is not taken.
    pub(super) refused: Option<String>,
    /// Why what it means is not there.
    pub(super) unresolved: Option<String>,
    /// Some controller has looked at it.
    pub(super) is_judged: bool,
    /// Who may see the service, by its word; none where it says nothing.
    pub(super) visibility: Option<Visibility>,
}

/// Says whether a registration means the pod that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aim {
    This,
    /// It wants something else; where that is but a slip away, what it wants and what the pod has.
    Other(Option<String>),
    /// It names no target, or one that cannot be looked into.
    Unclear,
}

/// Holds what targets go by.
#[derive(Debug, Clone, Default)]
pub(super) struct Mark {
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) labels: Labels,
}

/// What an object says. It is read as it is: one that an older schema let in may have any form.
pub(super) fn registration(
    object: &DynamicObject,
    mark: &Mark,
    services: &[Service],
) -> Option<Registration> {
    let name = object.metadata.name.clone()?;
    let spec = object.data.get("spec");
    let service = spec.and_then(|spec| spec.get("service")?.as_str()).unwrap_or(&name).to_owned();
    let condition = |kind: &str| -> Option<&Value> {
        let conditions = object.data.get("status")?.get("conditions")?.as_array()?;
        conditions.iter().find(|one| one.get("type").is_some_and(|found| found == kind))
    };
    let is_false =
        |kind: &str| condition(kind).filter(|one| one.get("status").is_some_and(|status| status == "False"));
    let visibility = spec.and_then(|spec| visibility(spec.get("visibility")?));
    Some(Registration {
        service,
        aim: spec
            .and_then(|spec| spec.get("target"))
            .map_or(Aim::Unclear, |target| aim(target, mark, services)),
        refused: is_false("Accepted").map(message),
        unresolved: is_false("Resolved").map(message),
        is_judged: condition("Accepted").is_some(),
        visibility,
        name,
    })
}

fn message(condition: &Value) -> String {
    let word = |name: &str| condition.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
    let words: Vec<_> = [word("reason"), word("message")].into_iter().flatten().collect();
    words.join(": ")
}

fn visibility(spec: &Value) -> Option<Visibility> {
    Some(match spec.get("scope")?.as_str()? {
        "Cluster" => Visibility::Cluster,
        "Namespaces" => {
            let names = spec.get("namespaces")?.as_array()?.iter().filter_map(Value::as_str);
            let names: Vec<&str> = names.collect();
            seen_by(&names.join(","))?
        }
        _ => Visibility::own(),
    })
}

/// Whether one of the targets means the pod: one that has two is refused, and bears on whatever either of them means.
fn aim(target: &Value, mark: &Mark, services: &[Service]) -> Aim {
    let targets = target.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let mut found = Aim::Unclear;
    for (kind, value) in targets {
        let of_this = match kind.as_str() {
            "selector" => selected(value, mark),
            "service" => served(value, mark, services),
            "pod" => pointed(value, mark),
            "addresses" => Aim::Other(None),
            _ => Aim::Unclear,
        };
        match of_this {
            Aim::This => return Aim::This,
            Aim::Other(None) if matches!(found, Aim::Other(Some(_))) => {}
            other => found = other,
        }
    }
    found
}

fn selected(value: &Value, mark: &Mark) -> Aim {
    let Ok(selector) = serde_json::from_value::<k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>(
        value.clone(),
    ) else {
        return Aim::Unclear;
    };
    let wanted = selector.match_labels.clone().unwrap_or_default();
    if wanted.is_empty() && selector.match_expressions.as_ref().is_none_or(Vec::is_empty) {
        return Aim::Unclear;
    }
    if selects(&selector, &mark.labels) {
        return Aim::This;
    }
    Aim::Other(slip(&wanted, &mark.labels))
}

/// What is wanted and what is there, where all that differs is a slip.
fn slip(wanted: &BTreeMap<String, String>, labels: &Labels) -> Option<String> {
    let mut near = None;
    for (key, value) in wanted {
        match labels.get(key) {
            Some(held) if held == value => {}
            // Names that count up, as app-1 and app-2, are no slips of each other.
            Some(held) if distance(held, value) <= SLIPS_MAX && !differ_in_digits(held, value) => {
                near = Some(format!("wants the label {key}={value}, and the pod has {key}={held}"));
            }
            Some(_) | None => return None,
        }
    }
    near
}

fn differ_in_digits(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
    bare(one) == bare(other)
}

fn served(value: &Value, mark: &Mark, services: &[Service]) -> Aim {
    let Some(name) = value.get("name").and_then(Value::as_str) else { return Aim::Unclear };
    let selects_this = |service: &Service| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|wanted| {
            !wanted.is_empty() && wanted.iter().all(|(key, value)| mark.labels.get(key) == Some(value))
        })
    };
    let named = |service: &&Service| service.metadata.name.as_deref() == Some(name);
    match services.iter().find(named) {
        Some(service) if selects_this(service) => Aim::This,
        Some(_) => Aim::Other(None),
        None => {
            let of_this = services.iter().filter(|service| selects_this(service));
            let names = of_this.filter_map(|service| service.metadata.name.as_deref());
            let near = names.filter(|found| distance(found, name) <= SLIPS_MAX).min();
            Aim::Other(near.map(|near| format!("wants the Service {name}, which is not there; {near} is")))
        }
    }
}

fn pointed(value: &Value, mark: &Mark) -> Aim {
    let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    if word("name") != mark.pod {
        return Aim::Other(None);
    }
    if word("uid") == mark.uid {
        return Aim::This;
    }
    Aim::Other(Some(format!(
        "wants the pod of this name with the UID {}, and this one has {}",
        word("uid"),
        mark.uid
    )))
}

/// Those that hide a service from this namespace.
pub(super) fn hiding<'a>(
    registrations: &'a [Registration],
    service: &str,
    home: &Namespace,
    caller: &Namespace,
) -> Vec<&'a str> {
    let hides = |one: &&Registration| {
        one.service == service
            && one.refused.is_none()
            && one.visibility.as_ref().is_some_and(|visibility| !visibility.includes(home, caller))
    };
    registrations.iter().filter(hides).map(|one| one.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: &Value, status: &Value) -> DynamicObject {
        serde_json::from_value(
            json!({"metadata": {"name": "orders", "namespace": "shop"}, "spec": spec, "status": status}),
        )
        .unwrap()
    }

    fn mark() -> Mark {
        let labels = [("app", "orders"), ("tier", "web")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Mark { pod: "orders-1".to_owned(), uid: "u1".to_owned(), labels }
    }

    fn services() -> Vec<Service> {
        let service = |name: &str, app: &str| {
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"selector": {"app": app}}}))
                .unwrap()
        };
        vec![service("orders", "orders"), service("web", "web")]
    }

    #[test]
    fn whom_a_registration_means_is_told_from_the_pods_side() {
        let slip = |text: &str| Aim::Other(Some(text.to_owned()));
        for (target, expected) in [
            (json!({"selector": {"matchLabels": {"app": "orders"}}}), Aim::This),
            (
                json!({"selector": {"matchLabels": {"app": "ordres"}}}),
                slip("wants the label app=ordres, and the pod has app=orders"),
            ),
            (json!({"selector": {"matchLabels": {"app": "orders", "tier": "back"}}}), Aim::Other(None)),
            (json!({"selector": {"matchLabels": {"app": "billing"}}}), Aim::Other(None)),
            (json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}), Aim::This),
            (json!({"selector": {}}), Aim::Unclear),
            (json!({"service": {"name": "orders"}}), Aim::This),
            (json!({"service": {"name": "web"}}), Aim::Other(None)),
            (
                json!({"service": {"name": "order"}}),
                slip("wants the Service order, which is not there; orders is"),
            ),
            (json!({"pod": {"name": "orders-1", "uid": "u1"}}), Aim::This),
            (
                json!({"pod": {"name": "orders-1", "uid": "u0"}}),
                slip("wants the pod of this name with the UID u0, and this one has u1"),
            ),
            (json!({"pod": {"name": "orders-2", "uid": "u1"}}), Aim::Other(None)),
            (json!({"addresses": [{"address": "10.0.0.1"}]}), Aim::Other(None)),
            (
                json!({"pod": {"name": "x", "uid": "y"}, "selector": {"matchLabels": {"app": "orders"}}}),
                Aim::This,
            ),
            (json!({}), Aim::Unclear),
            (json!("nonsense"), Aim::Unclear),
        ] {
            assert_eq!(aim(&target, &mark(), &services()), expected, "{target}");
        }
        let counted = BTreeMap::from([("app".to_owned(), "orders-2".to_owned())]);
        let held = BTreeMap::from([("app".to_owned(), "orders-1".to_owned())]);
        assert_eq!(super::slip(&counted, &held), None, "the next of many is no slip");
    }

    #[test]
    fn what_became_of_it_is_read_from_its_conditions() {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": "why"});
        let spec = json!({"target": {"selector": {"matchLabels": {"app": "orders"}}}, "visibility": {"scope": "Namespace"}});
        let read = |status: Value| registration(&object(&spec, &status), &mark(), &[]).unwrap();
        let taken =
            read(json!({"conditions": [condition("Accepted", "True"), condition("Resolved", "True")]}));
        assert_eq!((taken.refused, taken.unresolved, taken.is_judged), (None, None, true));
        assert_eq!((taken.service.as_str(), taken.visibility), ("orders", Some(Visibility::own())));
        let refused =
            read(json!({"conditions": [condition("Accepted", "False"), condition("Resolved", "False")]}));
        assert_eq!(
            (refused.refused.as_deref(), refused.unresolved.as_deref()),
            (Some("R: why"), Some("R: why"))
        );
        assert!(!read(Value::Null).is_judged);
    }

    #[test]
    fn who_hides_a_service_is_named() {
        let one = |name: &str, visibility: &Value| {
            let spec = json!({"service": "orders", "visibility": visibility});
            let mut object = object(&spec, &Value::Null);
            object.metadata.name = Some(name.to_owned());
            registration(&object, &mark(), &[]).unwrap()
        };
        let all = [
            one("open", &json!({"scope": "Cluster"})),
            one("own", &json!({"scope": "Namespace"})),
            one("named", &json!({"scope": "Namespaces", "namespaces": ["bank"]})),
        ];
        let told = |service: &str, caller: &str| {
            hiding(&all, service, &"shop".parse().unwrap(), &caller.parse().unwrap())
        };
        assert_eq!(told("orders", "bank"), ["own"]);
        assert_eq!(told("orders", "web"), ["own", "named"]);
        assert_eq!(told("orders", "shop"), [""; 0]);
        assert_eq!(told("billing", "web"), [""; 0]);
    }
}
