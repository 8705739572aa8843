//! What a controller told of the installation, as bytes of a file of its own: whom to believe, and where to call. Small, so
//! that it can be written as soon as it is told.
//!
//! ```text
//!  magic │ head: one line of JSON │ the authorities, in PEM │ length, SHA-256 of all before
//! ```

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
};

use serde::{Deserialize, Serialize};

use super::format::{Damaged, Digested, read_head, unsealed};
use crate::session::Learned;

/// Bytes of the authorities: eight of 16 KiB each, which is what one controller may tell in all, as PEM.
const CA_BYTES_MAX: usize = 180 * 1024;
/// With room for the head.
pub(super) const FILE_BYTES_MAX: u64 = CA_BYTES_MAX as u64 + 4 * 1024;
/// With the number of the format.
const MAGIC: &[u8; 16] = b"rollcall way 1\n\n";

/// Holds what was told, for the process that comes after this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// The UID of the pod that was told, where that was known.
    pub(crate) pod: Option<String>,
    pub(crate) controller: Option<SocketAddr>,
    /// None where only the address was told.
    pub(crate) learned: Option<Learned>,
}

/// Holds the first line.
#[derive(Debug, Serialize, Deserialize)]
struct Front {
    pod: Option<String>,
    controller: Option<SocketAddr>,
    given: Option<[u8; 32]>,
}

// === impl Way ===

impl Way {
    pub(super) fn encode(&self, into: impl Write) -> io::Result<()> {
        let ca_pem = self.learned.as_ref().map_or("", |learned| &learned.ca_pem);
        if ca_pem.len() > CA_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the authorities have no room"));
        }
        let given = self.learned.as_ref().map(|learned| learned.given);
        let front = Front { pod: self.pod.clone(), controller: self.controller, given };
        let mut out = Digested::new(into);
        out.write_all(MAGIC)?;
        out.write_all(&serde_json::to_vec(&front)?)?;
        out.write_all(b"\n")?;
        out.write_all(ca_pem.as_bytes())?;
        out.seal().map(drop)
    }

    pub(super) fn decode(from: impl Read, length: u64) -> Result<Self, Damaged> {
        unsealed(from, length, FILE_BYTES_MAX, |input| {
            let Front { pod, controller, given } = read_head(input, MAGIC)?;
            let mut ca_pem = String::new();
            input.read_to_string(&mut ca_pem)?;
            let learned = given.map(|given| Learned { given, ca_pem });
            Ok(Self { pod, controller, learned })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn way(ca_pem: &str) -> Way {
        let learned = Learned { given: [7; 32], ca_pem: ca_pem.to_owned() };
        let controller = "[fd00::7]:7310".parse().ok();
        Way { pod: Some("u1".to_owned()), controller, learned: Some(learned) }
    }

    fn bytes_of(way: &Way) -> Vec<u8> {
        let mut bytes = Vec::new();
        way.encode(&mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Way, Damaged> {
        Way::decode(bytes, bytes.len() as u64)
    }

    #[test]
    fn what_was_written_is_read_and_has_a_limit() {
        let address = Way { learned: None, ..way("") };
        let most = way(&"x".repeat(CA_BYTES_MAX));
        for way in [way("-----BEGIN CERTIFICATE-----\n"), address, most, Way::default()] {
            assert_eq!(read(&bytes_of(&way)).unwrap(), way);
        }
        assert!(way(&"x".repeat(CA_BYTES_MAX + 1)).encode(io::sink()).is_err());
        assert!(matches!(Way::decode(io::repeat(b'a'), FILE_BYTES_MAX + 1), Err(Damaged::TooLong)));
    }

    proptest! {
        #[test]
        fn damage_is_found(at in any::<prop::sample::Index>(), with in 1..=255u8, cut in any::<bool>()) {
            let mut bytes = bytes_of(&way("-----BEGIN CERTIFICATE-----\n"));
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= with }
            prop_assert!(read(&bytes).is_err());
        }
    }
}
