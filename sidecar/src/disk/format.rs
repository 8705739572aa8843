//! The file's bytes: what a sidecar knew when it was written, and a proof that they are all there.
//!
//! ```text
//!  magic │ head: one line of JSON │ `upsert` frames of the wire, a line each │ length, SHA-256 of all before
//! ```
//!
//! Bytes that are not exactly what was written say nothing at all: none of them is believed.

use std::{
    io::{self, BufRead, BufReader, Read, Take, Write},
    sync::Arc,
};

use bytes::Bytes;
use rollcall_catalogue::{
    REVISION_END, Service, ServiceKey,
    changes::{Head, Position, whole},
};
use rollcall_wire::{
    CodecError, Decoder, Down, PROTOCOL, PodIdentity, Upsert, limits::FRAME_BYTES_MAX,
    limits::SUBSCRIPTIONS_MAX, upserts,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::store::Alike;

/// Bytes of the file. The volume has 16 MiB, beyond which Kubernetes ends the pod, and while the file is replaced there are
/// two; what the app said and what a controller told take 1.4 MiB at most, in the same way. 1,000 services of 10 instances take about 4 MiB.
pub(super) const FILE_BYTES_MAX: u64 = 7 * 1024 * 1024;
/// With the number of the format: another one is another build's, and says nothing to this one.
const MAGIC: &[u8; 16] = b"rollcall state1\n";
/// What this build calls itself, with all that decides which fields it knows.
fn build() -> String {
    format!("{}/{PROTOCOL}", env!("CARGO_PKG_VERSION"))
}

/// The length and the digest.
const TRAILER_BYTES: usize = 8 + 32;
/// Bytes that are looked at together.
const CHUNK_BYTES: usize = 16 * 1024;

/// Holds what a sidecar knows, for the process that comes after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Who the pod is.
    pub(crate) pod: Option<PodIdentity>,
    /// When all of it was last known to be current, by this machine's wall clock; where it never was, since when that is.
    pub(crate) current_at_ms: u64,
    /// Names that the app asks for and that there is something of, held here or not. Of others nothing is kept: that
    /// there was no such service helps nobody later.
    pub(crate) names: Vec<ServiceKey>,
    pub(crate) services: Vec<(ServiceKey, Arc<Service>)>,
    /// How far Kubernetes was known when these were told, at the least: of a replica that has read less it is not believed
    /// that something is gone.
    pub(crate) position: Position,
    /// Another build wrote it, which may have skipped fields that this one knows: good for lookups, and to be told anew.
    pub(crate) of_another_build: bool,
}

/// Holds the first line.
#[derive(Debug, Serialize, Deserialize)]
struct Front {
    build: String,
    pod: Option<PodIdentity>,
    current_at_ms: u64,
    names: Vec<ServiceKey>,
    /// Missing where an older build wrote it.
    #[serde(default)]
    position: Position,
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
    let mut out = Digested::new(into);
    let front = Front {
        build: build(),
        pod: state.pod.clone(),
        current_at_ms: state.current_at_ms,
        names: state.names.iter().take(SUBSCRIPTIONS_MAX).cloned().collect(),
        position: state.position.clone(),
    };
    out.write_all(MAGIC)?;
    out.write_all(&serde_json::to_vec(&front)?)?;
    out.write_all(b"\n")?;
    let mut left_out = 0;
    for (key, service) in &state.services {
        // An instance that fits into no frame was never told by one; and a number that no frame has would make all of it
        // unreadable.
        let readable = service.revision < REVISION_END;
        let frames = if readable { upserts(key, service).unwrap_or_default() } else { Vec::new() };
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        if frames.is_empty() || out.length + (bytes + TRAILER_BYTES) as u64 > FILE_BYTES_MAX {
            left_out += 1;
            continue;
        }
        frames.iter().try_for_each(|frame| out.write_all(frame))?;
    }
    Ok(Written { bytes: out.seal()?, left_out })
}

/// Reads the state from a file of so many bytes.
pub(super) fn decode(from: impl Read, length: u64) -> Result<State, Damaged> {
    unsealed(from, length, FILE_BYTES_MAX, |input| read_body(input))
}

