//! ZooKeeper's protocol, as far as registries use it: what a client says, and how what it hears is read. Each frame stands
//! behind its length; numbers have the most significant byte first, and texts and lists stand behind their own lengths.

use anyhow::{Context, ensure};

/// What ZooKeeper's own clients take at most (`jute.maxbuffer`).
pub(super) const FRAME_MAX: usize = 0xf_ffff;
pub(super) const LENGTH_BYTES: usize = 4;

/// What ZooKeeper says for a path at which there is nothing, and for one at which there is something already.
pub(super) const NO_NODE: i32 = -101;
pub(super) const NODE_EXISTS: i32 = -110;

/// Everybody may do everything, as clients have it where nobody asks for more.
const ALL_RIGHTS: i32 = 31;
const PASSWORD_BYTES: usize = 16;

/// Says what a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    Create {
        path: &'a str,
        data: &'a [u8],
        lasts: Lasts,
    },
    Delete(&'a str),
    Data(&'a str),
    Children(&'a str),
    /// Of it and all below it, until the session ends.
    Watch(&'a str),
    Ping,
    Close,
}

/// Says until when a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    UntilDeleted,
    /// Ephemeral.
    AsItsSession,
}

/// Holds a session, to be gone on with over another connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ticket {
    id: i64,
    password: [u8; PASSWORD_BYTES],
}

/// Holds what the server made of a session that was asked for: none where it knows the old one no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) ticket: Ticket,
    pub(super) timeout_ms: u32,
}

/// Holds one frame of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    Pong,
    /// The answer to the request of this number: nothing where `error` is not zero.
    Reply {
        number: i32,
        error: i32,
        body: &'a [u8],
    },
    Event {
        what: Event,
        path: &'a str,
    },
}

/// Says what happened to a node that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Also what it holds is new.
    Written,
    Deleted,
    /// What has no path: the session's own affairs.
    Other,
}

/// Reads what is left of a frame.
struct Reader<'a>(&'a [u8]);

// === impl Request ===

impl Request<'_> {
    /// Adds its frame to what is to be said.
    pub(super) fn write(&self, number: i32, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let begin = out.len();
        out.extend([0; LENGTH_BYTES]);
        let number = if matches!(self, Self::Ping) { PONG } else { number };
        out.extend(number.to_be_bytes());
        out.extend(self.code().to_be_bytes());
        match *self {
            Self::Create { path, data, lasts } => {
                put(out, path.as_bytes())?;
                put(out, data)?;
                out.extend(1_i32.to_be_bytes());
                out.extend(ALL_RIGHTS.to_be_bytes());
                put(out, b"world")?;
                put(out, b"anyone")?;
                out.extend(i32::from(lasts == Lasts::AsItsSession).to_be_bytes());
            }
            Self::Delete(path) => {
                put(out, path.as_bytes())?;
                const ANY_VERSION: i32 = -1;
                out.extend(ANY_VERSION.to_be_bytes());
            }
            Self::Data(path) | Self::Children(path) => {
                put(out, path.as_bytes())?;
                const UNWATCHED: u8 = 0;
                out.push(UNWATCHED);
            }
            Self::Watch(path) => {
                put(out, path.as_bytes())?;
                const PERSISTENT_RECURSIVE: i32 = 1;
                out.extend(PERSISTENT_RECURSIVE.to_be_bytes());
            }
            Self::Ping | Self::Close => {}
        }
        close(out, begin)
    }

    fn code(&self) -> i32 {
        match self {
            Self::Create { .. } => 1,
            Self::Delete(_) => 2,
            Self::Data(_) => 4,
            Self::Ping => 11,
            // The newer one, whose answer has the node's own state as well.
            Self::Children(_) => 12,
            Self::Watch(_) => 106,
            Self::Close => -11,
        }
    }
}

// === impl Ticket ===

impl Ticket {
    /// Asks for this session to go on, or for a new one where the ticket is empty.
    pub(super) fn write(&self, timeout_ms: u32, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let begin = out.len();
        out.extend([0; LENGTH_BYTES]);
        const VERSION: i32 = 0;
        const SEEN_NOTHING: i64 = 0;
        const MAY_WRITE: u8 = 0;
        out.extend(VERSION.to_be_bytes());
        out.extend(SEEN_NOTHING.to_be_bytes());
        out.extend(i32::try_from(timeout_ms)?.to_be_bytes());
        out.extend(self.id.to_be_bytes());
        put(out, &self.password)?;
        out.push(MAY_WRITE);
        close(out, begin)
    }
}

