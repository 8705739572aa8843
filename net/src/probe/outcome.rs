//! How a question ended, in words of our own: nothing that a peer made up is kept or shown.

use std::{error::Error, fmt, io};

use rollcall_catalogue::liveness::Answer;

use crate::probe::health_message::Health;

/// Says how one question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passing,
    /// The connection was refused or reset: nobody is there any more.
    Refused,
    /// No whole answer within the limit.
    TimedOut,
    BadReply {
        what: Fault,
    },
    /// It was not asked, by a fault of our own, as without a free file descriptor.
    Unasked {
        why: io::ErrorKind,
    },
}

/// Says what was wrong with a reply: numbers and words of the protocols, never a peer's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A router on the way says that there is no way.
    Unreachable,
    /// The connection ended before the reply did, or the reply was longer than is read.
    Incomplete,
    /// What came is not of the protocol.
    Malformed,
    HeadTooLarge,
    /// The HTTP status, where it does not pass.
    Status(u16),
    MessageTooLarge,
    Grpc(GrpcStatus),
    /// It answered as asked, with another word than SERVING.
    Health(Health),
}

/// Holds the code of a gRPC status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcStatus(u8);

// === impl Outcome ===

impl Outcome {
    pub(super) fn of_connect(error: &io::Error) -> Self {
        use io::ErrorKind::*;
        match error.kind() {
            ConnectionRefused | ConnectionReset => Self::Refused,
            TimedOut => Self::TimedOut,
            HostUnreachable | NetworkUnreachable => Self::BadReply { what: Fault::Unreachable },
            // The peer left between the handshake and our looking at it.
            NotConnected => Self::Refused,
            why => Self::Unasked { why },
        }
    }

    /// What an error of a connection that was open comes to.
    pub(super) fn of_exchange(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset => Self::Refused,
            _ => Self::BadReply { what: Fault::Incomplete },
        }
    }

    /// That of the IO error beneath another one, if there is one.
    pub(super) fn of_source(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut source = Some(error);
        while let Some(error) = source {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return Some(Self::of_exchange(io));
            }
            source = error.source();
        }
        None
    }
}

impl From<Fault> for Outcome {
    fn from(what: Fault) -> Self {
        Self::BadReply { what }
    }
}

/// What the judge needs of it.
impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passing => Self::Passing,
            Outcome::Refused => Self::Refused,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::BadReply { .. } => Self::BadReply,
            Outcome::Unasked { .. } => Self::Unasked,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passing => f.write_str("passing"),
            Self::Refused => f.write_str("connection refused"),
            Self::TimedOut => f.write_str("timed out"),
            Self::BadReply { what } => write!(f, "bad reply: {what}"),
            Self::Unasked { why } => write!(f, "could not be asked: {why}"),
        }
    }
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("unreachable"),
            Self::Incomplete => f.write_str("incomplete"),
            Self::Malformed => f.write_str("malformed"),
            Self::HeadTooLarge => f.write_str("its head is too large"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::MessageTooLarge => f.write_str("its message is too large"),
            Self::Grpc(status) => write!(f, "gRPC {status}"),
            Self::Health(health) => health.fmt(f),
        }
    }
}

// === impl GrpcStatus ===

impl GrpcStatus {
    pub const OK: Self = Self(0);
    pub const UNKNOWN: Self = Self(2);
    pub const NOT_FOUND: Self = Self(5);
    pub const UNIMPLEMENTED: Self = Self(12);

    const WORDS: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    /// The status in the text of a `grpc-status`; one that gRPC does not have is UNKNOWN, as gRPC wants it.
    pub(super) fn parse(text: &[u8]) -> Self {
        let known = str::from_utf8(text).ok().and_then(|text| text.parse::<u8>().ok());
        known.filter(|code| usize::from(*code) < Self::WORDS.len()).map_or(Self::UNKNOWN, Self)
    }
}

impl fmt::Display for GrpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::WORDS.get(usize::from(self.0)).unwrap_or(&"UNKNOWN"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_peer_and_of_our_own_are_told_apart() {
        use io::ErrorKind::*;
        for (kind, connecting, open) in [
            (ConnectionRefused, Outcome::Refused, Outcome::from(Fault::Incomplete)),
            (ConnectionReset, Outcome::Refused, Outcome::Refused),
            (TimedOut, Outcome::TimedOut, Fault::Incomplete.into()),
            (HostUnreachable, Fault::Unreachable.into(), Fault::Incomplete.into()),
            (AddrNotAvailable, Outcome::Unasked { why: AddrNotAvailable }, Fault::Incomplete.into()),
            (PermissionDenied, Outcome::Unasked { why: PermissionDenied }, Fault::Incomplete.into()),
            // What a write says after the other side has closed.
            (BrokenPipe, Outcome::Unasked { why: BrokenPipe }, Fault::Incomplete.into()),
        ] {
            assert_eq!(Outcome::of_connect(&kind.into()), connecting, "{kind}");
            assert_eq!(Outcome::of_exchange(&kind.into()), open, "{kind}");
        }
        /// "Too many open files", which the standard library has no word for.
        const EMFILE: i32 = 24;
        let outcome = Outcome::of_connect(&io::Error::from_raw_os_error(EMFILE));
        assert_eq!(Answer::from(outcome), Answer::Unasked);
    }

    #[test]
    fn grpc_statuses_have_their_words() {
        for (text, word) in [
            ("0", "OK"),
            ("5", "NOT_FOUND"),
            ("12", "UNIMPLEMENTED"),
            ("16", "UNAUTHENTICATED"),
            ("17", "UNKNOWN"),
            ("300", "UNKNOWN"),
            ("-1", "UNKNOWN"),
            ("", "UNKNOWN"),
        ] {
            assert_eq!(GrpcStatus::parse(text.as_bytes()).to_string(), word, "{text}");
        }
        assert_eq!(GrpcStatus::parse(&[0xff]), GrpcStatus::UNKNOWN);
    }
}
