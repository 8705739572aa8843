//! The file's bytes: what a sidecar knew when it was written, and a proof that they are all there.
//!
//! ```text
//!  magic │ head: one line of JSON │ own words │ `upsert` frames of the wire, a line each │ length, SHA-256 of all before
//! ```
//!
//! Bytes that are not exactly what was written say nothing at all: none of them is believed.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use rollcall_catalogue::{
    Service, ServiceKey,
    changes::{Head, whole},
};
use rollcall_wire::{
    CodecError, Decoder, Down, PodIdentity, limits::FRAME_BYTES_MAX, limits::SUBSCRIPTIONS_MAX, upserts,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::store::share;

/// Bytes of the file. The volume has 16 MiB, beyond which Kubernetes ends the pod, and while the file is replaced there are
/// two. 1,000 services of 10 instances take about 4 MiB.
pub(super) const FILE_BYTES_MAX: u64 = 7 * 1024 * 1024;
/// Bytes of the app's own words: its registrations fit into one `hello`, and what is noted beside them is less.
const OWN_BYTES_MAX: usize = 512 * 1024;
/// With the number of the format: another one is another build's, and says nothing to this one.
const MAGIC: &[u8; 16] = b"rollcall state1\n";
/// The length and the digest.
const TRAILER_BYTES: usize = 8 + 32;
/// Bytes that are looked at together.
const CHUNK_BYTES: usize = 16 * 1024;

/// Holds what a sidecar knows, for the process that comes after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Who the pod is.
    pub(crate) pod: Option<PodIdentity>,
    /// When all of it was last known to be current, by this machine's wall clock; none where it never was.
    pub(crate) current_at_ms: Option<u64>,
    /// Names that the app asks for and that there is something of, held here or not. Of others nothing is kept: that
    /// there was no such service helps nobody later.
    pub(crate) names: Vec<ServiceKey>,
    pub(crate) services: Vec<(ServiceKey, Arc<Service>)>,
    /// What the app said of itself, in words of those who look after it.
    pub(crate) own: Vec<u8>,
}

/// Holds the first line.
#[derive(Debug, Serialize, Deserialize)]
struct Front {
    pod: Option<PodIdentity>,
    current_at_ms: Option<u64>,
    names: Vec<ServiceKey>,
    own_bytes: usize,
}

/// Says what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bytes: u64,
    /// Services that have no room.
    pub(super) left_out: usize,
}

/// Says why bytes are not believed.
#[derive(Debug, Error)]
pub(super) enum Damaged {
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    #[error("it is longer than any that this build writes")]
    TooLong,
    #[error("it is not in this build's format")]
    Format,
    #[error("it holds no frames")]
    Codec(#[from] CodecError),
    #[error("it is not as it was written")]
    Digest,
}

/// Writes the state.
pub(super) fn encode(state: &State, into: impl Write) -> io::Result<Written> {
    let mut out = Digested { io: into, digest: Sha256::new(), length: 0 };
    let own = if state.own.len() <= OWN_BYTES_MAX { &*state.own } else { &[] };
    let front = Front {
        pod: state.pod.clone(),
        current_at_ms: state.current_at_ms,
        names: state.names.iter().take(SUBSCRIPTIONS_MAX).cloned().collect(),
        own_bytes: own.len(),
    };
    out.write_all(MAGIC)?;
    out.write_all(&serde_json::to_vec(&front)?)?;
    out.write_all(b"\n")?;
    out.write_all(own)?;
    let mut left_out = 0;
    for (key, service) in &state.services {
        // An instance that fits into no frame was never told by one.
        let frames = upserts(key, service).unwrap_or_default();
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        if frames.is_empty() || out.length + (bytes + TRAILER_BYTES) as u64 > FILE_BYTES_MAX {
            left_out += 1;
            continue;
        }
        frames.iter().try_for_each(|frame| out.write_all(frame))?;
    }
    let Digested { mut io, digest, length } = out;
    io.write_all(&length.to_le_bytes())?;
    io.write_all(&digest.finalize())?;
    io.flush()?;
    Ok(Written { bytes: length + TRAILER_BYTES as u64, left_out })
}

/// Reads the state from a file of so many bytes. It is read once and never held as a whole: what is looked at before its
/// digest is known may be anything, so that nothing but an error may come of it.
pub(super) fn decode(mut from: impl Read, length: u64) -> Result<State, Damaged> {
    let body = length.checked_sub(TRAILER_BYTES as u64).ok_or(Damaged::Format)?;
    if length > FILE_BYTES_MAX {
        return Err(Damaged::TooLong);
    }
    let digested = Digested { io: from.by_ref().take(body), digest: Sha256::new(), length: 0 };
    let mut input = BufReader::with_capacity(CHUNK_BYTES, digested);
    let state = read_body(&mut input)?;
    let Digested { digest, length, .. } = input.into_inner();
    let mut trailer = [0; TRAILER_BYTES];
    from.read_exact(&mut trailer)?;
    let (told_length, told_digest) = trailer.split_at(8);
    if told_length != length.to_le_bytes() || told_digest != &*digest.finalize() {
        return Err(Damaged::Digest);
    }
    Ok(state)
}

/// All of it, up to its end.
fn read_body(input: &mut impl BufRead) -> Result<State, Damaged> {
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(Damaged::Format);
    }
    let mut line = Vec::new();
    input.take(FRAME_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    let front: Front = serde_json::from_slice(&line).map_err(|_| Damaged::Format)?;
    if front.own_bytes > OWN_BYTES_MAX || front.names.len() > SUBSCRIPTIONS_MAX {
        return Err(Damaged::TooLong);
    }
    let mut own = vec![0; front.own_bytes];
    input.read_exact(&mut own)?;
    let services = read_services(input)?;
    Ok(State { pod: front.pod, current_at_ms: front.current_at_ms, names: front.names, services, own })
}

fn read_services(input: &mut impl BufRead) -> Result<Vec<(ServiceKey, Arc<Service>)>, Damaged> {
    let mut decoder = Decoder::default();
    let mut services = Vec::new();
    let mut parts = Vec::new();
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return if parts.is_empty() { Ok(services) } else { Err(Damaged::Format) };
        }
        decoder.push(chunk);
        let looked_at = chunk.len();
        input.consume(looked_at);
        while let Some(frame) = decoder.next_frame()? {
            let Down::Upsert {
                service, revision, hash, base: None, policy, truncated, instances, more, ..
            } = frame
            else {
                return Err(Damaged::Format);
            };
            parts.extend(instances);
            if !more {
                let head = Head { revision, hash, policy, truncated };
                share(&mut parts, None);
                // The digest shows that it is what was written, and not by its hash: that may count fields that only
                // a newer controller knows.
                let made = whole(&service, head, std::mem::take(&mut parts), false);
                services.push((service, Arc::new(made.map_err(|_| Damaged::Format)?)));
            }
        }
    }
}

/// Holds a place to read from or to write to, and what has gone through it.
struct Digested<T> {
    io: T,
    digest: Sha256,
    length: u64,
}

// === impl Digested ===

impl<T> Digested<T> {
    fn saw(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
    }
}

impl<T: Read> Read for Digested<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.io.read(buffer)?;
        self.saw(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }
}

impl<T: Write> Write for Digested<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = self.io.write(buffer)?;
        self.saw(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.io.flush()
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
