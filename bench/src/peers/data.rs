//! What every registry is filled with: the same names, addresses and metadata in each.

use clap::Args;

use crate::fleet::address;

/// Holds how much there is of it.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    #[arg(long)]
    pub(crate) services: u32,
    /// Of each service.
    #[arg(long)]
    pub(crate) instances: u32,
}

pub(crate) const PORT: u16 = 8080;
pub(crate) const VERSION: &str = "1.4.2";
pub(crate) const TAG: &str = "blue";
/// Beside the version.
pub(crate) const METADATA: [(&str, &str); 2] = [("build", "00000001"), ("team", "payments")];

// === impl Data ===

impl Data {
    pub(crate) fn service(number: u32) -> String {
        format!("order-service-{number}")
    }

    /// Instances of all services.
    pub(crate) fn all(self) -> u32 {
        self.services * self.instances
    }

    /// The addresses of a service's instances.
    pub(crate) fn addresses(self, service: u32) -> impl Iterator<Item = String> {
        (0..self.instances).map(move |number| address(service * self.instances + number).to_string())
    }
}
