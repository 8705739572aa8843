//! What came over a connection and was not read yet: messages, each after its length.

use rollcall_dns::QUERY_BYTES_MAX;
use thiserror::Error;

/// Bytes of the length that stands before each message.
const LENGTH_BYTES: usize = 2;

/// Holds bytes that came and were not read yet.
#[derive(Debug)]
pub(super) struct Unread {
    bytes: Box<[u8]>,
    begin: usize,
    end: usize,
}

/// Says that a message is longer than any query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a message of {length} bytes is no query")]
pub(super) struct TooLong {
    length: usize,
}

// === impl Unread ===

impl Default for Unread {
    /// With room for the longest query, so that whatever is not whole yet can become so.
    fn default() -> Self {
        Self { bytes: vec![0; LENGTH_BYTES + QUERY_BYTES_MAX].into(), begin: 0, end: 0 }
    }
}

impl Unread {
    /// The next message, if it is there as a whole.
    pub(super) fn message(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let unread = self.bytes.get(self.begin..self.end).unwrap_or_default();
        let Some((length, rest)) = unread.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > QUERY_BYTES_MAX {
            return Err(TooLong { length });
        }
        if rest.len() < length {
            return Ok(None);
        }
        let begin = self.begin + LENGTH_BYTES;
        self.begin = begin + length;
        Ok(self.bytes.get(begin..self.begin))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Where the next bytes belong; there is room for some once every whole message was taken.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.begin..self.end, 0);
        (self.begin, self.end) = (0, self.end - self.begin);
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes came into that room.
    pub(super) fn came(&mut self, length: usize) {
        self.end = (self.end + length).min(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        let framed = |message: &Vec<u8>| {
            let length = u16::try_from(message.len()).unwrap().to_be_bytes();
            length.into_iter().chain(message.iter().copied()).collect::<Vec<_>>()
        };
        messages.iter().flat_map(framed).collect()
    }

    proptest! {
        /// However the bytes come, the messages are those that were sent.
        #[test]
        fn messages_come_out_as_they_went_in(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=QUERY_BYTES_MAX), 0..6),
            pieces in prop::collection::vec(1..5_000_usize, 1..8),
        ) {
            let bytes = framed(&messages);
            let (mut sent, mut pieces) = (0, pieces.into_iter().cycle());
            let (mut unread, mut seen) = (Unread::default(), Vec::new());
            while sent < bytes.len() {
                let room = unread.room();
                prop_assert!(!room.is_empty(), "there is always room");
                let length = pieces.next().unwrap().min(room.len()).min(bytes.len() - sent);
                room[..length].copy_from_slice(&bytes[sent..sent + length]);
                unread.came(length);
                sent += length;
                while let Some(message) = unread.message().unwrap() {
                    seen.push(message.to_vec());
                }
            }
            prop_assert_eq!(seen, messages);
            prop_assert!(unread.is_empty());
        }
    }

    #[test]
    fn what_is_longer_than_any_query_is_seen_by_its_length() {
        for length in [QUERY_BYTES_MAX + 1, 65_535] {
            let mut unread = Unread::default();
            let said = u16::try_from(length).unwrap().to_be_bytes();
            unread.room()[..2].copy_from_slice(&said);
            unread.came(1);
            assert_eq!(unread.message(), Ok(None));
            unread.came(1);
            assert_eq!(unread.message(), Err(TooLong { length }));
        }
    }
}
