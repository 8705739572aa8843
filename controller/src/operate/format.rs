//! The two texts that scrapers read.

/// Says how measurements are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    /// Prometheus' older text, which everything reads.
    Text,
}

// === impl Format ===

impl Format {
    /// What a scraper that sends this `Accept` reads.
    pub fn accepted(accept: Option<&str>) -> Self {
        let takes = |accept: &str| accept.contains("application/openmetrics-text");
        if accept.is_some_and(takes) { Self::OpenMetrics } else { Self::Text }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}