// === impl Opened ===

impl Opened {
    /// None where the session that was to go on is over.
    pub(super) fn read(frame: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut reader = Reader(frame);
        let _version = reader.int()?;
        let timeout_ms = u32::try_from(reader.int()?)?;
        let id = reader.long()?;
        let password = reader.bytes()?.try_into().context("a password of another length")?;
        Ok((timeout_ms > 0).then_some(Self { ticket: Ticket { id, password }, timeout_ms }))
    }
}

// === impl Heard ===

const PONG: i32 = -2;
const EVENT: i32 = -1;

impl<'a> Heard<'a> {
    pub(super) fn read(frame: &'a [u8]) -> anyhow::Result<Self> {
        let mut reader = Reader(frame);
        let number = reader.int()?;
        let _transaction = reader.long()?;
        let error = reader.int()?;
        match number {
            PONG => Ok(Self::Pong),
            EVENT => {
                let what = match reader.int()? {
                    1 | 3 => Event::Written,
                    2 => Event::Deleted,
                    _ => Event::Other,
                };
                let _state = reader.int()?;
                Ok(Self::Event { what, path: reader.text()? })
            }
            number => Ok(Self::Reply { number, error, body: reader.0 }),
        }
    }
}

/// The names in the answer to [`Request::Children`].
pub(super) fn children(body: &[u8]) -> anyhow::Result<Vec<&str>> {
    let mut reader = Reader(body);
    let count = usize::try_from(reader.int()?)?;
    ensure!(count <= reader.0.len() / LENGTH_BYTES, "a list of {count} that is not there");
    (0..count).map(|_| reader.text()).collect()
}

/// What the node holds, in the answer to [`Request::Data`].
pub(super) fn data(body: &[u8]) -> anyhow::Result<&[u8]> {
    Reader(body).bytes()
}

