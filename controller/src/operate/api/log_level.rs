//! What is logged, and how to change that without a restart.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use rollcall_net::{FilterError, LogFilter};
use rollcall_wire::{Problem, Slug};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use tokio::time::timeout;
use tracing::warn;

use super::answer::{Answer, json, nothing};

/// Bytes of a body: four times what a filter may be, for its escapes.
const BODY_MAX: usize = 4 * rollcall_net::FILTER_BYTES_MAX;
/// A body of one packet; whoever takes longer would hold a place.
const BODY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Holds the body of both directions.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    filter: String,
}

pub(super) fn current(logs: &LogFilter) -> Result<Answer, Problem> {
    let level = Level { filter: logs.current().map_err(|error| refused(&error))? };
    // A text, which serde_json cannot fail to write.
    Ok(json(serde_json::to_vec(&level).unwrap_or_default()))
}

pub(super) async fn change(logs: &LogFilter, request: Request<Incoming>) -> Result<Answer, Problem> {
    check_type(request.headers())?;
    let filter = read(&body(request.into_body()).await?)?.filter;
    logs.change(&filter).map_err(|error| refused(&error))?;
    // A warning, so that few of the filters that came with it hide it.
    warn!(filter, "the filter of the logs was changed");
    Ok(nothing())
}

/// A page in a browser cannot send JSON to another origin without asking first, and nobody answers that question.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Problem::new(Slug::UnsupportedMediaType, "the body must be JSON")
        .field("Content-Type")
        .hint("send Content-Type: application/json"))
}

async fn body(body: Incoming) -> Result<Bytes, Problem> {
    match timeout(BODY_WAIT_MAX, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(Slug::PayloadTooLarge, format!("the body is larger than {BODY_MAX} bytes"))
                .hint("a filter is a line of text"))
        }
        Ok(Err(_)) => Err(unreadable("it broke off")),
        Err(_) => Err(unreadable(&format!("it did not come within {BODY_WAIT_MAX:?}"))),
    }
}

fn read(body: &[u8]) -> Result<Level, Problem> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Problem::new(Slug::InvalidField, format!("filter: {error}"))
            .field("filter")
            .hint(r#"send {"filter":"info"}"#),
        Category::Io | Category::Syntax | Category::Eof => unreadable(&error.to_string()),
    })
}

fn unreadable(why: &str) -> Problem {
    Problem::new(Slug::InvalidBody, format!("the body cannot be read: {why}"))
        .hint(r#"send {"filter":"info"}"#)
}

fn refused(error: &FilterError) -> Problem {
    Problem::new(Slug::InvalidField, error.to_string())
        .field("filter")
        .hint("levels are error, warn, info, debug, trace and off; `info,rollcall_controller=debug` shows more of one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_body_is() {
        assert_eq!(read(br#" {"filter":"info"} "#).unwrap().filter, "info");
        let table: [(&[u8], Slug); 8] = [
            (b"", Slug::InvalidBody),
            (b"info", Slug::InvalidBody),
            (br#"{"filter":"info""#, Slug::InvalidBody),
            (br#"{"filter":"info"} {}"#, Slug::InvalidBody),
            (b"\xff", Slug::InvalidBody),
            (b"{}", Slug::InvalidField),
            (br#"{"filter":1}"#, Slug::InvalidField),
            (br#"{"filter":"info","level":"debug"}"#, Slug::InvalidField),
        ];
        for (body, slug) in table {
            let problem = read(body).unwrap_err();
            assert_eq!(problem.slug, slug, "{problem:?}");
            assert!(problem.hint.is_some());
        }
    }

    #[test]
    fn only_json_is_taken() {
        let check = |value: Option<&'static str>| {
            let value = value.map(|value| (CONTENT_TYPE, value.parse().unwrap()));
            check_type(&value.into_iter().collect())
        };
        for good in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(check(Some(good)), Ok(()), "{good}");
        }
        for bad in
            [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")]
        {
            assert_eq!(check(bad).unwrap_err().slug, Slug::UnsupportedMediaType, "{bad:?}");
        }
    }
}
