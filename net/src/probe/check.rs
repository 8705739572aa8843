//! What is asked.

use std::{fmt::Write, sync::Arc};

use http::uri::PathAndQuery;
use rollcall_catalogue::ProbeCheck;
use thiserror::Error;

/// Says what is asked; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Check {
    /// Whether a connection is accepted; it is closed at once.
    Tcp,
    /// Whether the answer is 2xx or 3xx. A redirect is an answer, and is not followed.
    Http { method: HttpMethod, path: PathAndQuery },
    /// Whether `grpc.health.v1.Health/Check` says SERVING of this service; the empty one is the whole server.
    Grpc { service: Arc<str> },
}

/// Says how an HTTP probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpMethod {
    /// An app is asked as its users would.
    Get,
    /// Something outside the cluster owes us no body.
    Head,
}

/// Says that a path cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("probe.http.path: is no path; begin it with /, and keep it short")]
pub struct BadPath;

// === impl Check ===

impl Check {
    /// What a registration's probe comes to.
    pub fn of(check: &ProbeCheck, method: HttpMethod) -> Result<Self, BadPath> {
        Ok(match check {
            ProbeCheck::Tcp { .. } => Self::Tcp,
            ProbeCheck::Http { path, .. } => Self::Http { method, path: encoded(path)? },
            ProbeCheck::Grpc { service, .. } => Self::Grpc { service: (&**service).into() },
        })
    }
}

/// The path as it can be sent: what no request line may hold, or what would end the path, is percent-encoded.
fn encoded(path: &str) -> Result<PathAndQuery, BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath);
    }
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'#' | b'<' | b'>' | b'`' | b'"' | b'\\' | b'^' | b'{' | b'|' | b'}' | ..=b' ' | 0x7f.. => {
                // Writing to a string cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
            plain => text.push(char::from(plain)),
        }
    }
    text.parse().map_err(|_| BadPath)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> Result<String, BadPath> {
        let check = ProbeCheck::Http { path: text.into(), port: None };
        match Check::of(&check, HttpMethod::Get)? {
            Check::Http { path, .. } => Ok(path.as_str().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_are_sent_as_they_are_where_they_can_be() {
        for plain in ["/", "/healthz", "/a/b?c=d&e=%20", "/*~!$'()+,;=:@[]"] {
            assert_eq!(path(plain).as_deref(), Ok(plain));
        }
        assert_eq!(path("/a#b<c>").as_deref(), Ok("/a%23b%3Cc%3E"));
        assert_eq!(path("/ä b\r\nHost: evil").as_deref(), Ok("/%C3%A4%20b%0D%0AHost:%20evil"));
        for bad in ["", "healthz", "http://evil.example/", "*"] {
            assert_eq!(path(bad), Err(BadPath), "{bad}");
        }
    }

    proptest! {
        /// Whatever a registration may say can be asked.
        #[test]
        fn every_printable_path_can_be_asked(tail in "[!-~]{0,1023}") {
            let asked = path(&format!("/{tail}"));
            prop_assert!(asked.is_ok());
        }
    }
}
