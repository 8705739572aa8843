//! How the classic API says no: a status, and `{"success":false}` with the reason where there is one to tell.

use http::StatusCode;
use rollcall_catalogue::ValueError;
use rollcall_wire::{Problem, Slug};
use serde::Serialize;

use crate::{
    api::answer::{Answer, json},
    own::{BODY, NoRoom},
    owners::NoOwner,
};

/// Holds an answer that says no.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// None where nothing is there: the callers know no other word for that.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn unknown() -> Self {
        Self { status: StatusCode::NOT_FOUND, error: None }
    }

    pub(super) fn bad_value(error: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, error: Some(error.into()) }
    }

    pub(super) fn answer(&self) -> Answer {
        let body = Body { success: false, error: self.error.as_deref() };
        // Text, which serde_json cannot fail to write.
        json(self.status, serde_json::to_vec(&body).unwrap_or_default())
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        if problem.slug == Slug::UnknownService {
            return Self::unknown();
        }
        let status = StatusCode::from_u16(problem.slug.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = match problem.hint {
            Some(hint) => format!("{}; {hint}", problem.detail),
            None => problem.detail,
        };
        Self { status, error: Some(error) }
    }
}

impl From<ValueError> for Refusal {
    fn from(error: ValueError) -> Self {
        let status =
            if error.field == BODY { StatusCode::BAD_REQUEST } else { StatusCode::UNPROCESSABLE_ENTITY };
        Self { status, error: Some(error.to_string()) }
    }
}

impl From<NoOwner> for Refusal {
    fn from(none: NoOwner) -> Self {
        let slug = match none {
            NoOwner::NotOfPod | NoOwner::NotOfMachine => Slug::NotYourAddress,
            NoOwner::TooMany | NoOwner::NotNow => Slug::LimitReached,
        };
        Problem::new(slug, none.to_string()).hint(none.remedy()).into()
    }
}

impl From<NoRoom> for Refusal {
    fn from(full: NoRoom) -> Self {
        let status = match full {
            NoRoom::Taken => StatusCode::CONFLICT,
            NoRoom::Count | NoRoom::Bytes | NoRoom::Closed => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, error: Some(full.to_string()) }
    }
}
