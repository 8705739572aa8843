//! The others, who are well and beat.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use http::Method;
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::peers::{Data, Pace};

use super::{kept::Kept, payload::beat_path};

/// Is who beats for all instances of the data, until it is dropped.
pub(super) struct Neighbours(JoinHandle<()>);

// === impl Neighbours ===

impl Neighbours {
    /// Each of them once in the pace's time, evenly spread.
    pub(super) fn of(runtime: &Handle, at: SocketAddr, data: Data, pace: Pace) -> Self {
        Self(runtime.spawn(async move {
            let each = Duration::from_millis(pace.beat_ms) / (data.services * data.instances).max(1);
            let mut beats = interval(each.max(Duration::from_micros(1)));
            beats.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut kept = Kept::new(at, Ipv4Addr::LOCALHOST);
            loop {
                for service in 0..data.services {
                    for instance in data.addresses(service) {
                        beats.tick().await;
                        // One that is missed is missed: the server is what is measured.
                        let path = beat_path(&Data::service(service), &instance);
                        let _ = kept.ask(Method::PUT, &path, String::new()).await;
                    }
                }
            }
        }))
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        self.0.abort();
    }
}
