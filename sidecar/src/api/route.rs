//! What a path means, and what may be done there.

use rollcall_wire::{Problem, Slug, query::segment};

/// Before the name of a service.
pub(super) const SERVICES: &str = "/v1/services/";

const READ: &str = "GET, HEAD";

/// Says what is asked for. Names are as the caller means them, their escapes read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Index,
    Alive,
    InStep,
    OpenApi,
    Services,
    Service(String),
    Pick(String),
    Watch(String),
    Instances,
    /// A service, and the one instance of it that is meant.
    Explain(String, Option<String>),
    Gate,
    Report,
    /// All that the app says of itself; its own module reads the rest of the path.
    Own,
}

/// The part of the path that `/v1/self` is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnPart {
    All,
    Health,
    Drain,
    One,
}

// === impl Route ===

impl Route {
    pub(super) fn of(path: &str) -> Result<Self, Problem> {
        let Some(path) = path.strip_prefix('/') else { return Err(nothing_here()) };
        let mut segments = path.split('/');
        let parts = [(); 4].map(|()| segments.next());
        if segments.next().is_some() {
            return Err(nothing_here());
        }
        let route = match parts {
            [Some(""), None, ..] => Self::Index,
            [Some("healthz"), None, ..] => Self::Alive,
            [Some("readyz"), None, ..] => Self::InStep,
            [Some("v1"), Some(first), second, third] => match (first, second, third) {
                ("openapi.json", None, _) => Self::OpenApi,
                ("services", None, _) => Self::Services,
                ("services", Some(name), None) => Self::Service(segment(name)?),
                ("services", Some(name), Some("pick")) => Self::Pick(segment(name)?),
                ("services", Some(name), Some("watch")) => Self::Watch(segment(name)?),
                ("instances", None, _) => Self::Instances,
                ("explain", Some(name), id) => Self::Explain(segment(name)?, id.map(segment).transpose()?),
                ("ready", None, _) => Self::Gate,
                ("report", None, _) => Self::Report,
                ("self", _, None) => Self::Own,
                _ => return Err(nothing_here()),
            },
            _ => return Err(nothing_here()),
        };
        Ok(route)
    }

    /// The methods that are allowed here, as `Allow` lists them.
    pub(super) fn methods(&self, path: &str) -> &'static str {
        match self {
            Self::Report => "POST",
            Self::Own => OwnPart::of(path).methods(),
            _ => READ,
        }
    }
}

// === impl OwnPart ===

impl OwnPart {
    fn of(path: &str) -> Self {
        match path.strip_prefix("/v1/self").and_then(|rest| rest.strip_prefix('/')) {
            None => Self::All,
            Some("health") => Self::Health,
            Some("drain") => Self::Drain,
            Some(_) => Self::One,
        }
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::All => "GET, HEAD, PUT, DELETE",
            Self::Health => "PUT",
            Self::Drain => "POST, DELETE",
            Self::One => "PUT, DELETE",
        }
    }
}

fn nothing_here() -> Problem {
    Problem::new(Slug::UnknownPath, "there is nothing here").hint("GET / lists what there is")
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
