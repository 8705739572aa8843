//! What the measurements on localhost share: servers on a processor of their own, among them a sidecar with all that it
//! needs, and what a load on one of them came to.

mod alarm;
mod caller;
mod draws;
mod half;
mod keys;
mod outcome;
mod process;
mod rounds;
mod schedule;
mod shop;
mod sidecar;
mod steal;
mod turns;

pub(crate) use self::{
    alarm::Alarm,
    caller::{ANSWER_MAX, Caller},
    draws::Draws,
    half::Half,
    keys::{Choice, Keys},
    outcome::{Begin, Outcome},
    process::{cpu, cpu_of, listening, measured, memory, processors, stand_aside},
    rounds::{Measured, Rounds, median},
    schedule::Schedule,
    shop::{NAMESPACE, Shop, ShopPorts, keys as shop_keys, serve as serve_shop},
    sidecar::{Pod, Sidecar},
    steal::{STOLEN_PERCENT_MAX, Ticks},
    turns::Turns,
};
