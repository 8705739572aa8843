//! What the app said of itself, as bytes of a file of its own: small, so that it can be written as soon as it is said.
//!
//! ```text
//!  magic │ head: one line of JSON │ the words, as those who look after them write them │ length, SHA-256 of all before
//! ```

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::format::{Damaged, Digested, read_head, unsealed};

/// Bytes of the words: the registrations of an app fit into one `hello`, and what is noted beside them is less.
const WORDS_BYTES_MAX: usize = 512 * 1024;
/// With room for the head.
const FILE_BYTES_MAX: u64 = WORDS_BYTES_MAX as u64 + 4 * 1024;
/// With the number of the format.
const MAGIC: &[u8; 16] = b"rollcall words1\n";

/// Holds what the app said of itself, for the process that comes after this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// The UID of the pod whose app it was, where that was known.
    pub(crate) pod: Option<String>,
    pub(crate) said: Vec<u8>,
}

/// Holds the first line.
#[derive(Debug, Serialize, Deserialize)]
struct Front {
    pod: Option<String>,
}

// === impl Words ===

impl Words {
    pub(super) fn encode(&self, into: impl Write) -> io::Result<()> {
        if self.said.len() > WORDS_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the app's words have no room"));
        }
        let mut out = Digested::new(into);
        out.write_all(MAGIC)?;
        out.write_all(&serde_json::to_vec(&Front { pod: self.pod.clone() })?)?;
        out.write_all(b"\n")?;
        out.write_all(&self.said)?;
        out.seal().map(drop)
    }

    pub(super) fn decode(from: impl Read, length: u64) -> Result<Self, Damaged> {
        unsealed(from, length, FILE_BYTES_MAX, |input| {
            let Front { pod } = read_head(input, MAGIC)?;
            let mut said = Vec::new();
            input.read_to_end(&mut said)?;
            Ok(Self { pod, said })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(words: &Words) -> Vec<u8> {
        let mut bytes = Vec::new();
        words.encode(&mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Words, Damaged> {
        Words::decode(bytes, bytes.len() as u64)
    }

    #[test]
    fn what_was_written_is_read_and_has_a_limit() {
        let said = b"what\nthe app said".to_vec();
        for words in [Words { pod: Some("u1".to_owned()), said }, Words::default()] {
            assert_eq!(read(&bytes_of(&words)).unwrap(), words);
        }
        let most = |bytes| Words { pod: None, said: vec![b'x'; bytes] };
        assert_eq!(read(&bytes_of(&most(WORDS_BYTES_MAX))).unwrap(), most(WORDS_BYTES_MAX));
        assert!(most(WORDS_BYTES_MAX + 1).encode(io::sink()).is_err());
        assert!(matches!(Words::decode(io::repeat(b'a'), FILE_BYTES_MAX + 1), Err(Damaged::TooLong)));
    }

    proptest! {
        #[test]
        fn damage_is_found(at in any::<prop::sample::Index>(), with in 1..=255u8, cut in any::<bool>()) {
            let mut bytes = bytes_of(&Words { pod: Some("u1".to_owned()), said: b"what the app said".to_vec() });
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= with }
            prop_assert!(read(&bytes).is_err());
        }
    }
}
