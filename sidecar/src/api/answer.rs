//! Answers, as bytes that are shared and never made twice.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::stream::BoxStream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{AGE, ALLOW, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER},
};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use rollcall_wire::{Problem, Slug};

use crate::store::Held;

const REVISION: HeaderName = HeaderName::from_static("x-rollcall-revision");
const SOURCE: HeaderName = HeaderName::from_static("x-rollcall-source");

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
    let mut answer = Response::new(body.into().into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Done, and there is nothing to say.
pub(crate) fn no_content() -> Answer {
    let mut answer = Response::new(Bytes::new().into());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// The answer to a lookup: the held bytes, or 304 where the caller has them.
pub(crate) fn service(held: &Held, age: u64, from_disk: bool, request: &HeaderMap) -> Answer {
    let fresh = matches(request, &held.etag);
    let mut answer = Response::new(if fresh { Bytes::new() } else { held.plain().clone() }.into());
    if fresh {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    if !fresh {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(REVISION, held.revision.clone());
    headers.insert(ETAG, held.etag.clone());
    dated(answer, age, if from_disk { "disk" } else { "live" })
}

/// The answer that there is no such service: the catalogue's word too, and as old as the rest of it.
pub(crate) fn unknown(refusal: &Problem, age: u64) -> Answer {
    dated(problem(refusal), age, "live")
}

fn dated(mut answer: Answer, age: u64, source: &'static str) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(AGE, HeaderValue::from(age));
    headers.insert(SOURCE, HeaderValue::from_static(source));
    answer
}

pub(crate) fn problem(problem: &Problem) -> Answer {
    let mut answer = Response::new(Bytes::from(problem.to_json()).into());
    *answer.status_mut() =
        StatusCode::from_u16(problem.slug.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(Problem::CONTENT_TYPE));
    match problem.slug {
        Slug::NotSynced | Slug::LimitReached => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Slug::MethodNotAllowed => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        _ => {}
    }
    answer
}

pub(crate) fn text(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Bytes::from_static(text.as_bytes()).into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
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
