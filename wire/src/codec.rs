//! Frames to bytes and back: one JSON object a line, no line longer than the limit, no IO.

use std::{marker::PhantomData, str::Utf8Error};

use memchr::memchr;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::limits::FRAME_BYTES_MAX;

/// Bytes that are kept for the next frame: most are small, and one large `hello` must not cost its room for as long as the
/// session lives.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// Says why bytes are no frames. The stream has lost its place and must be closed.
#[derive(Debug, Error)]
pub enum CodecError {
    #[error("frame: longer than {FRAME_BYTES_MAX} bytes; split it")]
    TooLong,
    #[error("frame: no JSON object of this protocol; see docs/protocol.md")]
    Malformed(#[from] serde_json::Error),
    #[error("frame: no UTF-8, which JSON is written in")]
    Encoding(#[from] Utf8Error),
}

/// What a line holds.
pub trait Line: DeserializeOwned {
    /// Reads one of its JSON.
    fn read(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}

/// Holds the bytes of a frame that has not ended yet: never more than one frame and the chunk that was pushed last.
#[derive(Debug)]
pub struct Decoder<T> {
    buffer: Vec<u8>,
    /// Where in the buffer the next frame begins.
    start: usize,
    /// Up to where no end of line was found, so that each byte is looked at once.
    scanned: usize,
    failed: bool,
    frames: PhantomData<fn() -> T>,
}

/// One frame with its newline.
pub fn encode<T: Serialize>(frame: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = serde_json::to_vec(frame)?;
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(CodecError::TooLong);
    }
    bytes.push(b'\n');
    Ok(bytes)
}

// === impl Decoder ===

impl<T> Default for Decoder<T> {
    fn default() -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, failed: false, frames: PhantomData }
    }
}

impl<T: Line> Decoder<T> {
    /// Takes what the peer sent. Call [`Decoder::next_frame`] until it has no more before pushing again.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole frame; none until more bytes come. Blank lines are nothing. After an error there is
    /// nothing more to be had.
    pub fn next_frame(&mut self) -> Result<Option<T>, CodecError> {
        if self.failed {
            return Ok(None);
        }
        let result = self.step();
        self.failed = result.is_err();
        result
    }

    fn step(&mut self) -> Result<Option<T>, CodecError> {
        loop {
            let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(length) = memchr(b'\n', unseen) else {
                self.scanned = self.buffer.len();
                let partial = self.scanned - self.start;
                return if partial > FRAME_BYTES_MAX { Err(CodecError::TooLong) } else { Ok(None) };
            };
            let end = self.scanned + length;
            let line = self.buffer.get(self.start..end).unwrap_or_default();
            self.start = end + 1;
            self.scanned = self.start;
            if line.len() > FRAME_BYTES_MAX {
                return Err(CodecError::TooLong);
            }
            if !line.trim_ascii().is_empty() {
                // Once for the whole line, and not for each text in it.
                let json = str::from_utf8(line)?;
                return Ok(Some(T::read(json)?));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Up;

    /// All that a stream of bytes says when it arrives in these pieces, with the error that ends it.
    fn decode(bytes: &[u8], sizes: &[usize]) -> (Vec<Up>, Option<String>) {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        let mut rest = bytes;
        let mut sizes = sizes.iter().copied().cycle();
        while !rest.is_empty() {
            let (chunk, tail) = rest.split_at(sizes.next().unwrap().clamp(1, rest.len()));
            rest = tail;
            decoder.push(chunk);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error.to_string())),
                }
            }
        }
        (frames, None)
    }

    fn up() -> impl Strategy<Value = Up> {
        prop_oneof![
            any::<u64>().prop_map(|cursor| Up::Ack { cursor }),
            proptest::collection::vec("[a-z]{1,9}", 0..4).prop_map(|names| Up::Subscribe {
                services: names.iter().map(|name| name.parse().unwrap()).collect(),
                summary: false,
            }),
            any::<u64>()
                .prop_map(|sum| Up::Heartbeat { cursor: 1, digest: rollcall_catalogue::ContentHash(sum) }),
        ]
    }

    #[derive(Debug, Clone)]
    enum Line {
        Frame(Up),
        Blank,
        Garbage,
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_they_say_the_same(
            lines in proptest::collection::vec(
                prop_oneof![8 => up().prop_map(Line::Frame), 1 => Just(Line::Blank), 1 => Just(Line::Garbage)],
                0..12,
            ),
            sizes in proptest::collection::vec(1usize..80, 1..8),
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            let mut broken = false;
            for line in lines {
                match line {
                    Line::Frame(frame) => {
                        bytes.extend(encode(&frame).unwrap());
                        if !broken { expected.push(frame); }
                    }
                    Line::Blank => bytes.extend(b" \r\n"),
                    Line::Garbage => { bytes.extend(b"{\"type\":\n"); broken = true; }
                }
            }
            let (frames, error) = decode(&bytes, &sizes);
            prop_assert_eq!(frames, expected);
            prop_assert_eq!(error.is_some(), broken);
        }
    }

    #[test]
    fn a_large_frame_leaves_no_room_behind() {
        let mut decoder = Decoder::<Up>::default();
        let large = format!("{{\"type\":\"later\",\"x\":\"{}\"}}\n", "a".repeat(FRAME_BYTES_MAX / 2));
        decoder.push(large.as_bytes());
        assert_eq!(decoder.next_frame().unwrap(), Some(Up::Unknown));
        assert!(decoder.buffer.capacity() > KEPT_BYTES_MAX);
        decoder.push(b"{\"type\":\"ack\",\"cursor\":1}\n");
        assert_eq!(decoder.next_frame().unwrap(), Some(Up::Ack { cursor: 1 }));
        assert!(decoder.buffer.capacity() <= KEPT_BYTES_MAX);
    }

    #[test]
    fn what_is_no_text_is_an_error_also_where_nobody_would_read_it() {
        let (frames, error) =
            decode(b"{\"type\":\"ack\",\"cursor\":1}\n{\"type\":\"later\",\"x\":\"\xff\"}\n", &[9]);
        assert_eq!(frames, [Up::Ack { cursor: 1 }]);
        assert!(error.is_some_and(|error| error.contains("UTF-8")));
    }

    #[test]
    fn a_frame_too_long_is_an_error_whether_or_not_it_ends() {
        let frame = |length: usize| {
            let head = br#"{"type":"later","x":""#;
            let mut bytes = head.to_vec();
            bytes.resize(length - 2, b'a');
            bytes.extend(b"\"}");
            bytes
        };
        let mut exact = frame(FRAME_BYTES_MAX);
        exact.push(b'\n');
        assert_eq!(decode(&exact, &[4_096]), (vec![Up::Unknown], None), "the limit itself is allowed");

        let mut over = frame(FRAME_BYTES_MAX + 1);
        for _ in 0..2 {
            for sizes in [[4_096], [usize::MAX]] {
                assert!(decode(&over, &sizes).1.is_some_and(|error| error.contains("longer")));
            }
            over.push(b'\n');
        }
    }
}
