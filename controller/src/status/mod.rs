//! What the controller writes to Kubernetes besides its lease: statuses, managed registrations, Events. Only the
//! holder of the lease writes; whatever waits is dropped with the lease, and a new holder looks at everything anew.
//!
//! ```text
//!  Index ─ reports ─► statuses  (queue: newest wins, paced) ─┐
//!        ─ managed ─► keeper    (what is missing, too many)  ├─ api: own timeout each ─► Kubernetes
//!        ─ notices ─► events    (queue: equal ones counted)  ┘
//! ```

mod api;
mod app_object;
mod compose;
mod keeper;
mod managed;
mod managed_name;
mod managed_object;
mod notices;
mod pace;
mod queue;
#[cfg(test)]
mod script;
mod source;
mod statuses;
mod voice;

use std::sync::Arc;

use kube::Client;
use rollcall_net::Shutdown;

pub(crate) use self::source::Source;
pub use self::{
    compose::{digest, digest_of, status},
    keeper::{KEEP_EVERY, UNWANTED_FOR},
    managed_name::{app_name, managed_name},
    managed_object::{MANAGED_BY_LABEL, MANAGED_BY_US, SERVICE_LABEL, app_word, is_ours},
};
use crate::{
    lease::Leadership,
    operate::WriteCounts,
    owner::{IndexHandle, OwnerGone},
};

/// Our name in the list of who owns which field of an object.
pub(crate) const FIELD_MANAGER: &str = "rollcall-controller";

/// Writes what there is to be written while this replica holds the lease, until the process ends.
pub async fn run(
    client: Client,
    index: IndexHandle,
    leadership: Leadership,
    replica: String,
    counts: Arc<WriteCounts>,
    mut shutdown: Shutdown,
) -> Result<(), OwnerGone> {
    let writing = async {
        tokio::try_join!(
            statuses::run(client.clone(), index.clone(), leadership.clone(), counts.clone()),
            managed::run(client.clone(), index.clone(), leadership.clone(), counts.clone()),
            voice::run(client, index, leadership, replica, counts),
        )
    };
    // What is under way is given up: it is written again by whoever holds the lease next.
    tokio::select! {
        ended = writing => ended.map(|_: ((), (), ())| ()),
        () = shutdown.requested() => Ok(()),
    }
}
