//! Problems: how the local API says no (RFC 9457).

use std::borrow::Cow;

use serde::Serialize;

/// Says which problem it is; the last part of a problem's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slug {
    UnknownService,
    UnknownInstance,
    UnknownPath,
    NotSynced,
    TooOld,
    InvalidQuery,
    InvalidBody,
    InvalidField,
    UnsupportedMediaType,
    PayloadTooLarge,
    MethodNotAllowed,
    ForbiddenHost,
    ForbiddenOrigin,
    NotYourAddress,
    LimitReached,
    NoServingInstance,
}

/// Holds an answer that says what is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub slug: Slug,
    pub detail: String,
    /// The part of the request that is wrong.
    pub field: Option<&'static str>,
    /// The remedy.
    pub hint: Option<Cow<'static, str>>,
    /// The methods that are allowed here, where another was used: the `Allow` header.
    pub allow: Option<&'static str>,
}

/// Every key is always there, so that a typed client needs no special case; null says that there is nothing to say.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    field: Option<&'static str>,
    hint: Option<&'a str>,
}

// === impl Slug ===

impl Slug {
    /// All that there are, for who tells of them.
    pub const ALL: [Self; 16] = [
        Self::UnknownService,
        Self::UnknownInstance,
        Self::UnknownPath,
        Self::NotSynced,
        Self::TooOld,
        Self::InvalidQuery,
        Self::InvalidBody,
        Self::InvalidField,
        Self::UnsupportedMediaType,
        Self::PayloadTooLarge,
        Self::MethodNotAllowed,
        Self::ForbiddenHost,
        Self::ForbiddenOrigin,
        Self::NotYourAddress,
        Self::LimitReached,
        Self::NoServingInstance,
    ];

    /// The slug itself, its title, its status.
    const fn facts(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::UnknownService => ("unknown-service", "Unknown service", 404),
            Self::UnknownInstance => ("unknown-instance", "Unknown instance", 404),
            Self::UnknownPath => ("unknown-path", "Unknown path", 404),
            Self::NotSynced => ("not-synced", "Not in step with the controller yet", 503),
            Self::TooOld => ("too-old", "Older than was asked for", 503),
            Self::InvalidQuery => ("invalid-query", "Invalid query", 400),
            Self::InvalidBody => ("invalid-body", "Invalid body", 400),
            Self::InvalidField => ("invalid-field", "Invalid field", 422),
            Self::UnsupportedMediaType => ("unsupported-media-type", "Unsupported media type", 415),
            Self::PayloadTooLarge => ("payload-too-large", "Payload too large", 413),
            Self::MethodNotAllowed => ("method-not-allowed", "Method not allowed", 405),
            Self::ForbiddenHost => ("forbidden-host", "Forbidden host", 403),
            Self::ForbiddenOrigin => ("forbidden-origin", "Forbidden origin", 403),
            Self::NotYourAddress => ("not-your-address", "Not your address", 403),
            Self::LimitReached => ("limit-reached", "Limit reached", 503),
            Self::NoServingInstance => ("no-serving-instance", "No serving instance", 503),
        }
    }

    /// The last part of a problem's type.
    pub const fn name(self) -> &'static str {
        self.facts().0
    }

    pub const fn title(self) -> &'static str {
        self.facts().1
    }

    pub const fn status(self) -> u16 {
        self.facts().2
    }
}

// === impl Problem ===

impl Problem {
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    pub fn new(slug: Slug, detail: impl Into<String>) -> Self {
        Self { slug, detail: detail.into(), field: None, hint: None, allow: None }
    }

    /// The request names another machine than this one.
    pub fn forbidden_host() -> Self {
        Self::new(Slug::ForbiddenHost, "Host is not a name of this machine")
            .field("Host")
            .hint("use localhost or 127.0.0.1")
    }

    /// The request comes from a web page.
    pub fn forbidden_origin() -> Self {
        Self::new(Slug::ForbiddenOrigin, "requests of web pages are refused")
            .field("Origin")
            .hint("leave Origin out")
    }

    /// Another method than these was used.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Self::new(Slug::MethodNotAllowed, "this cannot be done here");
        Self { allow: Some(allow), ..problem.hint(format!("use {allow}")) }
    }

    pub fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
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
            hint: hint.as_deref(),
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