/// The length that a frame begins with, which does not count itself.
pub(super) fn length(of: [u8; LENGTH_BYTES]) -> anyhow::Result<usize> {
    let length = usize::try_from(i32::from_be_bytes(of))?;
    ensure!(length <= FRAME_MAX, "a frame of {length} bytes");
    Ok(length)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> anyhow::Result<()> {
    out.extend(i32::try_from(bytes.len())?.to_be_bytes());
    out.extend(bytes);
    Ok(())
}

/// Writes the length of the frame that began there.
fn close(out: &mut [u8], begin: usize) -> anyhow::Result<()> {
    let length = i32::try_from(out.len() - begin - LENGTH_BYTES)?;
    let place = out.get_mut(begin..begin + LENGTH_BYTES).context("no place for the length")?;
    place.copy_from_slice(&length.to_be_bytes());
    Ok(())
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> anyhow::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("a frame that ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn int(&mut self) -> anyhow::Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn long(&mut self) -> anyhow::Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into()?))
    }

    /// What is not there at all has the length -1.
    fn bytes(&mut self) -> anyhow::Result<&'a [u8]> {
        let length = self.int()?;
        if length == -1 { Ok(&[]) } else { self.take(usize::try_from(length)?) }
    }

    fn text(&mut self) -> anyhow::Result<&'a str> {
        Ok(std::str::from_utf8(self.bytes()?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(request: Request<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        request.write(7, &mut out).unwrap();
        out
    }

    #[test]
    fn requests_are_as_the_protocol_has_them() {
        let create = Request::Create { path: "/a", data: b"xy", lasts: Lasts::AsItsSession };
        for (request, expected) in [
            (Request::Ping, &b"\0\0\0\x08\xff\xff\xff\xfe\0\0\0\x0b"[..]),
            (Request::Close, b"\0\0\0\x08\0\0\0\x07\xff\xff\xff\xf5"),
            (Request::Data("/a"), b"\0\0\0\x0f\0\0\0\x07\0\0\0\x04\0\0\0\x02/a\0"),
            (Request::Children("/a"), b"\0\0\0\x0f\0\0\0\x07\0\0\0\x0c\0\0\0\x02/a\0"),
            (Request::Delete("/a"), b"\0\0\0\x12\0\0\0\x07\0\0\0\x02\0\0\0\x02/a\xff\xff\xff\xff"),
            (Request::Watch("/a"), b"\0\0\0\x12\0\0\0\x07\0\0\0\x6a\0\0\0\x02/a\0\0\0\x01"),
            (
                create,
                b"\0\0\0\x33\0\0\0\x07\0\0\0\x01\0\0\0\x02/a\0\0\0\x02xy\0\0\0\x01\0\0\0\x1f\
                  \0\0\0\x05world\0\0\0\x06anyone\0\0\0\x01",
            ),
        ] {
            assert_eq!(written(request), expected, "{request:?}");
        }
    }

    #[test]
    fn several_frames_stand_one_after_another() {
        let mut out = written(Request::Ping);
        Request::Close.write(7, &mut out).unwrap();
        assert_eq!(out, [written(Request::Ping), written(Request::Close)].concat());
    }

    #[test]
    fn a_session_is_opened_and_gone_on_with() {
        let mut answer = [&0_i32.to_be_bytes()[..], &4_000_i32.to_be_bytes(), &9_i64.to_be_bytes()].concat();
        put(&mut answer, &[5; PASSWORD_BYTES]).unwrap();
        let opened = Opened::read(&answer).unwrap().unwrap();
        assert_eq!((opened.timeout_ms, opened.ticket.id), (4_000, 9));
        let mut again = Vec::new();
        opened.ticket.write(4_000, &mut again).unwrap();
        assert_eq!(length(again[..4].try_into().unwrap()).unwrap(), again.len() - LENGTH_BYTES);
        assert_eq!(again.len(), 49);
        assert!(again.windows(PASSWORD_BYTES).any(|window| window == [5; PASSWORD_BYTES]));

        answer[4..8].fill(0);
        assert_eq!(Opened::read(&answer).unwrap(), None, "one that is over");
        for bytes in 0..answer.len() {
            assert!(Opened::read(&answer[..bytes]).is_err());
        }
    }

    fn frame(number: i32, error: i32, body: &[u8]) -> Vec<u8> {
        [&number.to_be_bytes()[..], &1_i64.to_be_bytes(), &error.to_be_bytes(), body].concat()
    }

    #[test]
    fn what_the_server_says_is_told_apart() {
        let event = |code: i32| {
            let mut body = [code.to_be_bytes(), 3_i32.to_be_bytes()].concat();
            put(&mut body, b"/a/b").unwrap();
            frame(-1, 0, &body)
        };
        for (frame, expected) in [
            (frame(-2, 0, b""), Heard::Pong),
            (frame(7, 0, b"xy"), Heard::Reply { number: 7, error: 0, body: b"xy" }),
            (frame(7, -101, b""), Heard::Reply { number: 7, error: NO_NODE, body: b"" }),
            (event(1), Heard::Event { what: Event::Written, path: "/a/b" }),
            (event(3), Heard::Event { what: Event::Written, path: "/a/b" }),
            (event(2), Heard::Event { what: Event::Deleted, path: "/a/b" }),
            (event(-1), Heard::Event { what: Event::Other, path: "/a/b" }),
        ] {
            assert_eq!(Heard::read(&frame).unwrap(), expected);
        }
        let event = event(1);
        for bytes in 0..event.len() {
            assert!(Heard::read(&event[..bytes]).is_err());
        }
    }

    #[test]
    fn lists_are_as_long_as_they_say_and_no_longer_than_there_is_room_for() {
        let list = |count: i32, names: &[&str]| {
            let mut out = count.to_be_bytes().to_vec();
            names.iter().for_each(|name| put(&mut out, name.as_bytes()).unwrap());
            out
        };
        assert_eq!(children(&list(2, &["a", "bc"])).unwrap(), ["a", "bc"]);
        assert_eq!(children(&list(0, &[])).unwrap(), [""; 0]);
        for (count, names) in [(3, &["a", "bc"][..]), (i32::MAX, &["a"]), (-1, &[]), (1, &[])] {
            assert!(children(&list(count, names)).is_err(), "{count}");
        }
        assert_eq!(data(b"\0\0\0\x02xyz").unwrap(), b"xy");
        assert_eq!(data(b"\xff\xff\xff\xff").unwrap(), b"");
        for bad in [&b"\0\0\0\x04xyz"[..], b"\xff\xff\xff\xfe", b"\x7f\xff\xff\xff", b"\0\0"] {
            assert!(data(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_frame_has_a_length_that_clients_take() {
        assert_eq!(length([0, 0, 1, 2]).unwrap(), 258);
        assert_eq!(length([0, 0x0f, 0xff, 0xff]).unwrap(), FRAME_MAX);
        for bad in [[0, 0x10, 0, 0], [0xff; 4]] {
            assert!(length(bad).is_err(), "{bad:?}");
        }
    }
}
