//! What the measurements on localhost share: servers on a processor of their own, among them a sidecar with all that it
//! needs, and what a load on one of them came to.

mod caller;
mod draws;
mod outcome;
mod pace;
mod process;
mod rounds;
mod shop;
mod sidecar;

pub(crate) use self::{
    caller::{ANSWER_MAX, Caller, Length},
    draws::Draws,
    outcome::{Outcome, micros},
    pace::open,
    process::{cpu, listening, measured, memory, stand_aside},
    rounds::{Measured, Rounds, median},
    shop::{INSTANCES, NAMESPACE, Shop, serve as serve_shop, service},
    sidecar::{Half, Pod, Sidecar},
};
