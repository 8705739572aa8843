//! What is wrong with an object, field by field.

use std::fmt;

use rollcall_catalogue::{NameError, VersionError};
use thiserror::Error;

/// How many problems are named; an object with more of them is not mended in one go anyway.
const NAMED_MAX: usize = 8;

/// Holds everything that keeps an object out of the catalogue, never nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecErrors(Vec<SpecError>);

/// Says what is wrong with one field, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    #[error(
        "metadata.{0} is missing; the API server sets it, so give the object as the API server returned it"
    )]
    NoMeta(&'static str),
    #[error("metadata.{0}")]
    MetaName(NameError),
    #[error("spec.{0}")]
    Name(NameError),
    #[error("spec.{0}")]
    Version(VersionError),
    #[error("spec.{field}: {problem}; {remedy}")]
    Field { field: String, problem: String, remedy: &'static str },
}

// === impl SpecErrors ===

impl SpecErrors {
    pub(crate) fn new(errors: Vec<SpecError>) -> Self {
        Self(errors)
    }

    pub fn iter(&self) -> impl Iterator<Item = &SpecError> {
        self.0.iter()
    }
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().take(NAMED_MAX).enumerate() {
            let between = if position == 0 { "" } else { " | " };
            write!(f, "{between}{error}")?;
        }
        match self.0.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, " | and {more} more"),
        }
    }
}

impl std::error::Error for SpecErrors {}
