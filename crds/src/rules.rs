//! What the API server refuses, as CEL: every message names the field and the remedy.
//!
//! The API server puts the field's path before a message. It skips CEL as soon as a type, an `enum`, a
//! `required`, a `maxLength` or a `maxItems` is violated, so those stand only where their own words are
//! clear. The limits are the catalogue's, which checks everything again.

use kube::core::{Reason, Rule};
use serde_json::{Value, json};

/// A DNS-1123 label; the length is bounded by `maxLength`.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The form that DNS names use for versions.
const VERSION_LIKE: &str = "^[0-9]+-[0-9]+-[0-9]+$";
/// The semantic version's own grammar (semver.org), with numbers that fit into 64 bits.
const SEMVER: &str = concat!(
    "^(0|[1-9][0-9]{0,18})[.](0|[1-9][0-9]{0,18})[.](0|[1-9][0-9]{0,18})",
    "(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)([.](0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?",
    "([+][0-9a-zA-Z-]+([.][0-9a-zA-Z-]+)*)?$"
);
/// As Kubernetes writes a label's key: a name, with or without a domain before it.
const QUALIFIED: &str =
    "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
/// Control characters, ends of lines, and the marks that turn the direction of text around.
const UNPRINTABLE: &str = r"[\p{Cc}\x{2028}\x{2029}\x{202A}-\x{202E}\x{2066}-\x{2069}\x{FEFF}]";
const REACHABLE: &str = "use an address that other machines can reach";

fn must_match(pattern: &str, message: &str) -> Rule {
    Rule::new(format!("self.matches(r'{pattern}')")).message(message)
}

// --- the object ---

/// Where `service` is left out, the object's own name must do.
pub(crate) fn default_name() -> Rule {
    Rule::new(format!(
        "has(self.spec.service) || (size(self.metadata.name) <= 63 && self.metadata.name.matches(r'{LABEL}') && \
         !self.metadata.name.matches(r'{VERSION_LIKE}'))"
    ))
    .message(
        "metadata.name cannot be the name of the service: set spec.service to a DNS-1123 label that is not three \
         numbers joined by -",
    )
    .field_path(".spec.service")
    .reason(Reason::FieldValueRequired)
}

pub(crate) fn target_is_there() -> Rule {
    Rule::new("has(self.target)")
        .message("target is missing: set exactly one of selector, service, pod or addresses in it")
        .field_path(".target")
        .reason(Reason::FieldValueRequired)
}

pub(crate) fn ports_are_known() -> Rule {
    Rule::new("(has(self.target) && has(self.target.service)) || (has(self.ports) && size(self.ports) > 0)")
        .message(
            "ports is missing: name at least one, as {name: http, port: 8080}; only the ports of target.service are \
             known without",
        )
        .field_path(".ports")
        .reason(Reason::FieldValueRequired)
}

/// Ports that come from a Service are not known here.
pub(crate) fn probe_port_is_known() -> Rule {
    Rule::new(
        "!has(self.probe) || !has(self.ports) || size(self.ports) == 0 || \
         [self.probe.?http.?port, self.probe.?tcp.?port, self.probe.?grpc.?port]\
         .all(asked, !asked.hasValue() || self.ports.exists(port, port.name == asked.value()))",
    )
    .message(
        "probe.port names no entry of ports: use the name of one of the ports, or leave it out for the first",
    )
    .field_path(".probe")
}

// --- words ---

pub(crate) fn service_is_label() -> Rule {
    must_match(
        LABEL,
        "service is no DNS-1123 label: use a-z, 0-9 and -, beginning and ending with a letter or a digit",
    )
}

pub(crate) fn service_is_no_version() -> Rule {
    Rule::new(format!("!self.matches(r'{VERSION_LIKE}')"))
        .message("service reads as a version in DNS names: use a name that is not three numbers joined by -")
}

pub(crate) fn version() -> Rule {
    must_match(
        SEMVER,
        "version is no semantic version: use three numbers as in 1.4.2, without a leading v or zeros",
    )
}

pub(crate) fn port_name() -> Rule {
    must_match(
        LABEL,
        "name of a port is no DNS-1123 label: use a-z, 0-9 and -, beginning and ending with a letter or a digit",
    )
}

pub(crate) fn app_protocol() -> Rule {
    must_match(
        QUALIFIED,
        "appProtocol is no name of a protocol: use a word as http, grpc or kubernetes.io/h2c",
    )
}

/// Rules of an entry, so that the message carries the entry's index.
pub(crate) fn tag() -> Value {
    json!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [{
            "rule": format!("size(self) >= 1 && !self.matches(r'{UNPRINTABLE}')"),
            "message": "a tag is empty or not printable: use 1 to 63 printable characters, no control or direction \
                marks",
        }],
    })
}

pub(crate) fn metadata_keys() -> Rule {
    Rule::new(format!("self.all(key, size(key) >= 1 && size(key) <= 128 && !key.matches(r'{UNPRINTABLE}'))"))
        .message(
            "a key of metadata is empty, too long or not printable: use 1 to 128 printable characters, no control or \
             direction marks",
        )
}

