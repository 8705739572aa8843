//! One service, or what has changed of it, as frames.

use std::sync::Arc;

use bytes::Bytes;
use rollcall_catalogue::{ContentHash, Instance, InstanceId, ServiceKey, changes::Head, write_instances};
use serde::Serialize;

use crate::{
    codec::{CodecError, encode},
    frame::{Down, Upsert},
    limits::{FRAME_BYTES_MAX, FRAME_HEAD_BYTES_MAX},
};

/// What stands behind the name of the instances in a frame that has none.
const EMPTY_END: &[u8] = b"[]}\n";

/// Holds what `upsert` frames are to say of a service.
#[derive(Debug)]
pub(super) struct Upserts<'a> {
    pub(super) key: &'a ServiceKey,
    pub(super) head: Head,
    /// The content that this changes; none where this is all of the service.
    pub(super) base: Option<ContentHash>,
    pub(super) instances: Vec<Arc<Instance>>,
    pub(super) removed: Vec<InstanceId>,
}

/// Holds the part of it that fits into one frame.
#[derive(Default)]
struct Part {
    instances: Vec<Arc<Instance>>,
    removed: Vec<InstanceId>,
}

/// Hands out the room of one frame after the other.
#[derive(Debug, Default)]
pub(crate) struct Room {
    used: usize,
}

// === impl Upserts ===

impl Upserts<'_> {
    /// One frame, or several where that is too small.
    pub(super) fn frames(self) -> Result<Vec<Bytes>, CodecError> {
        match self.frame(&self.instances, &self.removed, false) {
            Err(CodecError::TooLong) => {
                let parts = self.parts()?;
                let last = parts.len() - 1;
                let frame =
                    |(number, part): (usize, Part)| self.frame(&part.instances, &part.removed, number < last);
                parts.into_iter().enumerate().map(frame).collect()
            }
            one => Ok(vec![one?]),
        }
    }

    /// The JSON of an [`Upsert`] with these, and its newline.
    fn frame(
        &self,
        instances: &[Arc<Instance>],
        removed: &[InstanceId],
        more: bool,
    ) -> Result<Bytes, CodecError> {
        let Head { revision, hash, policy, truncated } = self.head;
        let mut bytes = encode(&Down::Upsert(Upsert {
            service: self.key.clone(),
            revision,
            hash,
            base: self.base,
            policy,
            truncated,
            instances: Vec::new(),
            removed: Vec::new(),
            more: false,
        }))?;
        // It ends with the empty list, in whose place come those that there are, and what stands behind them.
        bytes.truncate(bytes.len().saturating_sub(EMPTY_END.len()));
        write_instances(&mut bytes, instances.iter().map(|one| (&**one, one.profile.port)));
        if !removed.is_empty() {
            bytes.extend_from_slice(b",\"removed\":");
            bytes.append(&mut serde_json::to_vec(removed)?);
        }
        if more {
            bytes.extend_from_slice(b",\"more\":true");
        }
        bytes.push(b'}');
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(CodecError::TooLong);
        }
        bytes.push(b'\n');
        Ok(bytes.into_boxed_slice().into())
    }

    /// At least one.
    fn parts(&self) -> Result<Vec<Part>, CodecError> {
        let (mut full, mut part, mut room) = (Vec::new(), Part::default(), Room::default());
        for instance in &self.instances {
            if !room.take(instance)? {
                full.push(std::mem::take(&mut part));
            }
            part.instances.push(instance.clone());
        }
        for id in &self.removed {
            if !room.take(id)? {
                full.push(std::mem::take(&mut part));
            }
            part.removed.push(id.clone());
        }
        full.push(part);
        Ok(full)
    }
}

// === impl Room ===

impl Room {
    /// Whether this fits into the frame with what came before it; if not, it is the first of the next one.
    pub(crate) fn take(&mut self, item: &impl Serialize) -> Result<bool, CodecError> {
        // With its comma.
        let bytes = serde_json::to_vec(item)?.len() + 1;
        let fits = self.used + bytes <= FRAME_BYTES_MAX - FRAME_HEAD_BYTES_MAX;
        self.used = if fits { self.used + bytes } else { bytes };
        Ok(fits)
    }
}

/// A frame that sessions share, in no more memory than it needs.
pub(crate) fn encoded(frame: &Down) -> Result<Bytes, CodecError> {
    Ok(encode(frame)?.into_boxed_slice().into())
}

#[cfg(test)]
#[path = "upserts_tests.rs"]
mod tests;
