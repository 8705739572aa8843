//! Problems: how the local API says no (RFC 9457).

use serde::Serialize;

/// Says which problem it is; the last part of a problem's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slug {
    UnknownService,
    UnknownPath,
    NotSynced,
    InvalidQuery,
    MethodNotAllowed,
    ForbiddenHost,
    ForbiddenOrigin,
    LimitReached,
}

/// Holds an answer that says what is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub slug: Slug,
    pub detail: String,
    /// The part of the request that is wrong.
    pub field: Option<&'static str>,
    /// The remedy.
    pub hint: Option<&'static str>,
}

/// Every key is always there, so that a typed client needs no special case; null says that there is nothing to say.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    field: Option<&'static str>,
    hint: Option<&'static str>,
}

// === impl Slug ===

impl Slug {
    /// The slug itself, its title, its status.
    const fn facts(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::UnknownService => ("unknown-service", "Unknown service", 404),
            Self::UnknownPath => ("unknown-path", "Unknown path", 404),
            Self::NotSynced => ("not-synced", "Not in step with the controller yet", 503),
            Self::InvalidQuery => ("invalid-query", "Invalid query", 400),
            Self::MethodNotAllowed => ("method-not-allowed", "Method not allowed", 405),
            Self::ForbiddenHost => ("forbidden-host", "Forbidden host", 403),
            Self::ForbiddenOrigin => ("forbidden-origin", "Forbidden origin", 403),
            Self::LimitReached => ("limit-reached", "Limit reached", 503),
        }
    }

    pub const fn status(self) -> u16 {
        self.facts().2
    }
}

// === impl Problem ===

impl Problem {
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    pub fn new(slug: Slug, detail: impl Into<String>) -> Self {
        Self { slug, detail: detail.into(), field: None, hint: None }
    }

    pub fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    pub fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    pub fn to_json(&self) -> Vec<u8> {
        let (slug, title, status) = self.slug.facts();
        let Self { detail, field, hint, .. } = self;
        let body = Body {
            r#type: format!("urn:rollcall:problem:{slug}"),
            title,
            status,
            detail,
            field: *field,
            hint: *hint,
        };
        // Text and a number, which serde_json cannot fail to write.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_the_contracts() {
        let problem = Problem::new(Slug::InvalidQuery, "no").field("zone").hint("leave it out");
        assert_eq!(
            String::from_utf8(problem.to_json()).unwrap(),
            r#"{"type":"urn:rollcall:problem:invalid-query","title":"Invalid query","status":400,"detail":"no","field":"zone","hint":"leave it out"}"#
        );
        assert_eq!(
            String::from_utf8(Problem::new(Slug::NotSynced, "no").to_json()).unwrap(),
            r#"{"type":"urn:rollcall:problem:not-synced","title":"Not in step with the controller yet","status":503,"detail":"no","field":null,"hint":null}"#
        );
    }
}