/// Reads what was sealed, from a file of so many bytes. It is read once and never held as a whole: what is looked at before
/// its digest is known may be anything, so that nothing but an error may come of it.
pub(super) fn unsealed<R: Read, T>(
    mut from: R,
    length: u64,
    length_max: u64,
    read: impl FnOnce(&mut BufReader<Digested<Take<&mut R>>>) -> Result<T, Damaged>,
) -> Result<T, Damaged> {
    let body = length.checked_sub(TRAILER_BYTES as u64).ok_or(Damaged::Format)?;
    if length > length_max {
        return Err(Damaged::TooLong);
    }
    let digested = Digested::new(from.by_ref().take(body));
    let mut input = BufReader::with_capacity(CHUNK_BYTES, digested);
    let made = read(&mut input)?;
    let Digested { digest, length, .. } = input.into_inner();
    let mut trailer = [0; TRAILER_BYTES];
    from.read_exact(&mut trailer)?;
    let (told_length, told_digest) = trailer.split_at(8);
    if told_length != length.to_le_bytes() || told_digest != &*digest.finalize() {
        return Err(Damaged::Digest);
    }
    Ok(made)
}

/// The first line behind this magic.
pub(super) fn read_head<T: DeserializeOwned>(
    input: &mut impl BufRead,
    magic: &[u8; 16],
) -> Result<T, Damaged> {
    let mut found = [0; 16];
    input.read_exact(&mut found)?;
    if &found != magic {
        return Err(Damaged::Format);
    }
    let mut line = Vec::new();
    input.take(FRAME_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    serde_json::from_slice(&line).map_err(|_| Damaged::Format)
}

/// All of it, up to its end.
fn read_body(input: &mut impl BufRead) -> Result<State, Damaged> {
    let front: Front = read_head(input, MAGIC)?;
    if front.names.len() > SUBSCRIPTIONS_MAX {
        return Err(Damaged::TooLong);
    }
    let services = read_services(input)?;
    Ok(State {
        pod: front.pod,
        current_at_ms: front.current_at_ms,
        names: front.names,
        services,
        position: front.position,
        of_another_build: front.build != build(),
    })
}

fn read_services(input: &mut impl BufRead) -> Result<Vec<(ServiceKey, Arc<Service>)>, Damaged> {
    let mut decoder = Decoder::default();
    let mut services = Vec::new();
    let (mut parts, mut alike) = (Vec::new(), Alike::default());
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return if parts.is_empty() { Ok(services) } else { Err(Damaged::Format) };
        }
        decoder.push(chunk);
        let looked_at = chunk.len();
        input.consume(looked_at);
        while let Some(frame) = decoder.next_frame()? {
            let Down::Upsert(Upsert {
                service,
                revision,
                hash,
                base: None,
                policy,
                truncated,
                instances,
                more,
                ..
            }) = frame
            else {
                return Err(Damaged::Format);
            };
            parts.extend(instances);
            if !more {
                let head = Head { revision, hash, policy, truncated };
                alike.share(&mut parts, None);
                // The digest shows that it is what was written, and not by its hash: that may count fields that only
                // a newer controller knows.
                let made = whole(&service, head, std::mem::take(&mut parts), false);
                services.push((service, Arc::new(made.map_err(|_| Damaged::Format)?)));
            }
        }
    }
}

/// Holds a place to read from or to write to, and what has gone through it.
pub(super) struct Digested<T> {
    io: T,
    digest: Sha256,
    length: u64,
}

// === impl Digested ===

impl<T> Digested<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, digest: Sha256::new(), length: 0 }
    }

    fn saw(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
    }
}

impl<T: Write> Digested<T> {
    /// Proves that all is there that was written; gives the length of the whole.
    pub(super) fn seal(self) -> io::Result<u64> {
        let Self { mut io, digest, length } = self;
        io.write_all(&length.to_le_bytes())?;
        io.write_all(&digest.finalize())?;
        io.flush()?;
        Ok(length + TRAILER_BYTES as u64)
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
