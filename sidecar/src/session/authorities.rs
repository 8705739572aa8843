//! Which authorities are believed once a controller has told of some: decided from what was given and told, without a clock.
//!
//! ```text
//!  given with the pod ─┐                  told: believed           told no more: believed for an hour on, and then not
//!                      ├─► [ authority ] ─────────────────► [ .. ] ──────────────────────────────────────────────────►
//!  told in a session ──┘                  given anew: as if it had just been told no more
//! ```
//!
//! Two replicas may tell different ones while one authority replaces another, since each reads the Secret by itself. None of
//! them is right for being the last that was heard: what one of them tells is added at once, and what it does not tell goes
//! only when nobody has told of it for as long as no replica is behind.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// An authority that is told no more is believed for so long: longer than any replica reads an older Secret, and much less than
/// an authority lives.
pub(super) const LINGERS_MS: u64 = 60 * 60 * 1_000;
/// Authorities that one controller tells, and that are believed: one, two while they are replaced, and some that linger.
pub(super) const AUTHORITIES_MAX: usize = 8;
/// Bytes of a fingerprint, as people compare them: nobody makes two keys that are alike in so many.
const SHOWN_BYTES: usize = 8;

/// Names what the pod was given, to be known again.
pub(super) type GivenDigest = [u8; 32];

/// Holds the authorities that are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorities {
    of: Vec<Authority>,
    /// The last that was given and is counted in.
    given: GivenDigest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    /// In DER.
    certificate: Vec<u8>,
    /// Since when no controller has told of it; none while the last one did.
    untold_since_ms: Option<u64>,
}

/// The beginning of a certificate's SHA-256, as `openssl x509 -fingerprint -sha256` has it without its colons.
pub(super) fn fingerprint(certificate: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(certificate).iter().take(SHOWN_BYTES) {
        // A String takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

// === impl Authorities ===

impl Authorities {
    /// Those that were believed before anything was told, or by the process before this one: each is told of from now on, or
    /// goes in time.
    pub(super) fn new(certificates: &[Vec<u8>], given: GivenDigest) -> Self {
        let mut made = Self { of: Vec::new(), given };
        made.add(certificates.iter().map(Vec::as_slice), None);
        made
    }

    /// A controller tells these, [`AUTHORITIES_MAX`] at most; whether others are believed now than before.
    pub(super) fn tell(&mut self, told: &[Vec<u8>], now_ms: u64) -> bool {
        for authority in &mut self.of {
            if told.contains(&authority.certificate) {
                authority.untold_since_ms = None;
            } else {
                authority.untold_since_ms.get_or_insert(now_ms);
            }
        }
        self.add(told.iter().map(Vec::as_slice), None)
    }

    /// Whether the last that was told has one of these in it.
    pub(super) fn tells_of(&self, certificates: &[Vec<u8>]) -> bool {
        let mut told = self.of.iter().filter(|one| one.untold_since_ms.is_none());
        told.any(|one| certificates.contains(&one.certificate))
    }

    /// The pod is given these; whether others are believed now. What it was given before says nothing new.
    pub(super) fn give(&mut self, certificates: &[Vec<u8>], given: GivenDigest, now_ms: u64) -> bool {
        if self.given == given {
            return false;
        }
        self.given = given;
        let certificates = certificates.iter().take(AUTHORITIES_MAX);
        for authority in &mut self.of {
            // Somebody has given it again: that is as if it had been told until now.
            if authority.untold_since_ms.is_some()
                && certificates.clone().any(|one| *one == authority.certificate)
            {
                authority.untold_since_ms = Some(now_ms);
            }
        }
        self.add(certificates.map(Vec::as_slice), Some(now_ms))
    }

    /// Those that stay, where some have lingered for long enough; none where nobody goes.
    pub(super) fn without_untold(&self, now_ms: u64) -> Option<Self> {
        let lingers = |since_ms: u64| now_ms.saturating_sub(since_ms) < LINGERS_MS;
        let stays = |one: &&Authority| one.untold_since_ms.is_none_or(lingers);
        let of: Vec<_> = self.of.iter().filter(stays).cloned().collect();
        // Without anybody to believe there would be no way back.
        (!of.is_empty() && of.len() < self.of.len()).then_some(Self { of, given: self.given })
    }

    /// In DER.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.of.iter().map(|authority| authority.certificate.as_slice())
    }

    pub(super) fn given(&self) -> GivenDigest {
        self.given
    }

    fn add<'a>(&mut self, new: impl Iterator<Item = &'a [u8]>, untold_since_ms: Option<u64>) -> bool {
        let before: Vec<_> = self.certificates().map(<[u8]>::to_vec).collect();
        for certificate in new {
            if !self.certificates().any(|held| held == certificate) {
                self.of.push(Authority { certificate: certificate.to_vec(), untold_since_ms });
            }
        }
        while self.of.len() > AUTHORITIES_MAX {
            // Who has not been told of for longest; who is told of stays, and there are not more of these.
            let untold = self.of.iter().enumerate().filter_map(|(at, one)| Some((one.untold_since_ms?, at)));
            let last = self.of.len() - 1;
            let place = untold.min().map_or(last, |(_, at)| at);
            self.of.remove(place);
        }
        !self.certificates().eq(before.iter().map(Vec::as_slice))
    }
}

#[cfg(test)]
#[path = "authorities_tests.rs"]
mod tests;