pub(crate) fn visible_namespace() -> Value {
    json!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [{
            "rule": format!("self.matches(r'{LABEL}')"),
            "message": "namespaces holds what is no name of a namespace: use DNS-1123 labels as shop or team-a; \
                wildcards are not known, scope: Cluster means all",
        }],
    })
}

// --- the target ---

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
    Rule::new(format!("self.all(key, size(key) <= 317 && key.matches(r'{QUALIFIED}'))"))
        .message("a key of matchLabels is no key of a label: use a name as app or app.kubernetes.io/name")
}

pub(crate) fn match_labels_values() -> Rule {
    Rule::new(format!("self.all(key, self[key].matches(r'{LABEL_VALUE}'))")).message(
        "a value of matchLabels is no value of a label: use at most 63 of letters, digits, -, _ and ., beginning and \
         ending with a letter or a digit",
    )
}

pub(crate) fn expression_key() -> Rule {
    must_match(QUALIFIED, "key is no key of a label: use a name as app or app.kubernetes.io/name")
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

pub(crate) fn service_target_name() -> Rule {
    must_match(
        LABEL,
        "name is no name of a Service: use that of a Service of the same namespace, without namespace or domain",
    )
}

pub(crate) fn pod_name() -> Rule {
    must_match(SUBDOMAIN, "name is no name of a pod: use that of a pod of the same namespace")
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

/// Addresses of these networks lead callers nowhere, or to themselves.
fn not_in(networks: &[&str], what: &str) -> Rule {
    let within: Vec<_> =
        networks.iter().map(|network| format!("cidr('{network}').containsIP(self)")).collect();
    Rule::new(format!("!isIP(self) || !({})", within.join(" || ")))
        .message(format!("address is {what}: {REACHABLE}").as_str())
}

pub(crate) fn address_is_not_loopback() -> Rule {
    not_in(&["127.0.0.0/8", "::1/128"], "loopback")
}

pub(crate) fn address_is_specified() -> Rule {
    not_in(&["0.0.0.0/8", "::/128"], "unspecified")
}

pub(crate) fn address_is_not_link_local() -> Rule {
    not_in(&["169.254.0.0/16", "fe80::/10"], "link-local, where clouds keep their credentials")
}

pub(crate) fn address_is_one_machine() -> Rule {
    not_in(&["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"], "multicast or broadcast")
}

/// `::` and `::1` are of this network too, but have words of their own.
pub(crate) fn address_hides_no_ipv4() -> Rule {
    Rule::new("!isIP(self) || !cidr('::/96').containsIP(self) || self in ['::', '::1']")
        .message("address is IPv4 in the form of IPv6: write it as IPv4")
}

pub(crate) fn zone() -> Rule {
    must_match(
        "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        "zone is no name of a zone: use what the nodes carry as topology.kubernetes.io/zone, as eu-west-1a",
    )
}

// --- health ---

pub(crate) fn probe_is_one() -> Rule {
    Rule::new("[has(self.http), has(self.tcp), has(self.grpc)].exists_one(set, set)")
        .message("probe asks in no way or in several: set exactly one of http, tcp or grpc, as tcp: {}")
}

pub(crate) fn probe_port() -> Rule {
    must_match(
        LABEL,
        "port is no name of a port: use the name of one of spec.ports, or leave it out for the first",
    )
}

pub(crate) fn http_path() -> Rule {
    must_match(
        "^/[!-~]*$",
        "path is no path: begin it with /, and use printable ASCII characters without spaces, as /healthz",
    )
}

pub(crate) fn grpc_service() -> Rule {
    must_match(
        "^[!-~]*$",
        "service is no name of a gRPC service: use printable ASCII characters without spaces, or leave it out for the \
         whole server",
    )
}

pub(crate) fn ttl_outlives_interval() -> Rule {
    Rule::new(
        "!has(self.ttlSeconds) || !has(self.intervalSeconds) || self.ttlSeconds >= self.intervalSeconds",
    )
    .message(
        "ttlSeconds is shorter than intervalSeconds: use at least the interval, better three times as much",
    )
    .field_path(".ttlSeconds")
}

// --- visibility ---

pub(crate) fn namespaces_where_named() -> Rule {
    Rule::new("self.scope != 'Namespaces' || (has(self.namespaces) && size(self.namespaces) > 0)")
        .message("namespaces is missing: name 1 to 64, or use scope: Namespace for this namespace alone")
        .field_path(".namespaces")
        .reason(Reason::FieldValueRequired)
}

pub(crate) fn namespaces_only_where_named() -> Rule {
    Rule::new("self.scope == 'Namespaces' || !has(self.namespaces) || size(self.namespaces) == 0")
        .message("namespaces needs scope: Namespaces: change the scope, or leave namespaces out")
        .field_path(".namespaces")
}
