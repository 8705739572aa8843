//! What callers write into a request's target that no URI may hold: `>` and `<` of a requirement, and quotes. curl and
//! Go send them as they are, and the parser would refuse the request without a word; so they are escaped before it sees
//! them, which is what they meant.

use tokio::io::ReadBuf;

/// What is escaped. A space is not: it ends the target.
const ESCAPED: [u8; 3] = *b"<>\"";

/// Holds where in a connection's requests we are, and what did not fit into the reader's buffer.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    line: Line,
    rest: Vec<u8>,
}

/// Says whether the next byte is of a request's first line. Only requests that have no body are looked at, and only where
/// one begins what is read: of several sent at once, the first. What a body holds is never touched.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Line {
    #[default]
    Begins,
    Inside,
    Behind,
}

// === impl Targets ===

impl Targets {
    /// An answer was written: the next that is read begins a request.
    pub(crate) fn answered(&mut self) {
        if self.rest.is_empty() {
            self.line = Line::Begins;
        }
    }

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
        let Some(read) = buffer.filled().get(before..).filter(|read| !read.is_empty()) else { return };
        if self.line == Line::Begins {
            let begins = read.starts_with(b"GET /") || read.starts_with(b"HEAD /");
            self.line = if begins { Line::Inside } else { Line::Behind };
        }
        if self.line == Line::Behind {
            return;
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        if end.is_some() {
            self.line = Line::Behind;
        }
        let (line, behind) = read.split_at(end.unwrap_or(read.len()));
        let Some(first) = line.iter().position(|byte| ESCAPED.contains(byte)) else { return };
        let mut rest = Vec::with_capacity(read.len() + 16);
        for byte in line.iter().skip(first) {
            if ESCAPED.contains(byte) {
                rest.extend_from_slice(format!("%{byte:02X}").as_bytes());
            } else {
                rest.push(*byte);
            }
        }
        rest.extend_from_slice(behind);
        buffer.set_filled(before + first);
        self.rest = rest;
        self.give(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of these reads, through a buffer of this size.
    fn passed(reads: &[&[u8]], room: usize) -> String {
        let mut targets = Targets::default();
        let mut seen = Vec::new();
        for read in reads {
            for piece in read.chunks(room) {
                let mut held = vec![0; room];
                let mut buffer = ReadBuf::new(&mut held);
                buffer.put_slice(piece);
                targets.pass(&mut buffer, 0);
                seen.extend_from_slice(buffer.filled());
                loop {
                    let mut held = vec![0; room];
                    let mut buffer = ReadBuf::new(&mut held);
                    if !targets.give(&mut buffer) {
                        break;
                    }
                    seen.extend_from_slice(buffer.filled());
                }
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
            assert_eq!(passed(&[sent.as_bytes()], 4_096), seen);
            // However it comes in pieces, from as much on as tells what it is.
            for room in 6..sent.len() {
                assert_eq!(passed(&[sent.as_bytes()], room), seen, "in pieces of {room}");
            }
        }
        let body: [&[u8]; 2] = [b"PUT /a HTTP/1.1\r\n\r\n", b"GET /a>b HTTP/1.1\r\n"];
        assert!(passed(&body, 4_096).ends_with("GET /a>b HTTP/1.1\r\n"), "that is a body");
    }

    #[test]
    fn after_an_answer_a_request_begins() {
        let mut targets = Targets::default();
        let mut held = [0; 64];
        for _ in 0..2 {
            let mut buffer = ReadBuf::new(&mut held);
            buffer.put_slice(b"GET /?a>b HTTP/1.1\r\n\r\n");
            targets.pass(&mut buffer, 0);
            assert_eq!(buffer.filled(), b"GET /?a%3Eb HTTP/1.1\r\n\r\n");
            targets.answered();
        }
    }
}
