//! What a service takes in memory, nearly.

use std::{mem::size_of, net::IpAddr};

use rollcall_catalogue::{Instance, InstanceId, Port, Profile, Service, ServiceKey, Version};

use crate::frame::ServiceSummary;

/// What an allocation takes beside its bytes: the allocator's own, and the counters of what is shared.
const ALLOCATION_BYTES: usize = 32;

/// Places in the two lists of a service, with the part of their chunks that is one instance's.
const LISTED_BYTES: usize = 24;

/// Of one that comes alone: nothing is shared with others.
pub(super) fn of_instance(instance: &Instance) -> usize {
    let Instance { id, addresses, zone, node, pod, profile, .. } = instance;
    let several = addresses.iter().count();
    let addresses = if several > 1 { allocated(several * size_of::<IpAddr>()) } else { 0 };
    let shared = [zone, node, pod].into_iter().flatten().map(|name| allocated(name.len())).sum::<usize>();
    LISTED_BYTES + allocated(size_of::<Instance>()) + of_id(id) + addresses + shared + of_profile(profile)
}

pub(super) fn of_id(id: &InstanceId) -> usize {
    size_of::<InstanceId>() + id.text_bytes().map_or(0, allocated)
}

pub(super) fn of_service(service: &Service) -> usize {
    service.instances.iter().map(|instance| of_instance(instance)).sum()
}

/// With its place in the list.
pub(super) fn of_summary(summary: &ServiceSummary) -> usize {
    let ServiceSummary { service, versions, .. } = summary;
    let names = allocated(service.service.as_str().len()) + allocated(service.namespace.as_str().len());
    let version = |version: &Version| size_of::<Version>() + version.to_string().len();
    let versions = allocated(versions.iter().map(version).sum());
    size_of::<ServiceKey>() + size_of::<ServiceSummary>() + names + versions
}

fn of_profile(profile: &Profile) -> usize {
    let Profile { ports, tags, metadata, .. } = profile;
    let text = |text: Option<&str>| text.map_or(0, |text| allocated(text.len()));
    let names = ports.iter().map(|port| text(port.name.as_deref()) + text(port.app_protocol.as_deref()));
    let tag = |tag: &str| size_of::<Box<str>>() + allocated(tag.len());
    let entry = |(key, value): (&str, &str)| tag(key) + tag(value);
    allocated(size_of::<Profile>())
        + allocated(ports.len() * size_of::<Port>())
        + names.sum::<usize>()
        + tags.iter().map(tag).sum::<usize>()
        + metadata.iter().map(entry).sum::<usize>()
}

fn allocated(bytes: usize) -> usize {
    ALLOCATION_BYTES + bytes
}
