//! The JSON of many instances at once: the same bytes as one by one, for a quarter of the work. A list of instances is what
//! answers, frames and files mostly consist of, and most instances of a service have the profile of the one before.

use std::{io::Write, net::IpAddr, sync::Arc};

use serde::Serialize;

use crate::{
    instance::{Instance, Profile},
    instance_id::InstanceId,
    uuid::Written,
};

/// Writes instances, and remembers what it wrote of the last one's profile.
#[derive(Debug, Default)]
pub(crate) struct InstanceWriter<'a> {
    /// Whose parts these are.
    profile: Option<&'a Arc<Profile>>,
    /// Its fields as JSON, without the braces: those before the instance's places, and those behind them.
    called: Vec<u8>,
    described: Vec<u8>,
}

/// Appends these instances as a JSON array, each with the port that the reader is to use.
pub fn write_instances<'a>(out: &mut Vec<u8>, all: impl IntoIterator<Item = (&'a Instance, u16)>) {
    let mut writer = InstanceWriter::default();
    out.push(b'[');
    for (number, (instance, port)) in all.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        writer.write(out, instance, port, instance.revision);
    }
    out.push(b']');
}

// === impl InstanceWriter ===

impl<'a> InstanceWriter<'a> {
    /// Appends an instance, with this port and this revision in the place of its own.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, instance: &'a Instance, port: u16, revision: u64) {
        self.turn_to(&instance.profile);
        let Instance { id, addresses, zone, node, pod, state, reason, .. } = instance;
        out.extend_from_slice(b"{\"id\":");
        write_id(out, id);
        out.extend_from_slice(b",\"address\":");
        let begin = out.len();
        write_address(out, addresses.primary());
        let end = out.len();
        out.extend_from_slice(b",\"addresses\":[");
        out.extend_from_within(begin..end);
        for address in addresses.iter().skip(1) {
            out.push(b',');
            write_address(out, address);
        }
        out.extend_from_slice(b"],\"port\":");
        write_plain(out, &port);
        out.push(b',');
        out.extend_from_slice(&self.called);
        for (name, place) in [(",\"zone\":", zone), (",\"node\":", node), (",\"pod\":", pod)] {
            out.extend_from_slice(name.as_bytes());
            match place {
                Some(place) => write_text(out, place),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b',');
        out.extend_from_slice(&self.described);
        out.extend_from_slice(b",\"state\":");
        write_text(out, state.as_str());
        out.extend_from_slice(b",\"reason\":");
        write_text(out, reason.as_str());
        out.extend_from_slice(b",\"revision\":");
        write_plain(out, &revision);
        out.push(b'}');
    }

    /// Writes the parts of this profile, if they are not those that are here.
    fn turn_to(&mut self, profile: &'a Arc<Profile>) {
        if self.profile.is_some_and(|held| Arc::ptr_eq(held, profile)) {
            return;
        }
        self.profile = Some(profile);
        write_fields(&mut self.called, &profile.called());
        write_fields(&mut self.described, &profile.described());
    }
}

/// The fields of an object that has some, in the place of what was there.
fn write_fields(out: &mut Vec<u8>, object: &impl Serialize) {
    out.clear();
    write_plain(out, object);
    // The braces.
    out.pop();
    out.drain(..out.len().min(1));
}

fn write_id(out: &mut Vec<u8>, id: &InstanceId) {
    match id.owner() {
        // It is made of nothing that is to be escaped.
        Written::Made(text) => {
            out.push(b'"');
            out.extend_from_slice(&text);
            out.push(b'"');
        }
        Written::Text(text) => write_text(out, text),
    }
    if let Some(port) = id.port() {
        // Within the quotes.
        out.pop();
        out.push(b'-');
        write_plain(out, &port);
        out.push(b'"');
    }
}

fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        // It is made of nothing that is to be escaped.
        IpAddr::V4(four) => {
            out.push(b'"');
            let [first, others @ ..] = four.octets();
            write_plain(out, &first);
            for octet in others {
                out.push(b'.');
                write_plain(out, &octet);
            }
            out.push(b'"');
        }
        IpAddr::V6(_) => write_plain(out, &address),
    }
}

/// Most texts have nothing to escape, which is seen at once for all of their bytes.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write_plain(out, text);
    }
}

/// As serde has it.
fn write_plain(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Text, numbers and maps with text keys, which serde_json cannot fail to write, nor memory to take.
    serde_json::to_writer(out.by_ref(), value).unwrap_or_default();
}
