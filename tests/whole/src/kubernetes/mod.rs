//! The API server as the processes have it: at the other end of connections that can be cut.

mod client;
mod server;

pub use self::{client::client, server::serve};

/// The namespace of the apps, and ours.
pub const APPS: &str = "shop";
pub const OURS: &str = "rollcall-system";
/// The name of the controllers' Service, of their Lease, and of their pods' label.
pub const CONTROLLERS: &str = "rollcall-controller";
