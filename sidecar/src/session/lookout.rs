//! When the cluster's DNS is asked where the controller is: once nobody has answered for a while, and then now and then.

use rollcall_net::Jitter;
use tokio::time::{Duration, Instant};

/// For so long nobody answers before DNS is asked: a controller that restarts is back by then, at the address that it had.
const SILENT_FOR: Duration = Duration::from_secs(30);
/// Up to so much later, so that the sidecars of a cluster do not ask all at once.
const SPREAD: Duration = Duration::from_secs(10);

/// Holds when it is to be asked next.
#[derive(Debug)]
pub(crate) struct Lookout {
    due_at: Instant,
}

// === impl Lookout ===

impl Lookout {
    /// Somebody has answered who had the controller's certificate, or DNS was asked; or all has just begun.
    pub(crate) fn new(now: Instant, jitter: &mut Jitter) -> Self {
        Self { due_at: now + SILENT_FOR + jitter.up_to(SPREAD) }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.due_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dns_is_asked_after_half_a_minute_and_not_by_all_at_once() {
        let (now, mut jitter) = (Instant::now(), Jitter::new(1));
        let all: Vec<_> = (0..100).map(|_| Lookout::new(now, &mut jitter)).collect();
        let due = |after: Duration| all.iter().filter(|one| one.is_due(now + after)).count();
        assert_eq!((due(Duration::from_secs(29)), due(Duration::from_secs(40))), (0, 100));
        assert!((20..80).contains(&due(Duration::from_secs(35))), "{}", due(Duration::from_secs(35)));
    }
}
