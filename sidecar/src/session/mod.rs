//! The sidecar's end of the wire, as far as it is IO, and whom it is opened with: what is said and heard is
//! `rollcall_wire::client`.

mod authorities;
mod dial;
mod link;
mod lookout;
mod token;
mod trust;

pub(crate) use dial::{Dial, Failure, Loss, Plan};
pub(crate) use link::{Call, Link, LinkError, connect};
pub(crate) use lookout::Lookout;
pub(crate) use token::{Shown, pod_of_token};
pub(crate) use trust::{Learned, Trust, Unfit};
