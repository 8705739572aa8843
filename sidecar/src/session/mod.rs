//! The sidecar's end of the wire, as far as it is IO: what is said and heard is `rollcall_wire::client`.

mod link;
mod token;
mod trust;

pub(crate) use link::{Link, LinkError, connect};
pub(crate) use token::pod_of_token;
pub(crate) use trust::Trust;
