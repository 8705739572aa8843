//! Hot paths, so and so often: `cargo xtask counts` runs them under valgrind, which counts the instructions.
//!
//! What is counted is the product's own code with fixed data: no sockets, no clock that matters, no other thread. So the
//! number is the same on a machine that has other work to do, and a small change of it is a change of the code.
//!
//! There is a program of the sidecar's paths and one of the controller's: each is built of the same parts as the one that it
//! stands for, and so costs nobody a second build of them.

mod path;
pub mod shop;

pub use path::{Path, Work, main};
