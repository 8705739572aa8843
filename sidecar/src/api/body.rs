//! The body of a request: JSON within limits, or a problem that says what is wrong with it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use rollcall_wire::{Problem, Slug};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// Bytes of a body: a registration with all that it may hold, in any way of writing it.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// A body from the same machine is here at once; who drips gives its place back.
const BODY_MAX: Duration = Duration::from_secs(5);

/// The value that the body is. Only what says that it is JSON is read: a form of a web page cannot say so.
pub(crate) async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Incoming) -> Result<T, Problem> {
    if !is_json(headers) {
        return Err(not_json());
    }
    let bytes = collect(body).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(Slug::InvalidBody, described(&error))
            .hint("see GET /v1/openapi.json for what it is to be")
    })
}

/// Who needs no body sends none, or one that he says to be JSON: a form of a web page cannot.
pub(crate) fn check_type(headers: &HeaderMap, body: &Incoming) -> Result<(), Problem> {
    let says_nothing = body.is_end_stream() && !headers.contains_key(CONTENT_TYPE);
    if says_nothing || is_json(headers) { Ok(()) } else { Err(not_json()) }
}

fn not_json() -> Problem {
    Problem::new(Slug::UnsupportedMediaType, "the body is not said to be JSON")
        .field("Content-Type")
        .hint("send Content-Type: application/json")
}

async fn collect(body: Incoming) -> Result<Bytes, Problem> {
    // What is said to be too large is not waited for.
    if usize::try_from(body.size_hint().lower()).is_ok_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    match timeout(BODY_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(Slug::InvalidBody, "the body broke off").hint("send all of it")),
        Err(_) => {
            Err(Problem::new(Slug::InvalidBody, "the body did not come in time").hint("send it at once"))
        }
    }
}

/// The body is larger than any that is read.
fn too_large() -> Problem {
    let detail = format!("the body has more than {BODY_BYTES_MAX} bytes");
    Problem::new(Slug::PayloadTooLarge, detail).hint("send less")
}

/// Where and what, and nothing of the text itself: what comes in is not given back.
fn described(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        serde_json::error::Category::Data => {
            "holds another kind of value than is asked for, or lacks a field"
        }
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "is no JSON",
    };
    format!("the body {what}, at line {line} column {column}")
}

fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_json() {
        for (said, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json-patch+json", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            let headers: HeaderMap = [(CONTENT_TYPE, said.parse().unwrap())].into_iter().collect();
            assert_eq!(is_json(&headers), json, "{said}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn what_is_wrong_is_told_without_what_was_sent() {
        let error = serde_json::from_str::<u8>("\"<script>\"").unwrap_err();
        let told = described(&error);
        assert!(!told.contains("script") && told.contains("line 1"), "{told}");
    }
}
