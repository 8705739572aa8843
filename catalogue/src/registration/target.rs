//! Which instances a registration means.

use std::net::IpAddr;

use crate::{
    address::{Reach, judged},
    limits::{ADDRESSES_MAX, LABELS_MAX},
    names::{is_label, shortened},
    pod_uid::PodUid,
    registration::{
        ValueError,
        words::{is_label_key, is_label_value, is_pod_name, is_pod_uid, is_zone},
    },
    texts::Texts,
};

const KEY_REMEDY: &str = "use a name as app or app.kubernetes.io/name";
const VALUE_REMEDY: &str =
    "use at most 63 of letters, digits, -, _ and ., beginning and ending with a letter or a digit";

/// Says which instances a registration means, always within its own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The pods that carry certain labels.
    Selector(Selector),
    /// The endpoints of a Service, by its name.
    Service(Box<str>),
    /// One pod and no successor of it.
    Pod { name: Box<str>, uid: PodUid },
    /// Things outside the cluster.
    Addresses(Vec<StaticAddress>),
    /// The pod that says it of itself, by its annotations.
    Own,
}

/// Holds what the labels of a pod must be like, all of it; without any requirement it matches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    pub match_labels: Texts,
    pub match_expressions: Vec<Requirement>,
}

/// Holds one requirement on a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
}

/// Says what one label must be like, as Kubernetes' own selectors say it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Operator {
    In(Vec<String>),
    /// Also true where the label is missing.
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// Holds one address outside the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StaticAddress {
    pub address: IpAddr,
    pub zone: Option<Box<str>>,
}

// === impl Target ===

impl Target {
    pub(super) fn check(&self, reach: Reach) -> Vec<ValueError> {
        let mut errors = Vec::new();
        let mut refuse = |field, problem: String, remedy| errors.push(ValueError { field, problem, remedy });
        match self {
            Self::Selector(selector) => {
                if selector.is_empty() {
                    refuse(
                        "target.selector",
                        "is empty and would mean every pod".to_owned(),
                        "name at least one label",
                    );
                }
                if selector.match_labels.len() + selector.match_expressions.len() > LABELS_MAX {
                    refuse("target.selector", "has too many requirements".to_owned(), "use at most 32");
                }
                let unlisted = selector.match_expressions.iter().any(|requirement| {
                    matches!(&requirement.operator, Operator::In(values) | Operator::NotIn(values)
                        if values.is_empty() || values.len() > LABELS_MAX)
                });
                if let Some(key) = selector.match_labels.names().find(|key| !is_label_key(key)) {
                    let problem = format!("`{}` is no key of a label", shortened(key));
                    refuse("target.selector.matchLabels", problem, KEY_REMEDY);
                }
                let mut labels = selector.match_labels.iter();
                if let Some((key, value)) = labels.find(|(_, value)| !is_label_value(value)) {
                    let problem = format!(
                        "`{}`, the value of `{}`, is no value of a label",
                        shortened(value),
                        shortened(key)
                    );
                    refuse("target.selector.matchLabels", problem, VALUE_REMEDY);
                }
                let mut keys = selector.match_expressions.iter().map(|requirement| &requirement.key);
                if let Some(key) = keys.find(|key| !is_label_key(key)) {
                    let problem = format!("`{}` is no key of a label", shortened(key));
                    refuse("target.selector.matchExpressions", problem, KEY_REMEDY);
                }
                let mut values = selector.match_expressions.iter().flat_map(Requirement::values);
                if let Some(value) = values.find(|value| !is_label_value(value)) {
                    let problem = format!("`{}` is no value of a label", shortened(value));
                    refuse("target.selector.matchExpressions", problem, VALUE_REMEDY);
                }
                if unlisted {
                    refuse(
                        "target.selector.matchExpressions",
                        "In or NotIn has no values, or too many".to_owned(),
                        "give 1 to 32 values",
                    );
                }
            }
            Self::Service(name) => {
                if !is_label(name) {
                    refuse(
                        "target.service.name",
                        format!("`{}` is no name of a Service", shortened(name)),
                        "use that of a Service of the same namespace, without namespace or domain",
                    );
                }
            }
            Self::Pod { name, uid } => {
                if !is_pod_name(name) {
                    refuse(
                        "target.pod.name",
                        format!("`{}` is no name of a pod", shortened(name)),
                        "use that of a pod of the same namespace",
                    );
                }
                if !is_pod_uid(&uid.text()) {
                    refuse(
                        "target.pod.uid",
                        format!("`{}` is no UID of a pod", shortened(&uid.text())),
                        "use the pod's metadata.uid; it keeps a successor of the same name out",
                    );
                }
            }
            Self::Own => {}
            Self::Addresses(addresses) => {
                if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
                    refuse("target.addresses", format!("{} entries", addresses.len()), "use 1 to 256");
                }
                for StaticAddress { address, zone } in addresses {
                    if let Some(refusal) = judged(*address, reach) {
                        refuse(
                            "target.addresses",
                            format!("`{address}` is {}", refusal.problem),
                            refusal.remedy,
                        );
                    }
                    if let Some(zone) = zone.as_deref().filter(|zone| !is_zone(zone)) {
                        refuse(
                            "target.addresses",
                            format!("`{}`, the zone of `{address}`, is no name of a zone", shortened(zone)),
                            "use what the nodes carry as topology.kubernetes.io/zone, as eu-west-1a",
                        );
                    }
                }
            }
        }
        errors
    }
}

