//! What Kubernetes says: its objects mapped to small facts at their arrival, and the watches that bring them.
//!
//! One file for each kind says what is kept of it, and [`pod_object`] what is read of a pod at all. Beneath them:
//! [`watched`] is what the kinds have in common, [`sight`] reads what the API server sends, [`call`] asks it,
//! [`course`] decides what to ask next, [`doubt`] what a list is believed, and [`watch`] joins these to a task for each kind. [`ages`] tells how well
//! that works.

mod ages;
mod call;
mod course;
mod doubt;
mod namespace;
mod node;
mod pod;
mod pod_object;
mod reading;
mod registration;
mod service;
mod sight;
mod slice;
mod watch;
mod watched;

#[cfg(test)]
mod fake_api;
#[cfg(test)]
mod golden_tests;

pub(crate) use ages::{Drift, WatchAges};
pub(crate) use watch::watch_all;
