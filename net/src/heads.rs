//! The requests of a connection as they come in, before the parser sees them. Two things are seen to, which it leaves no
//! other way for:
//!
//! - `>`, `<` and quotes in a target, which no URI may hold. curl and Go send them as they are, and the parser would refuse
//!   the request without a word; so they are escaped, which is what the caller meant. A space is not: it ends the
//!   target.
//! - A head with both a length and chunks. Two readers may find two ends to such a request; the parser takes the chunks, and
//!   tells nobody that there was a length. It is made to refuse it.

use memchr::{memchr, memchr3_iter};
use tokio::io::ReadBuf;

/// Bytes that are kept of a header's line which comes in pieces: enough for the names that are looked for, and a length.
const KEPT_MAX: usize = 64;

/// Holds where in a connection's requests we are, and what did not fit into the reader's buffer.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    part: Part,
    chunked: bool,
    length: Length,
    /// The beginning of a header's line whose end has not come yet.
    kept: Vec<u8>,
    rest: Vec<u8>,
}

/// Says what the next byte is part of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Begins,
    /// A request's first line, and whether it is one whose target is escaped.
    Line {
        escaped: bool,
    },
    Headers,
    /// A body with so many more bytes, none of which is touched.
    Body(u64),
    /// A body whose end only the parser knows: nothing behind it is looked at.
    Lost,
}

/// Says what a head tells of its body's length.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Length {
    #[default]
    Untold,
    Bytes(u64),
    /// What the parser refuses, or takes a longer look at than we do.
    Unclear,
}

// === impl Heads ===

impl Heads {
    /// Gives what did not fit before; whether there was any.
    pub(crate) fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.rest.is_empty() {
            return false;
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(self.rest.drain(..length).as_slice());
        true
    }

    /// Looks at what was read into the buffer behind `before`.
    pub(crate) fn pass(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let Some(read) = buffer.filled_mut().get_mut(before..) else { return };
        let escapes = self.follow(read);
        let Some(first) = escapes.first().copied() else { return };
        let mut escapes = escapes.into_iter().peekable();
        let mut rest = Vec::with_capacity(read.len() + 16);
        for (at, byte) in read.iter().enumerate().skip(first) {
            if escapes.next_if_eq(&at).is_some() {
                rest.extend_from_slice(format!("%{byte:02X}").as_bytes());
            } else {
                rest.push(*byte);
            }
        }
        buffer.set_filled(before + first);
        self.rest = rest;
        self.give(buffer);
    }

    /// Goes through these bytes; where there are some to be escaped. A head that is to be refused is broken here.
    fn follow(&mut self, read: &mut [u8]) -> Vec<usize> {
        let mut escapes = Vec::new();
        let mut at = 0;
        while self.part != Part::Lost
            && let Some(behind) = read.get(at..).filter(|behind| !behind.is_empty())
        {
            if let Part::Body(left) = self.part {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(behind.len());
                self.part = body(left.saturating_sub(taken as u64));
                at += taken;
                continue;
            }
            let end = memchr(b'\n', behind);
            let line = behind.split_at(end.unwrap_or(behind.len())).0;
            let next = at + line.len() + 1;
            match self.part {
                // The parser skips them as well.
                Part::Begins if end.is_some() && matches!(line, [] | [b'\r']) => {}
                Part::Begins | Part::Line { .. } => {
                    let escaped = match self.part {
                        Part::Line { escaped } => escaped,
                        _ => line.starts_with(b"GET /") || line.starts_with(b"HEAD /"),
                    };
                    if escaped {
                        escapes.extend(memchr3_iter(b'<', b'>', b'"', line).map(|number| at + number));
                    }
                    (self.chunked, self.length) = (false, Length::Untold);
                    self.part = if end.is_some() { Part::Headers } else { Part::Line { escaped } };
                }
                _ if end.is_none() => self.keep(line),
                _ => {
                    self.header(line);
                    if self.chunked && self.length != Length::Untold {
                        self.part = Part::Lost;
                        // No header's line ends so.
                        read.iter_mut().skip(next - 1).take(1).for_each(|end| *end = 0);
                    }
                }
            }
            at = next;
        }
        escapes
    }

    fn keep(&mut self, line: &[u8]) {
        let room = KEPT_MAX.saturating_sub(self.kept.len());
        self.kept.extend(line.iter().take(room));
    }

    /// A header's line has ended with this.
    fn header(&mut self, end: &[u8]) {
        let kept;
        let line = match self.kept.is_empty() {
            true => end,
            false => {
                self.keep(end);
                kept = std::mem::take(&mut self.kept);
                &kept
            }
        };
        match line.strip_suffix(b"\r").unwrap_or(line) {
            [] => {
                self.part = match self.length {
                    _ if self.chunked => Part::Lost,
                    Length::Untold => Part::Begins,
                    Length::Bytes(bytes) => body(bytes),
                    Length::Unclear => Part::Lost,
                };
            }
            // Few names begin so, and the others are looked at no further.
            line @ [b't' | b'T' | b'c' | b'C', ..] => {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                if name.eq_ignore_ascii_case(b"transfer-encoding") {
                    self.chunked = true;
                } else if name.eq_ignore_ascii_case(b"content-length") {
                    let told = Length::of(line.get(name.len() + 1..).unwrap_or_default());
                    let same = self.length == Length::Untold || self.length == told;
                    // A longer line may not have been kept as a whole.
                    self.length = if same && line.len() < KEPT_MAX { told } else { Length::Unclear };
                }
            }
            _ => {}
        }
    }
}

// === impl Length ===

