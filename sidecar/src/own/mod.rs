//! What the app registers of itself.

#[derive(Debug, Clone, Default)]
pub(crate) struct Own;
