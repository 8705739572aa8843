//! Who is soaked.

use std::time::Duration;

use anyhow::Result;
use kube::Client;
use rollcall_controller_tests::controller::Controller;
use tokio::runtime::{Handle, Runtime};

use super::Soak;
use crate::{
    filled::{self, Churn, Filled, Pace},
    sessions::{self, Door, PORT, Place, Server},
};

/// Of so many changes one is of the service that all sessions hold.
const SHARED: u32 = 10;

/// Holds the controller, and what changes it is told of.
pub(super) enum Subject<'a> {
    /// The owner and the session server, told by lines.
    Half { server: Server, runtime: Runtime, soak: Soak },
    /// A whole one, told by an API server that we write to.
    Real { controller: Controller, filled: &'a Filled, client: Client, churn: Churn, soak: Soak },
}

// === impl Subject ===

impl<'a> Subject<'a> {
    pub(super) fn half(soak: Soak) -> Result<Self> {
        let server = Server::start(soak.fleet.instances, &Place::new(PORT)?)?;
        Ok(Self::Half { server, runtime: Runtime::new()?, soak })
    }

    pub(super) fn real(filled: &'a Filled, soak: Soak) -> Result<Self> {
        let (controller, client) = (filled.controller()?, filled.runtime.block_on(filled.client())?);
        Ok(Self::Real { controller, filled, client, churn: Churn::default(), soak })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Half { .. } => "rollcall controller's half",
            Self::Real { .. } => "rollcall controller",
        }
    }

    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Half { server, .. } => server.pid(),
            Self::Real { controller, .. } => controller.pid(),
        }
    }

    /// Where its sessions run.
    pub(super) fn runtime(&self) -> Handle {
        match self {
            Self::Half { runtime, .. } => runtime.handle().clone(),
            Self::Real { filled, .. } => filled.runtime.handle().clone(),
        }
    }

    pub(super) fn door(&self) -> Result<Door> {
        match self {
            Self::Half { server, .. } => Ok(server.door.clone()),
            Self::Real { filled, .. } => filled.door(),
        }
    }

    pub(super) fn tokens(&self) -> Result<Vec<String>> {
        match self {
            Self::Half { soak, .. } => sessions::tokens(soak.sessions as usize),
            Self::Real { filled, client, soak, .. } => {
                filled.runtime.block_on(filled::tokens(client, soak.sessions))
            }
        }
    }

    /// Makes changes for so long, and says how many.
    pub(super) fn change(&mut self, lasts: Duration) -> Result<usize> {
        match self {
            Self::Half { server, soak, .. } => {
                server.change(soak.a_second, lasts.as_secs(), SHARED)?;
                Ok((u64::from(soak.a_second) * lasts.as_secs()) as usize)
            }
            Self::Real { filled, client, churn, soak, .. } => {
                let (fleet, a_second) = (filled.fleet(), soak.a_second);
                let pace = Pace { a_second, lasts, shared: SHARED, services: fleet.services() };
                Ok(filled.runtime.block_on(churn.make(client, fleet, pace))?.changes)
            }
        }
    }
}