impl Length {
    fn of(value: &[u8]) -> Self {
        let digits = value.trim_ascii();
        let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
        text.and_then(|text| text.parse().ok()).map_or(Self::Unclear, Self::Bytes)
    }
}

fn body(left: u64) -> Part {
    if left == 0 { Part::Begins } else { Part::Body(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of this, read in pieces of this size, through a buffer of that size.
    fn passed(sent: &str, room: usize) -> String {
        let mut heads = Heads::default();
        let mut seen = Vec::new();
        for piece in sent.as_bytes().chunks(room) {
            let mut held = vec![0; room];
            let mut buffer = ReadBuf::new(&mut held);
            buffer.put_slice(piece);
            heads.pass(&mut buffer, 0);
            seen.extend_from_slice(buffer.filled());
            loop {
                let mut held = vec![0; room];
                let mut buffer = ReadBuf::new(&mut held);
                if !heads.give(&mut buffer) {
                    break;
                }
                seen.extend_from_slice(buffer.filled());
            }
        }
        String::from_utf8(seen).unwrap()
    }

    #[test]
    fn the_target_is_escaped_and_nothing_else() {
        let head = "Host: a<b\r\n\r\n";
        let table = [
            ("GET /v1/ready?deps=orders>=2 HTTP/1.1\r\n", "GET /v1/ready?deps=orders%3E=2 HTTP/1.1\r\n"),
            ("HEAD /a?v=\"<1\" HTTP/1.1\r\n", "HEAD /a?v=%22%3C1%22 HTTP/1.1\r\n"),
            ("GET /v1/services/a HTTP/1.1\r\n", "GET /v1/services/a HTTP/1.1\r\n"),
            ("PUT /a>b HTTP/1.1\r\n", "PUT /a>b HTTP/1.1\r\n"),
            ("GET <x> HTTP/1.1\r\n", "GET <x> HTTP/1.1\r\n"),
        ];
        for (sent, seen) in table {
            let (sent, seen) = (format!("{sent}{head}"), format!("{seen}{head}"));
            assert_eq!(passed(&sent, 4_096), seen);
            // However it comes in pieces, from as much on as tells what it is.
            for room in 6..sent.len() {
                assert_eq!(passed(&sent, room), seen, "in pieces of {room}");
            }
        }
    }

    #[test]
    fn each_request_of_several_is_escaped_and_no_body_is() {
        let (get, got) = ("GET /?a>b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?a%3Eb HTTP/1.1\r\nHost: a\r\n\r\n");
        let body = "GET /?a>b HTTP/1.1\r\n\r\n";
        let length = body.len();
        let put = |headers: &str| format!("PUT /a HTTP/1.1\r\n{headers}\r\n\r\n{body}");
        let counted = put(&format!("Content-Type: a\r\ncontent-LENGTH: {length}"));
        let bare = "PUT /a HTTP/1.1\nContent-Length: 2\n\n>>";
        let empty = "PUT /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        let odd = counted.replacen("PUT", "GET", 1);
        let long = put(&format!("Content-Length:{}{length}", " ".repeat(KEPT_MAX)));
        let chunked = put("Transfer-Encoding: chunked");
        let unclear = put("Content-Length: 1\r\nContent-Length: 2");
        let table = [
            (format!("{get}{get}\r\n{get}"), format!("{got}{got}\r\n{got}")),
            (format!("{counted}{get}{counted}{get}"), format!("{counted}{got}{counted}{got}")),
            (format!("{counted}\r\n{get}"), format!("{counted}\r\n{got}")),
            (format!("{empty}{get}"), format!("{empty}{got}")),
            (format!("{odd}{get}"), format!("{odd}{got}")),
            (format!("{bare}{get}"), format!("{bare}{got}")),
            // Only the parser knows where these end.
            (format!("{long}{get}"), format!("{long}{get}")),
            (format!("{chunked}{get}"), format!("{chunked}{get}")),
            (format!("{unclear}{get}"), format!("{unclear}{get}")),
        ];
        for (sent, seen) in table {
            assert_eq!(passed(&sent, 4_096), seen);
        }
        // As a client sends them that waits for each answer, and in pieces.
        let sent = format!("{counted}{get}");
        for room in 6..sent.len() {
            let seen = passed(&sent, room);
            assert!(seen.starts_with(&counted), "in pieces of {room}: {seen}");
        }
        let mut heads = Heads::default();
        for (piece, seen) in
            [(counted.as_str(), counted.as_str()), (get, got), (&counted, &counted), (get, got)]
        {
            let mut held = vec![0; 256];
            let mut buffer = ReadBuf::new(&mut held);
            buffer.put_slice(piece.as_bytes());
            heads.pass(&mut buffer, 0);
            assert_eq!(buffer.filled(), seen.as_bytes());
        }
    }

    #[test]
    fn a_head_with_a_length_and_chunks_is_broken() {
        for (first, second) in [
            ("Content-Length: 4", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked", "Content-Length: 4"),
            ("transfer-encoding:chunked", "CONTENT-LENGTH:4"),
            ("Transfer-Encoding: gzip, chunked", "Content-Length: x"),
        ] {
            for method in ["POST", "GET", "DELETE"] {
                let begin = format!("{method} / HTTP/1.1\r\nHost: a\r\n{first}\r\nCookie: c\r\n{second}\r");
                let sent = format!("GET / HTTP/1.1\r\n\r\n{begin}\n\r\n0\r\n\r\n");
                for room in [4_096, 100, 17, 7] {
                    let seen = passed(&sent, room);
                    assert!(seen.contains(&format!("{begin}\0")), "in pieces of {room}: {seen:?}");
                }
            }
        }
        let two = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(passed(two, 4_096), two, "one has a length, and the other chunks");
    }
}
