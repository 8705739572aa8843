//! What a controller with nothing to do costs: its own timers, and what sessions say to each other only to be known to live.
//! Whatever a change costs comes on top.

use std::time::Duration;

use rollcall_results::Record;
use tokio::time::{Instant, sleep};

use crate::{local::cpu, sessions::Crowd};

/// Holds what is computed and said in a second, of all sessions together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Idle {
    pub(crate) cpu_us_a_second: f64,
    /// To the sessions; and from them.
    pub(crate) bytes_a_second: f64,
    pub(crate) up_bytes_a_second: f64,
}

/// Six heartbeats, and twice what is told of usage.
const IDLE_FOR: Duration = Duration::from_secs(20);

// === impl Idle ===

impl Idle {
    /// Of this process, which has this crowd in session. Whoever wants it at rest waits for that before.
    pub(crate) async fn of(pid: u32, crowd: Option<&Crowd>) -> anyhow::Result<Self> {
        if let Some(crowd) = crowd {
            // What came before is not of this time.
            crowd.told();
            crowd.measure(true);
        }
        let (begin, computed) = (Instant::now(), cpu(pid)?);
        sleep(IDLE_FOR).await;
        let lasted_s = begin.elapsed().as_secs_f64();
        let cpu_us_a_second = (cpu(pid)?.saturating_sub(computed)).as_secs_f64() * 1e6 / lasted_s;
        let told = crowd.map(|crowd| {
            crowd.measure(false);
            crowd.told()
        });
        let (down, up) = told.map_or((0, 0), |told| (told.bytes(), told.up_bytes()));
        let (bytes_a_second, up_bytes_a_second) = (down as f64 / lasted_s, up as f64 / lasted_s);
        Ok(Self { cpu_us_a_second, bytes_a_second, up_bytes_a_second })
    }

    /// What changes alone cost, in microseconds, of what was computed in this time. Who is told of changes is told fewer
    /// heartbeats, so that this takes a little too much away where all sessions are told all the time.
    pub(crate) fn beside(self, computed: Duration, lasted: Duration) -> f64 {
        (computed.as_secs_f64() * 1e6 - self.cpu_us_a_second * lasted.as_secs_f64()).max(0.0)
    }

    /// The same of bytes to the sessions.
    pub(crate) fn bytes_beside(self, bytes: u64, lasted: Duration) -> f64 {
        (bytes as f64 - self.bytes_a_second * lasted.as_secs_f64()).max(0.0)
    }

    pub(crate) fn tell(self, record: &mut Record) {
        record.values.insert("idle_cpu_us_a_second".to_owned(), self.cpu_us_a_second);
        if self.bytes_a_second > 0.0 {
            record.values.insert("idle_bytes_a_second".to_owned(), self.bytes_a_second);
            record.values.insert("idle_up_bytes_a_second".to_owned(), self.up_bytes_a_second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_cost_is_beside_what_is_there_without_them() {
        let idle = Idle { cpu_us_a_second: 20_000.0, bytes_a_second: 1_000.0, up_bytes_a_second: 0.0 };
        let ten = Duration::from_secs(10);
        assert_eq!(idle.beside(Duration::from_millis(500), ten).round(), 300_000.0);
        assert_eq!(idle.beside(Duration::from_millis(100), ten), 0.0);
        assert_eq!(idle.bytes_beside(50_000, ten).round(), 40_000.0);
        assert_eq!(idle.bytes_beside(5, ten), 0.0);
    }
}
