//! The forms of an answer.

use std::convert::Infallible;

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use rollcall_wire::{Problem, Slug};
use thiserror::Error;

/// Says that a body was not told to its end, which its reader must not take for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body was cut: its reader is too slow, or its writer ended")]
pub(super) struct Cut;

pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;
pub(super) type Answer = Response<Body>;

pub(super) fn json(body: Vec<u8>) -> Answer {
    whole(StatusCode::OK, "application/json", body)
}

pub(super) fn text(text: &'static str) -> Answer {
    whole(StatusCode::OK, "text/plain; charset=utf-8", text)
}

pub(super) fn nothing() -> Answer {
    let mut answer = whole(StatusCode::NO_CONTENT, "", "");
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

/// JSON that comes piece by piece.
pub(super) fn streamed(body: Body) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub(super) fn problem(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.slug.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = whole(status, Problem::CONTENT_TYPE, problem.to_json());
    if matches!(problem.slug, Slug::NotSynced | Slug::LimitReached) {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

pub(super) fn not_allowed(methods: &'static str) -> Answer {
    let refusal =
        Problem::new(Slug::MethodNotAllowed, "this cannot be done here").hint(format!("use {methods}"));
    let mut answer = problem(&refusal);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let never = |never: Infallible| match never {};
    let mut answer = Response::new(Full::new(body.into()).map_err(never).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
