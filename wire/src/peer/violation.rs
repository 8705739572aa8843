//! What no replica may do.

use thiserror::Error;

use crate::limits::{
    EPOCH_BYTES_MAX, HEALTH_WORDS_MAX, HEARS_MAX, INCARNATION_BYTES_MAX, KINDS_MAX, OUTSIDE_WORDS_MAX,
    POD_UID_BYTES_MAX, REGISTRATIONS_BYTES_MAX, REGISTRATIONS_MAX, REPLICA_BYTES_MAX,
};

/// Says what the other end of a link did that no replica may do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Violation {
    #[error("hello must be the first frame, and come once")]
    Hello,
    #[error("protocol: `{theirs}` is not spoken here; use {ours}")]
    Protocol { theirs: String, ours: String },
    #[error("epoch: it is our own; dial another replica")]
    Ourselves,
    #[error("replica: use 1 to {REPLICA_BYTES_MAX} bytes")]
    Replica,
    #[error("epoch, origin, hears: use 1 to {EPOCH_BYTES_MAX} bytes")]
    Epoch,
    #[error("hears: more than {HEARS_MAX} replicas; run fewer")]
    Hears,
    #[error("changed: more than {KINDS_MAX} kinds; leave some out")]
    Changed,
    #[error("pod: use 1 to {POD_UID_BYTES_MAX} bytes")]
    Pod,
    #[error("version.incarnation: use {INCARNATION_BYTES_MAX} bytes at most")]
    Incarnation,
    #[error(
        "said.registrations: more than {REGISTRATIONS_MAX}, or {REGISTRATIONS_BYTES_MAX} bytes; leave some out"
    )]
    Registrations,
    #[error("said.health: more than {HEALTH_WORDS_MAX} words; leave some out")]
    Health,
    #[error("outside: more than {OUTSIDE_WORDS_MAX} answers in a frame; split it")]
    Outside,
}
