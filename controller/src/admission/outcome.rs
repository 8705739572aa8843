//! What came of a question, in our own words, for measurements.

/// Says what came of a question of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The pod gets a sidecar.
    Injected,
    /// The pod is not to have one, or can have none, or has one already.
    Left,
    /// The pod should have one and gets none, or nobody knows what was asked.
    Failed,
}

// === impl Outcome ===

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Injected, Self::Left, Self::Failed];

    /// The word in `injections_total{result}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Left => "left",
            Self::Failed => "failed",
        }
    }
}
