//! What the API server refuses of a target.

use kube::core::{Reason, Rule};
use serde_json::{Value, json};

use super::{LABEL, is_there, must_match};

const SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// As Kubernetes writes a label's key: a name, with or without a domain before it; the domain's length is not in it.
const LABEL_KEY: &str = concat!(
    "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?",
    "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
);
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
const REACHABLE: &str = "use an address that other machines can reach";

pub(crate) fn target_is_set() -> Rule {
    Rule::new("has(self.selector) || has(self.service) || has(self.pod) || has(self.addresses)")
        .message("target means nothing: set exactly one of selector, service, pod or addresses")
        .reason(Reason::FieldValueRequired)
}

pub(crate) fn target_is_one() -> Rule {
    Rule::new(
        "[has(self.selector), has(self.service), has(self.pod), has(self.addresses)].filter(set, set).size() <= 1",
    )
    .message(
        "target means several things: keep exactly one of selector, service, pod or addresses, and write one \
         ServiceRegistration for each",
    )
}

pub(crate) fn selector_is_not_empty() -> Rule {
    Rule::new(
        "(has(self.matchLabels) && size(self.matchLabels) > 0) || \
         (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
    )
    .message(
        "selector is empty and would mean every pod: name at least one label in matchLabels or matchExpressions",
    )
    .reason(Reason::FieldValueRequired)
}

pub(crate) fn selector_is_short() -> Rule {
    Rule::new(
        "(has(self.matchLabels) ? size(self.matchLabels) : 0) + \
         (has(self.matchExpressions) ? size(self.matchExpressions) : 0) <= 32",
    )
    .message(
        "selector has too many requirements: use at most 32 in matchLabels and matchExpressions together",
    )
}

pub(crate) fn match_labels_keys() -> Rule {
    Rule::new(format!("self.all(key, key.matches(r'{LABEL_KEY}') && key.indexOf('/') <= 253)"))
        .message("a key of matchLabels is no key of a label: use a name as app or app.kubernetes.io/name")
}

/// A rule of the value, so that the message carries its key or its index.
pub(crate) fn label_value(of: &str) -> Value {
    json!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [{
            "rule": format!("self.matches(r'{LABEL_VALUE}')"),
            "message": format!("{of} is no value of a label: use at most 63 of letters, digits, -, _ \
                and ., beginning and ending with a letter or a digit"),
        }],
    })
}

pub(crate) fn expression_key() -> Rule {
    Rule::new(format!("self.matches(r'{LABEL_KEY}') && self.indexOf('/') <= 253"))
        .message("key is no key of a label: use a name as app or app.kubernetes.io/name")
}

pub(crate) fn expression_has_values() -> Rule {
    Rule::new("!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)")
        .message("values is missing: In and NotIn need at least one")
        .field_path(".values")
        .reason(Reason::FieldValueRequired)
}

pub(crate) fn expression_has_no_values() -> Rule {
    Rule::new("!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0")
        .message("values is not known to Exists and DoesNotExist: leave it out, or use In or NotIn")
        .field_path(".values")
}

pub(crate) fn service_target_is_named() -> Rule {
    is_there("name", "name the Service, as {name: orders}")
}

pub(crate) fn service_target_name() -> Rule {
    must_match(
        LABEL,
        "name is no name of a Service: use that of a Service of the same namespace, without namespace or domain",
    )
}

pub(crate) fn pod_name() -> Rule {
    must_match(SUBDOMAIN, "name is no name of a pod: use that of a pod of the same namespace")
}

pub(crate) fn pod_is_named() -> Rule {
    is_there("name", "use the pod's metadata.name")
}

pub(crate) fn pod_uid_is_there() -> Rule {
    is_there("uid", "use the pod's metadata.uid; it keeps a successor of the same name out")
}

pub(crate) fn pod_uid() -> Rule {
    must_match(
        "^[A-Za-z0-9][-A-Za-z0-9]*$",
        "uid is no UID of a pod: use the pod's metadata.uid; it keeps a successor of the same name out",
    )
}

pub(crate) fn addresses_are_some() -> Rule {
    Rule::new("size(self) > 0")
        .message("addresses is empty: name 1 to 256 IP addresses")
        .reason(Reason::FieldValueRequired)
}

pub(crate) fn address_is_ip() -> Rule {
    Rule::new("isIP(self)").message(
        "address is no IP address: use IPv4 as 10.0.0.5 or IPv6 as 2001:db8::5; no name of a host, port, zone, leading \
         zero, or IPv4 in the form of IPv6",
    )
}

/// Addresses of these networks lead callers nowhere, or to themselves. Where it is IPv4 that does, a translator on the
/// way would lead there too: NAT64 (64:ff9b::/96), 6to4 (2002::/16) and IPv4-translated (::ffff:0:0:0/96) hold it.
fn not_in(networks: &[&str], what: &str) -> Rule {
    let within: Vec<_> =
        networks.iter().map(|network| format!("cidr('{network}').containsIP(self)")).collect();
    Rule::new(format!("!isIP(self) || !({})", within.join(" || ")))
        .message(format!("address is {what}: {REACHABLE}").as_str())
}

pub(crate) fn address_is_not_loopback() -> Rule {
    not_in(
        &["127.0.0.0/8", "::1/128", "64:ff9b::7f00:0/104", "2002:7f00::/24", "::ffff:0:7f00:0/104"],
        "loopback",
    )
}

pub(crate) fn address_is_specified() -> Rule {
    not_in(&["0.0.0.0/8", "::/128", "64:ff9b::/104", "2002::/24", "::ffff:0:0:0/104"], "unspecified")
}

pub(crate) fn address_is_not_link_local() -> Rule {
    not_in(
        &["169.254.0.0/16", "fe80::/10", "64:ff9b::a9fe:0/112", "2002:a9fe::/32", "::ffff:0:a9fe:0/112"],
        "link-local, where clouds keep their credentials",
    )
}

/// AWS's instance metadata over IPv6.
pub(crate) fn address_is_no_metadata() -> Rule {
    not_in(&["fd00:ec2::254/128"], "where a cloud keeps its credentials")
}

pub(crate) fn address_is_one_machine() -> Rule {
    not_in(
        &["224.0.0.0/3", "ff00::/8", "64:ff9b::e000:0/99", "2002:e000::/19", "::ffff:0:e000:0/99"],
        "multicast, broadcast or reserved",
    )
}

/// `::` and `::1` are of this network too, but have words of their own.
pub(crate) fn address_hides_no_ipv4() -> Rule {
    Rule::new("!isIP(self) || !cidr('::/96').containsIP(self) || self in ['::', '::1']")
        .message("address is IPv4 in the form of IPv6: write it as IPv4, if other machines can reach it")
}

pub(crate) fn zone() -> Rule {
    must_match(
        "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        "zone is no name of a zone: use what the nodes carry as topology.kubernetes.io/zone, as eu-west-1a",
    )
}
