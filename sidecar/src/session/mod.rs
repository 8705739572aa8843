//! The sidecar's end of the wire, as far as it is IO, and whom it is opened with: what is said and heard is
//! `rollcall_wire::client`.

mod dial;
mod link;
mod token;
mod trust;

pub(crate) use dial::{Dial, Failure, Loss, Plan};
pub(crate) use link::{Link, LinkError, connect};
pub(crate) use token::{Shown, pod_of_token};
pub(crate) use trust::Trust;
