//! What the watched kinds have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use rollcall_catalogue::{Port, Transport};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::index::{Change, Key, Kind, ObjectKey};

/// Says how one kind is watched, and what is kept of its objects.
pub(super) trait Watched: Send + 'static {
    type Object: Resource<DynamicType = ()> + DeserializeOwned;
    const KIND: Kind;
    /// Nothing but the metadata is asked for.
    const METADATA_ONLY: bool = false;
    /// What takes the place of a kind that is not installed; none where it always is.
    const ABSENT: Option<&'static str> = None;

    fn key(meta: &ObjectMeta) -> Result<Key, NoMeta>;

    /// What this object tells the index.
    fn seen(object: Self::Object) -> Result<Change, NoMeta>;
}

/// Says what an object lacks, without which it cannot be told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("metadata.{0}: missing or no name; the API server sets it")]
pub(super) struct NoMeta(pub(super) &'static str);

/// The name of an object that has a namespace.
pub(super) fn object_key(meta: &ObjectMeta) -> Result<ObjectKey, NoMeta> {
    let namespace = required(meta.namespace.as_deref(), "namespace")?;
    Ok(ObjectKey { namespace: namespace.parse().map_err(|_| NoMeta("namespace"))?, name: name(meta)?.into() })
}

pub(super) fn name(meta: &ObjectMeta) -> Result<&str, NoMeta> {
    required(meta.name.as_deref(), "name")
}

pub(super) fn uid(meta: &ObjectMeta) -> Result<&str, NoMeta> {
    required(meta.uid.as_deref(), "uid")
}

pub(super) fn label<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(name).map(String::as_str)
}

/// A port of a Service or of a slice; none where the number is none that a caller could use.
pub(super) fn port(
    name: Option<&str>,
    number: i32,
    protocol: Option<&str>,
    app_protocol: Option<&str>,
) -> Option<Port> {
    let transport = transport(protocol);
    let port = u16::try_from(number).ok().filter(|port| *port != 0)?;
    // Where a name is not needed, slices have an empty one.
    let name = name.filter(|name| !name.is_empty()).map(Into::into);
    Some(Port { name, port, transport, app_protocol: app_protocol.map(Into::into) })
}

/// Kubernetes means TCP where it says nothing.
pub(super) fn transport(protocol: Option<&str>) -> Transport {
    match protocol {
        Some("UDP") => Transport::Udp,
        Some("SCTP") => Transport::Sctp,
        _ => Transport::Tcp,
    }
}

pub(super) fn milliseconds(time: &Time) -> i64 {
    time.0.as_millisecond()
}

/// The API server leaves nothing out that an object is named by, and an empty text is as good as none.
fn required<'a>(text: Option<&'a str>, field: &'static str) -> Result<&'a str, NoMeta> {
    text.filter(|text| !text.is_empty()).ok_or(NoMeta(field))
}
