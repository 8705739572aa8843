//! The verbs that ask the controller one thing and print it.

mod catalogue;
mod consumers;
mod drain;
mod resolve;
mod services;
mod sidecars;
mod watch;

pub(crate) use self::{
    catalogue::{Instance, ServiceAnswer, escaped, found},
    consumers::Consumers,
    drain::Drain,
    resolve::Resolve,
    services::Services,
    sidecars::{Heard, Sidecars},
    watch::Watch,
};
