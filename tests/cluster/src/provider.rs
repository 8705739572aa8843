//! Where a cluster comes from.

use crate::Error;

/// The three sources of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The kit's own, on this machine.
    Local,
    /// Whichever the KUBECONFIG names; it is neither made nor ended.
    Existing,
    /// kind's, in Docker.
    Kind,
}

impl std::str::FromStr for Provider {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "local" => Ok(Self::Local),
            "existing" => Ok(Self::Existing),
            "kind" => Ok(Self::Kind),
            other => {
                Err(Error::unmet(format!("there is no provider `{other}`"), "use local, existing or kind"))
            }
        }
    }
}
