//! All leave at once, and as many come.

use std::time::Duration;

use anyhow::Context;
use rollcall_results::Record;
use tokio::time::Instant;

use super::{PATIENCE, crowd::Crowd};
use crate::resident::{forget_peak, peak_mib};

/// Holds what a storm took: the time until all were in step, and the most that was resident meanwhile.
pub(crate) struct Storm {
    pub(crate) took: Duration,
    pub(crate) peak_mib: f64,
}

/// All that are there leave this controller at once, and as many come.
pub(crate) async fn storm(pid: u32, leaving: &Crowd, coming: &Crowd) -> anyhow::Result<Storm> {
    forget_peak(pid)?;
    let begin = Instant::now();
    leaving.disconnect().await;
    coming.connect();
    coming.in_step(PATIENCE).await.context("not all came")?;
    Ok(Storm { took: begin.elapsed(), peak_mib: peak_mib(pid)? })
}

// === impl Storm ===

impl Storm {
    /// Tells a record of it, under this name.
    pub(crate) fn tell(&self, name: &str, record: &mut Record) {
        record.values.insert(format!("{name}_s"), self.took.as_secs_f64());
        record.values.insert(format!("{name}_peak_mib"), self.peak_mib);
    }
}
