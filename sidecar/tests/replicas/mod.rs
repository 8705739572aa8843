//! Several replicas of the controller, each of them played: who is dialled when one is gone, frozen, or names another.

use std::time::Instant;

use rollcall_catalogue::changes::Position;
use rollcall_wire::{Down, SERVING, Up};
use tokio::{net::TcpListener, time::sleep};

use super::*;
use crate::bench::{Played, played};

/// What a replica tells of `orders`, which has these pods; how far it has read; and who serves beside it.
#[derive(Debug, Clone, Default)]
struct Tells {
    orders: Vec<u8>,
    position: u64,
    replicas: Vec<SocketAddr>,
}
