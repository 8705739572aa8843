//! What the API server refuses, as CEL: every message names the field and the remedy.
//!
//! The API server puts the field's path before a message. It skips CEL as soon as a type, an `enum`, a
//! `required`, a `maxLength` or a `maxItems` is violated, so those stand only where their own words are
//! clear. The limits are the catalogue's, which checks again what its types can hold.

mod target;

use kube::core::{Reason, Rule};
use serde_json::{Value, json};
pub(crate) use target::*;

/// A DNS-1123 label; the length is bounded by `maxLength`.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// The form that DNS names use for versions.
const VERSION_LIKE: &str = "^[0-9]+-[0-9]+-[0-9]+$";
/// The semantic version's own grammar (semver.org), with numbers that fit into 64 bits.
const SEMVER: &str = concat!(
    "^(0|[1-9][0-9]{0,18})[.](0|[1-9][0-9]{0,18})[.](0|[1-9][0-9]{0,18})",
    "(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)([.](0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?",
    "([+][0-9a-zA-Z-]+([.][0-9a-zA-Z-]+)*)?$"
);
/// The form of a label's key, without its finer points.
const QUALIFIED: &str =
    "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// Control characters, ends of lines, the marks that turn the direction of text around, and what nobody sees.
const UNSEEN: &str = concat!(
    r"[\p{Cc}\x{AD}\x{61C}\x{180E}\x{200B}\x{200E}\x{200F}\x{2028}-\x{202E}\x{2060}-\x{206F}\x{FEFF}",
    r"\x{FFF9}-\x{FFFB}\x{E0000}-\x{E007F}]"
);
/// What is more than space and joiners.
const SEEN: &str = r"[^\p{Z}\x{200C}\x{200D}]";

fn must_match(pattern: &str, message: &str) -> Rule {
    Rule::new(format!("self.matches(r'{pattern}')")).message(message)
}

/// In place of `required`, whose message has no remedy and hides all the others.
fn is_there(field: &str, remedy: &str) -> Rule {
    Rule::new(format!("has(self.{field})"))
        .message(format!("{field} is missing: {remedy}").as_str())
        .field_path(format!(".{field}"))
        .reason(Reason::FieldValueRequired)
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
    is_there("target", "set exactly one of selector, service, pod or addresses in it")
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

/// Of `http`, `tcp` or `grpc`. Ports that come from a Service are not known here.
pub(crate) fn probe_port_is_known(kind: &str) -> Rule {
    Rule::new(format!(
        "!has(self.ports) || size(self.ports) == 0 || !self.?probe.?{kind}.?port.hasValue() || \
         self.ports.exists(port, port.name == self.probe.{kind}.port)"
    ))
    .message("port names no entry of ports: use the name of one of the ports, or leave it out for the first")
    .field_path(format!(".probe.{kind}.port"))
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
        "version is no semantic version: use three numbers as in 1.4.2, each of at most 19 digits, without a \
         leading v or zeros",
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

pub(crate) fn port_names_differ() -> Rule {
    Rule::new("self.all(a, self.exists_one(b, b.name == a.name))")
        .message("a name of ports stands twice: give each port its own name")
}

/// Rules of an entry, so that the message carries the entry's index. `maxLength` is wider than the limit, since its
/// own words speak of bytes.
pub(crate) fn tag() -> Value {
    json!({
        "type": "string",
        "maxLength": 1024,
        "x-kubernetes-validations": [{
            "rule": format!("size(self) <= 63 && self.matches(r'{SEEN}') && !self.matches(r'{UNSEEN}')"),
            "message": "a tag is empty, too long or not printable: use 1 to 63 printable characters, no control, \
                direction or invisible marks",
        }],
    })
}

pub(crate) fn tags_differ() -> Rule {
    Rule::new("self.all(a, self.exists_one(b, a == b))").message("a tag stands twice: keep one of them")
}

pub(crate) fn metadata_keys() -> Rule {
    Rule::new(format!(
        "self.all(key, size(key) <= 128 && key.matches(r'{SEEN}') && !key.matches(r'{UNSEEN}'))"
    ))
    .message(
        "a key of metadata is empty, too long or not printable: use 1 to 128 printable characters, no control, \
         direction or invisible marks",
    )
}

/// A rule of the value, so that the message carries its key.
pub(crate) fn metadata_value() -> Value {
    json!({
        "type": "string",
        "maxLength": 65536,
        "x-kubernetes-validations": [{
            "rule": "size(self) <= 1024",
            "message": "a value of metadata is too long: use at most 1,024 characters",
        }],
    })
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

pub(crate) fn http_path_is_there() -> Rule {
    is_there("path", "name what to ask for, as {path: /healthz}")
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
        "ttlSeconds (15 where it is left out) is shorter than intervalSeconds: use at least the interval, better three times as much",
    )
    .field_path(".ttlSeconds")
}

// --- visibility ---

pub(crate) fn scope_is_there() -> Rule {
    is_there("scope", "use Cluster, Namespace or Namespaces, or leave visibility out for every namespace")
}

pub(crate) fn namespaces_differ() -> Rule {
    Rule::new("self.all(a, self.exists_one(b, a == b))").message("a namespace stands twice: keep one of them")
}

pub(crate) fn namespaces_where_named() -> Rule {
    Rule::new("!has(self.scope) || self.scope != 'Namespaces' || (has(self.namespaces) && size(self.namespaces) > 0)")
        .message("namespaces is missing: name 1 to 64, or use scope: Namespace for this namespace alone")
        .field_path(".namespaces")
        .reason(Reason::FieldValueRequired)
}

pub(crate) fn namespaces_only_where_named() -> Rule {
    Rule::new("!has(self.scope) || self.scope == 'Namespaces' || !has(self.namespaces) || size(self.namespaces) == 0")
        .message("namespaces needs scope: Namespaces: change the scope, or leave namespaces out")
        .field_path(".namespaces")
}
