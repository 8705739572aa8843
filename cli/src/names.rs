//! What people call things: services, pods, and what they may have meant.

use std::str::FromStr;

use rollcall_catalogue::{NameError, Namespace, ServiceKey, ServiceRef, shortened};

/// More names that are alike help nobody.
const SUGGESTIONS_MAX: usize = 3;

/// Holds `NAME` or `NAME.NAMESPACE`, and the version behind an `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) service: ServiceRef,
    /// A version, or a requirement; the controller reads it.
    pub(crate) version: Option<String>,
}

/// Says what is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Service(ServiceRef),
    Pod(String),
}

// === impl Named ===

impl Named {
    /// The service, in this namespace where none is said.
    pub(crate) fn key(&self, home: &Namespace) -> ServiceKey {
        key(&self.service, home)
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((_, "")) => return Err("version: empty; write it behind the @, as orders@1.4.2".to_owned()),
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        Ok(Self { service: service(name)?, version })
    }
}

// === impl Subject ===

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some(("pod" | "pods" | "po", name)) => pod(name).map(Self::Pod),
            Some((kind, _)) => {
                Err(format!("`{}` cannot be explained; use NAME of a service, or pod/NAME", shortened(kind)))
            }
            None => service(text).map(Self::Service),
        }
    }
}

/// `NAME` or `NAME.NAMESPACE`.
pub(crate) fn service(text: &str) -> Result<ServiceRef, String> {
    text.parse().map_err(|error: NameError| format!("{error}; use NAME or NAME.NAMESPACE"))
}

/// The name of a pod, with or without `pod/` before it.
pub(crate) fn pod(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("pod/").unwrap_or(text);
    let is_edge = |character: &u8| matches!(*character, b'a'..=b'z' | b'0'..=b'9');
    let is_label = |label: &str| {
        let label = label.as_bytes();
        [label.first(), label.last()].iter().all(|edge| edge.is_some_and(is_edge))
            && label.iter().all(|character| is_edge(character) || *character == b'-')
    };
    // It becomes part of a path: `..` would lead elsewhere.
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(format!("`{}` is no name of a pod; `kubectl get pods` has them", shortened(name)));
    }
    Ok(name.to_owned())
}

/// The service, in this namespace where none is said.
pub(crate) fn key(service: &ServiceRef, home: &Namespace) -> ServiceKey {
    let ServiceRef { service, namespace } = service.clone();
    ServiceKey { namespace: namespace.unwrap_or_else(|| home.clone()), service }
}

/// Those of the services that were probably meant, the likeliest first: the same name elsewhere, then what is a slip away.
pub(crate) fn likely<'a>(
    meant: &ServiceKey,
    known: impl IntoIterator<Item = &'a ServiceKey>,
) -> Vec<&'a ServiceKey> {
    let mut ranked: Vec<_> = known
        .into_iter()
        .filter_map(|key| {
            let away = distance(meant.service.as_str(), key.service.as_str());
            let slips_max = (meant.service.as_str().chars().count() / 3).max(1);
            let elsewhere = usize::from(key.namespace != meant.namespace);
            (away <= slips_max).then_some((away, elsewhere, key))
        })
        .collect();
    ranked.sort();
    ranked.into_iter().take(SUGGESTIONS_MAX).map(|(_, _, key)| key).collect()
}

/// Those of the names that were probably meant, the likeliest first: what goes on behind the name, as pods of a Deployment do,
/// then what is a slip away.
pub(crate) fn alike<'a>(meant: &str, known: &'a [String]) -> Vec<&'a str> {
    let slips_max = (meant.chars().count() / 4).max(1);
    let rank = |name: &str| match name.strip_prefix(meant) {
        Some(rest) if rest.starts_with('-') => Some(0),
        _ => Some(distance(meant, name)).filter(|away| *away <= slips_max),
    };
    let mut ranked: Vec<_> = known.iter().filter_map(|name| Some((rank(name)?, name.as_str()))).collect();
    ranked.sort_unstable();
    ranked.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| name).collect()
}

