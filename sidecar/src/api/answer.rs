//! Answers, as bytes that are shared and never made twice.

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hasher},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::stream::BoxStream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use rollcall_wire::Problem;

use crate::store::Held;

const REVISION: HeaderName = HeaderName::from_static("x-rollcall-revision");
const SOURCE: HeaderName = HeaderName::from_static("x-rollcall-source");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IN_STEP: HeaderValue = HeaderValue::from_static("0");
/// No reader is to guess that an answer is anything but what it is said to be.
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

pub(crate) type Answer = Response<Content>;

/// Holds what an answer consists of.
pub(crate) enum Content {
    Whole(Full<Bytes>),
    /// Comes piece by piece, for as long as the caller reads.
    Stream(BoxStream<'static, Bytes>),
}

// === impl Content ===

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(whole) => Pin::new(whole).poll_frame(context),
            Self::Stream(stream) => {
                stream.as_mut().poll_next(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

/// An answer that is this JSON.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    made(status, JSON, body.into())
}

/// An answer that is this, and nothing else; who is told that it cannot be now is told when to come back.
fn made(status: StatusCode, kind: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// Done, and there is nothing to say.
pub(crate) fn no_content() -> Answer {
    let mut answer = Response::new(Bytes::new().into());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// Says how current an answer is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// Whole seconds since all was known to be current.
    pub(crate) age: u64,
    /// Nobody but the disk has told it.
    pub(crate) from_disk: bool,
}

/// The answer about a service: these bytes, or 304 where the caller has them. The request's headers are used up: their room
/// is the answer's, and hyper's for the next request, so that none is made anew.
pub(crate) fn service(held: &Held, body: Bytes, standing: Standing, mut headers: HeaderMap) -> Answer {
    let fresh = matches(&headers, &held.etag);
    headers.clear();
    let mut answer = Response::new(if fresh { Bytes::new() } else { body }.into());
    if fresh {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    }
    headers.insert(REVISION, held.revision.clone());
    headers.insert(ETAG, held.etag.clone());
    *answer.headers_mut() = headers;
    dated(answer, standing)
}

/// The catalogue's word, with how current it is.
pub(crate) fn dated(mut answer: Answer, standing: Standing) -> Answer {
    let headers = answer.headers_mut();
    let age = if standing.age == 0 { IN_STEP } else { HeaderValue::from(standing.age) };
    headers.insert(AGE, age);
    headers.insert(SOURCE, HeaderValue::from_static(if standing.from_disk { "disk" } else { "live" }));
    answer
}

/// What is said of a service and is no content of it, with the revision that it is said of.
pub(crate) fn of(held: &Held, mut answer: Answer, standing: Standing) -> Answer {
    answer.headers_mut().insert(REVISION, held.revision.clone());
    dated(answer, standing)
}

/// The answer of another kind about a service, under a tag of its own where it is not the whole that the service's own
/// tag is of.
pub(crate) fn about(held: &Held, mut answer: Answer, part: &str, standing: Standing) -> Answer {
    let tag = held.etag.to_str().unwrap_or_default().trim_matches('"');
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}-{part}\"")) {
        answer.headers_mut().insert(ETAG, tag);
    }
    of(held, answer, standing)
}

/// An answer that is a list of the catalogue: it has no revision, and its tag is of what it says.
pub(crate) fn list(body: Vec<u8>, standing: Standing, request: &HeaderMap) -> Answer {
    let mut hasher = DefaultHasher::new();
    hasher.write(&body);
    let tag = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish()));
    let tag = tag.unwrap_or(HeaderValue::from_static("\"\""));
    let mut answer = json(StatusCode::OK, body);
    if matches(request, &tag) {
        answer = Response::new(Bytes::new().into());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    answer.headers_mut().insert(ETAG, tag);
    dated(answer, standing)
}

/// An answer that comes piece by piece, as server-sent events.
pub(crate) fn events(held: &Held, pieces: BoxStream<'static, Bytes>, standing: Standing) -> Answer {
    let mut answer = Response::new(Content::Stream(pieces));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    about(held, answer, "watch", standing)
}

pub(crate) fn problem(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.slug.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = made(status, HeaderValue::from_static(Problem::CONTENT_TYPE), problem.to_json().into());
    if let Some(allow) = problem.allow {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    answer
}

pub(crate) fn text(status: StatusCode, text: &'static str) -> Answer {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    made(status, kind, Bytes::from_static(text.as_bytes()))
}

/// Whether the caller holds this version already.
fn matches(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let held = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = held.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_that_holds_the_version_is_told_so() {
        let etag = HeaderValue::from_static("\"7-ab\"");
        for (value, held) in [
            ("\"7-ab\"", true),
            ("W/\"7-ab\"", true),
            ("\"1\", \"7-ab\"", true),
            ("*", true),
            ("\"8-ab\"", false),
            ("7-ab", false),
        ] {
            let headers: HeaderMap = [(IF_NONE_MATCH, value.parse().unwrap())].into_iter().collect();
            assert_eq!(matches(&headers, &etag), held, "{value}");
        }
        assert!(!matches(&HeaderMap::new(), &etag));
    }
}
