//! A call to the API server that writes or looks: with its own timeout, and with what its failure means.

use std::{future::Future, time::Duration};

use kube::{Client, Resource, api::Request, core::request};
use rollcall_catalogue::Namespace;
use rollcall_crds::ServiceRegistration;
use serde_json::Value;
use thiserror::Error;
use tokio::time::timeout;

/// A call that takes longer has failed: a loaded API server answers small calls within a second.
pub(super) const CALL_MAX: Duration = Duration::from_secs(5);

/// The subresource that statuses are written by. To get it gives the whole object.
pub(super) const STATUS: &str = "status";

/// Says what a failed call means to whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Failure {
    #[error("it does not exist")]
    Gone,
    #[error("it is there already, or it is not what it was")]
    Conflict,
    #[error("refused as it is, so that trying again is of no use: {0}")]
    Refused(String),
    /// Of this object, or in its namespace: one that is being deleted, a quota, an admission policy, a missing right.
    #[error("not allowed as things are; see the namespace's quotas, admission policies and our role: {0}")]
    Denied(String),
    /// Nothing is wrong with what was asked for, so that the next call will most likely fail as well.
    #[error("not done now, and tried again: {0}")]
    Unavailable(String),
}

pub(super) async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(CALL_MAX, call).await {
        Ok(result) => result.map_err(|error| Failure::of(&error)),
        Err(_) => Err(Failure::Unavailable(format!("no answer in {CALL_MAX:?}"))),
    }
}

/// Where the `ServiceRegistration`s of a namespace are.
pub(super) fn registrations(namespace: &Namespace) -> Request {
    Request::new(ServiceRegistration::url_path(&(), Some(namespace.as_str())))
}

/// The object of the answer, as it came: it may have words in it that no type of ours can hold, such as a time of the
/// year 9999 that somebody wrote into `managedFields`.
pub(super) async fn send(
    client: &Client,
    request: Result<http::Request<Vec<u8>>, request::Error>,
) -> Result<Value, Failure> {
    let request = request.map_err(|error| Failure::of(&kube::Error::BuildRequest(error)))?;
    call(client.request(request)).await
}

// === impl Failure ===

impl Failure {
    fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Self::Gone,
                409 => Self::Conflict,
                // What we wrote is at fault. A missing right is not: somebody may grant it.
                400 | 405 | 413 | 415 | 422 => Self::Refused(status.message.clone()),
                // Nobody takes us for who we are, or all of it is too much just now.
                code @ (401 | 408 | 429 | 500..) => Self::Unavailable(format!("{code}: {}", status.message)),
                code => Self::Denied(format!("{code}: {}", status.message)),
            },
            kube::Error::BuildRequest(error) => Self::Refused(error.to_string()),
            // It was answered, in words that we do not know.
            kube::Error::SerdeError(error) => Self::Denied(error.to_string()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}