// === impl Selector ===

impl Selector {
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    pub fn matches(&self, labels: &Texts) -> bool {
        !self.is_empty()
            && self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>, const N: usize> From<[(K, V); N]> for Selector {
    fn from(labels: [(K, V); N]) -> Self {
        Self { match_labels: labels.into(), match_expressions: Vec::new() }
    }
}

// === impl Requirement ===

impl Requirement {
    fn values(&self) -> &[String] {
        match &self.operator {
            Operator::In(values) | Operator::NotIn(values) => values,
            Operator::Exists | Operator::DoesNotExist => &[],
        }
    }

    fn matches(&self, labels: &Texts) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Operator::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Texts {
        pairs.into()
    }

    #[test]
    fn a_selector_reads_labels_as_kubernetes_does() {
        let one = |operator| Selector {
            match_labels: Texts::default(),
            match_expressions: vec![Requirement { key: "tier".to_owned(), operator }],
        };
        let words = || vec!["a".to_owned(), "b".to_owned()];
        let table = [
            (Selector::from([("tier", "a")]), [true, false, false]),
            (Selector::from([("tier", "a"), ("app", "x")]), [false, false, false]),
            (one(Operator::In(words())), [true, false, false]),
            (one(Operator::NotIn(words())), [false, true, true]),
            (one(Operator::Exists), [true, true, false]),
            (one(Operator::DoesNotExist), [false, false, true]),
            (Selector::default(), [false, false, false]),
        ];
        let pods = [labels([("tier", "a")]), labels([("tier", "c")]), labels([])];
        for (selector, expected) in table {
            assert_eq!(pods.each_ref().map(|labels| selector.matches(labels)), expected, "{selector:?}");
        }
    }

    #[test]
    fn bad_targets_are_named() {
        let addresses = |list: &[&str]| {
            let one = |text: &&str| StaticAddress { address: text.parse().unwrap(), zone: None };
            Target::Addresses(list.iter().map(one).collect())
        };
        let expression = |operator| {
            let match_expressions = vec![Requirement { key: "a".to_owned(), operator }];
            Target::Selector(Selector { match_expressions, ..Selector::default() })
        };
        let pod = |name: &str, uid: &str| Target::Pod { name: name.into(), uid: uid.into() };
        let zoned = |zone: &str| {
            let address = "10.0.0.5".parse().unwrap();
            Target::Addresses(vec![StaticAddress { address, zone: Some(zone.into()) }])
        };
        let longer = "a".repeat(64);
        let bad = [
            (Target::Service("orders.shop".into()), "target.service.name"),
            (Target::Service("".into()), "target.service.name"),
            (Target::Service(longer.as_str().into()), "target.service.name"),
            (pod("Orders-1", "u"), "target.pod.name"),
            (pod("orders-1", ""), "target.pod.uid"),
            (zoned("eu west"), "target.addresses"),
            (zoned(""), "target.addresses"),
            (zoned(&longer), "target.addresses"),
            (Target::Selector([("-x/app", "a")].into()), "target.selector.matchLabels"),
            (Target::Selector([("app", "a\n")].into()), "target.selector.matchLabels"),
            (expression(Operator::In(vec!["not a label!".to_owned()])), "target.selector.matchExpressions"),
            (expression(Operator::NotIn(vec![longer.clone()])), "target.selector.matchExpressions"),
            (addresses(&["64:ff9b::7f00:1"]), "target.addresses"),
            (Target::Selector(Selector::default()), "target.selector"),
            (expression(Operator::In(vec![])), "target.selector.matchExpressions"),
            (addresses(&[]), "target.addresses"),
            (addresses(&["10.0.0.5", "127.0.0.1"]), "target.addresses"),
            (addresses(&["10.0.0.5"; ADDRESSES_MAX + 1]), "target.addresses"),
        ];
        for (target, field) in bad {
            let errors = target.check(Reach::Cluster);
            assert_eq!(errors.iter().map(|error| error.field).collect::<Vec<_>>(), [field], "{target:?}");
        }
        let good = [
            Target::Selector([("app", "orders")].into()),
            expression(Operator::Exists),
            Target::Service("orders".into()),
            pod("orders.1", "0b5e6a4c-58a4-4f0e-9c0e-6d2f5b1f3a77"),
            zoned("eu-west-1a"),
            expression(Operator::In(vec![String::new(), "a.b_c-d".to_owned()])),
            addresses(&["10.0.0.5", "2001:db8::5"]),
        ];
        for target in good {
            assert_eq!(target.check(Reach::Cluster), []);
        }
    }
}
