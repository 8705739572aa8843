//! Load balancing: which instance of a service the next request should go to.
//!
//! ```text
//!  candidates ─► Balancer ─┬─ Member (one per candidate: in flight, latency, ejection, turns) ◄── report
//!                          ├─ near Pool ─┐
//!                          └─ far Pool ──┴─ policy: a choice among the pool's members ─► pick
//! ```
//!
//! A pool holds the members that may be picked: those of the caller's zone are near, all others far. Weight 0 and
//! ejected members sit in neither, so no policy has to think of them. Pools are built anew when the candidates or
//! the ejections change, which is rare; a pick only reads them.

mod balancer;
mod ejection;
mod hash;
mod in_flight;
mod latency;
mod member;
mod policies;
mod policy;
mod pool;
mod ring;

pub use balancer::{Balancer, Candidate, Home, Outcome};
pub use policy::Policy;
