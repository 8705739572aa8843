//! Which instances a registration means.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{
    address::refusal,
    limits::{ADDRESSES_MAX, LABELS_MAX},
    pod::PodUid,
    registration::ValueError,
};

/// Says which instances a registration means, always within its own namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    pub match_labels: BTreeMap<String, String>,
    pub match_expressions: Vec<Requirement>,
}

/// Holds one requirement on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
}

/// Says what one label must be like, as Kubernetes' own selectors say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    In(Vec<String>),
    /// Also true where the label is missing.
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// Holds one address outside the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticAddress {
    pub address: IpAddr,
    pub zone: Option<Box<str>>,
}

// === impl Target ===

impl Target {
    pub(super) fn check(&self) -> Vec<ValueError> {
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
                if unlisted {
                    refuse(
                        "target.selector.matchExpressions",
                        "In or NotIn has no values, or too many".to_owned(),
                        "give 1 to 32 values",
                    );
                }
            }
            Self::Service(_) | Self::Pod { .. } | Self::Own => {}
            Self::Addresses(addresses) => {
                if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
                    refuse("target.addresses", format!("{} entries", addresses.len()), "use 1 to 256");
                }
                for StaticAddress { address, .. } in addresses {
                    if let Some(problem) = refusal(*address) {
                        refuse(
                            "target.addresses",
                            format!("`{address}` is {problem}"),
                            "use an address that other machines can reach",
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

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.is_empty()
            && self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Selector {
    fn from(labels: [(K, V); N]) -> Self {
        let match_labels = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self { match_labels, match_expressions: Vec::new() }
    }
}

// === impl Requirement ===

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn a_selector_reads_labels_as_kubernetes_does() {
        let one = |operator| Selector {
            match_labels: BTreeMap::new(),
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
        let bad = [
            (Target::Selector(Selector::default()), "target.selector"),
            (expression(Operator::In(vec![])), "target.selector.matchExpressions"),
            (addresses(&[]), "target.addresses"),
            (addresses(&["10.0.0.5", "127.0.0.1"]), "target.addresses"),
            (addresses(&["10.0.0.5"; ADDRESSES_MAX + 1]), "target.addresses"),
        ];
        for (target, field) in bad {
            let errors = target.check();
            assert_eq!(errors.iter().map(|error| error.field).collect::<Vec<_>>(), [field], "{target:?}");
        }
        let good = [
            Target::Selector([("app", "orders")].into()),
            expression(Operator::Exists),
            Target::Service("orders".into()),
            addresses(&["10.0.0.5", "2001:db8::5"]),
        ];
        for target in good {
            assert_eq!(target.check(), []);
        }
    }
}