/// How many letters have to be added, left out, changed, or swapped with their neighbour.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX - 1);
            let changed = at(&last, column) + usize::from(letter != wanted);
            let mut least = changed.min(at(&last, column + 1) + 1).min(at(&now, column) + 1);
            let swapped = row > 0
                && column > 0
                && one.get(row - 1) == Some(wanted)
                && other.get(column - 1) == Some(letter);
            if swapped {
                least = least.min(at(&before_last, column - 1) + 1);
            }
            now.push(least);
        }
        before_last = std::mem::replace(&mut last, now);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<ServiceKey> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_name_may_say_its_namespace_and_its_version() {
        let home: Namespace = "shop".parse().unwrap();
        for (text, name, version) in [
            ("orders", "orders.shop", None),
            ("orders.bank", "orders.bank", None),
            ("orders@1.4.2", "orders.shop", Some("1.4.2")),
            ("orders.bank@>=1, <2", "orders.bank", Some(">=1, <2")),
        ] {
            let named: Named = text.parse().unwrap();
            assert_eq!(named.key(&home), name.parse().unwrap(), "{text}");
            assert_eq!(named.version.as_deref(), version, "{text}");
        }
        for bad in ["", "Orders", "orders@", "a.b.c", "1-2-3", "@1", "orders/x"] {
            assert!(!bad.parse::<Named>().unwrap_err().is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_service_or_a_pod_is_explained_and_nothing_else() {
        assert_eq!("pod/orders-1".parse(), Ok(Subject::Pod("orders-1".to_owned())));
        assert!(matches!("orders.shop".parse(), Ok(Subject::Service(_))));
        for (bad, told) in
            [("node/n1", "pod/NAME"), ("pod/", "kubectl get pods"), ("Orders", "NAME.NAMESPACE")]
        {
            let error = bad.parse::<Subject>().unwrap_err();
            assert!(error.contains(told), "{bad}: {error}");
        }
    }

    #[test]
    fn the_name_of_a_pod_leads_nowhere_else() {
        for name in ["orders-1", "pod/orders-1", "orders.v1-0", "a"] {
            assert_eq!(pod(name).unwrap(), name.trim_start_matches("pod/"));
        }
        for bad in ["", "..", ".", "a..b", "-a", "a-", "a.-b", "a/b", "Orders", "ä", "a%2f", &"a".repeat(254)]
        {
            assert!(pod(bad).unwrap_err().contains("kubectl get pods"), "{bad}");
        }
    }

    #[test]
    fn a_slip_is_counted_once() {
        for (one, other, away) in [
            ("orders", "orders", 0),
            ("ordres", "orders", 1),
            ("order", "orders", 1),
            ("oders", "orders", 1),
            ("orderz", "orders", 1),
            ("billing", "orders", 7),
            ("", "abc", 3),
        ] {
            assert_eq!((distance(one, other), distance(other, one)), (away, away), "{one} {other}");
        }
    }

    #[test]
    fn a_pod_that_was_meant_goes_on_behind_the_name_or_is_a_slip_away() {
        let known = ["orders-6d-a", "orders-6d-b", "order-1", "web-1"].map(str::to_owned);
        assert_eq!(alike("orders", &known), ["orders-6d-a", "orders-6d-b"]);
        assert_eq!(alike("orders-6d-c", &known), ["orders-6d-a", "orders-6d-b"]);
        assert_eq!(alike("web-2", &known), ["web-1"]);
        assert_eq!(alike("payments", &known), [""; 0]);
    }

    #[test]
    fn what_was_meant_is_the_same_name_elsewhere_or_a_slip_away() {
        let known = keys(&["orders.bank", "orders.shop", "billing.shop", "older.shop", "order.shop"]);
        let told = |meant: &str| -> Vec<String> {
            likely(&meant.parse().unwrap(), &known).into_iter().map(ToString::to_string).collect()
        };
        assert_eq!(told("ordres.shop"), ["orders.shop", "orders.bank", "order.shop"]);
        assert_eq!(told("orders.web"), ["orders.bank", "orders.shop", "order.shop"]);
        assert_eq!(told("biling.shop"), ["billing.shop"]);
        assert_eq!(told("payments.shop"), [""; 0]);
    }
}
