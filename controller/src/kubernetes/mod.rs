//! What Kubernetes says: its objects mapped to small facts at their arrival, and the watches that bring them.

mod pod;
mod watch;

pub(crate) use watch::{Pods, Registrations, watch};
