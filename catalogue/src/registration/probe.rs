//! How an app is asked whether it is well, and how it says so itself.

use std::{fmt, str::FromStr};

use crate::{
    limits::{
        HEARTBEAT_SECONDS_MAX, PROBE_MILLISECONDS, PROBE_PATH_CHARS_MAX, PROBE_SERVICE_CHARS_MAX,
        PROBE_THRESHOLD_MAX,
    },
    names::{is_label, shortened},
    registration::{Attributes, Transport, ValueError},
};

/// How a check is written in one word.
pub(super) const PROBE_REMEDY: &str = "use tcp, http:/path, grpc or none";

/// Says whether an app is to be probed, where a registration says anything of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Probing {
    /// Not at all.
    Off,
    By(ProbeSpec),
}

/// Holds how to ask, and how often a bad answer must come before it counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProbeSpec {
    pub check: ProbeCheck,
    pub interval_ms: u32,
    pub timeout_ms: u32,
    /// Timeouts and bad replies in a row until the app is unwell; a refused connection needs no second opinion.
    pub failure_threshold: u8,
    pub success_threshold: u8,
}

/// Says what is asked. A port is meant by its name; none is the primary one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProbeCheck {
    /// A connection is enough.
    Tcp { port: Option<Box<str>> },
    /// A GET that must be answered with 2xx or 3xx.
    Http { path: Box<str>, port: Option<Box<str>> },
    /// `grpc.health.v1.Health/Check`; the empty service is the whole server.
    Grpc { service: Box<str>, port: Option<Box<str>> },
}

/// Holds how often an app says that it is well, and for how long it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Heartbeat {
    pub interval_seconds: u32,
    pub ttl_seconds: u32,
}

// === impl Probing ===

/// `tcp`, `http:/path`, `grpc` or `none`, as an annotation and an app write it; always of the primary port.
impl FromStr for Probing {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let refused = |problem| ValueError { field: "probe", problem, remedy: PROBE_REMEDY };
        let check = match text {
            "none" => return Ok(Self::Off),
            "tcp" => ProbeCheck::Tcp { port: None },
            "grpc" => ProbeCheck::Grpc { service: Box::default(), port: None },
            _ => match text.strip_prefix("http:") {
                Some(path) => ProbeCheck::Http { path: path.into(), port: None },
                None => return Err(refused(format!("`{}` is no probe", shortened(text)))),
            },
        };
        let probe = ProbeSpec::new(check);
        match probe.check(&Attributes::default()).into_iter().next() {
            Some(error) => Err(refused(format!("`{}` {}", shortened(text), error.problem))),
            None => Ok(Self::By(probe)),
        }
    }
}

// === impl ProbeSpec ===

impl ProbeSpec {
    /// This check with the timing that suits most.
    pub fn new(check: ProbeCheck) -> Self {
        Self { check, interval_ms: 500, timeout_ms: 1_000, failure_threshold: 3, success_threshold: 1 }
    }

    /// What is asked of an instance of which nobody said how: whether its primary port accepts. Where that says
    /// nothing (UDP, SCTP), and where the app speaks for itself, nothing is asked.
    pub fn by_default(primary: Transport, beats: bool) -> Option<Self> {
        (primary == Transport::Tcp && !beats).then(|| Self::new(ProbeCheck::Tcp { port: None }))
    }

    pub(super) fn check(&self, attributes: &Attributes) -> Vec<ValueError> {
        let mut errors = Vec::new();
        let mut refuse = |field, problem: &str, remedy| {
            errors.push(ValueError { field, problem: problem.to_owned(), remedy });
        };
        if let ProbeCheck::Http { path, .. } = &self.check {
            let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
            if !path.starts_with('/') || !printable || path.len() > PROBE_PATH_CHARS_MAX {
                refuse(
                    "probe.http.path",
                    "is no path",
                    "begin it with /, and use at most 1,024 printable ASCII characters without spaces",
                );
            }
        }
        if let ProbeCheck::Grpc { service, .. } = &self.check {
            let printable = service.bytes().all(|byte| byte.is_ascii_graphic());
            if !printable || service.len() > PROBE_SERVICE_CHARS_MAX {
                refuse(
                    "probe.grpc.service",
                    "is no name of a gRPC service",
                    "use at most 253 printable ASCII characters, or leave it empty for the whole server",
                );
            }
        }
        if let Some(port) = self.check.port() {
            // Ports that come from a Service are not known here.
            let known = attributes.ports.is_empty()
                || attributes.ports.iter().any(|p| p.name.as_deref() == Some(port));
            if !known || !is_label(port) {
                refuse(
                    "probe.port",
                    "names no entry of ports",
                    "use the name of one of the ports, or leave it out",
                );
            }
        }
        if !PROBE_MILLISECONDS.contains(&self.interval_ms) {
            refuse("probe.intervalMilliseconds", "is out of range", "use 100 to 300000");
        }
        if !PROBE_MILLISECONDS.contains(&self.timeout_ms) {
            refuse("probe.timeoutMilliseconds", "is out of range", "use 100 to 300000");
        }
        if !(1..=PROBE_THRESHOLD_MAX).contains(&self.failure_threshold) {
            refuse("probe.failureThreshold", "is out of range", "use 1 to 10");
        }
        if !(1..=PROBE_THRESHOLD_MAX).contains(&self.success_threshold) {
            refuse("probe.successThreshold", "is out of range", "use 1 to 10");
        }
        errors
    }
}

// === impl ProbeCheck ===

impl ProbeCheck {
    /// The name of the port that is asked; none is the primary one.
    pub fn port(&self) -> Option<&str> {
        match self {
            Self::Tcp { port } | Self::Http { port, .. } | Self::Grpc { port, .. } => port.as_deref(),
        }
    }
}

/// As the annotation writes it.
impl fmt::Display for ProbeCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => f.write_str("tcp"),
            Self::Http { path, .. } => write!(f, "http:{path}"),
            Self::Grpc { .. } => f.write_str("grpc"),
        }
    }
}

// === impl Heartbeat ===

impl Heartbeat {
    pub const DEFAULT: Self = Self { interval_seconds: 5, ttl_seconds: 15 };

    pub(super) fn check(self) -> Option<ValueError> {
        let refused =
            |field, problem: &str, remedy| Some(ValueError { field, problem: problem.to_owned(), remedy });
        let fits = |seconds| (1..=HEARTBEAT_SECONDS_MAX).contains(&seconds);
        if !fits(self.interval_seconds) {
            return refused("heartbeat.intervalSeconds", "is out of range", "use 1 to 3600");
        }
        if !fits(self.ttl_seconds) {
            return refused("heartbeat.ttlSeconds", "is out of range", "use 1 to 3600");
        }
        if self.ttl_seconds < self.interval_seconds {
            return refused(
                "heartbeat.ttlSeconds",
                "(15 where it is left out) is shorter than intervalSeconds",
                "use at least the interval, better three times as much",
            );
        }
        None
    }
}
