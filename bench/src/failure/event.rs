//! What happens to a process that beats.

use std::time::Duration;

/// Says what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// SIGKILL: the kernel closes its connections.
    Killed,
    /// The same of its sidecar as well.
    KilledWhole,
    /// SIGSTOP: they stay open, and nothing comes.
    Stopped,
    /// What is sent to it or by it is lost.
    Cut,
    /// SIGTERM: it takes itself back.
    Graceful,
}

// === impl Event ===

impl Event {
    /// Of what beats by itself.
    pub(super) const OF_PROCESS: &[Self] = &[Self::Killed, Self::Stopped, Self::Cut, Self::Graceful];
    /// Of an app beside a sidecar; where both are meant, both suffer.
    pub(super) const OF_POD: &[Self] =
        &[Self::Killed, Self::KilledWhole, Self::Stopped, Self::Cut, Self::Graceful];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Killed => "kill",
            Self::KilledWhole => "kill with its sidecar",
            Self::Stopped => "stop",
            Self::Cut => "cut",
            Self::Graceful => "graceful",
        }
    }
}

/// For people.
pub(super) fn told(out: Option<Duration>, out_within: Duration) -> String {
    match out {
        Some(out) => format!("out after {:.3} s", out.as_secs_f64()),
        None => format!("never within {} s", out_within.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_told_with_how_long_it_was_waited_for() {
        let within = Duration::from_secs(45);
        assert_eq!(told(Some(Duration::from_millis(1_234)), within), "out after 1.234 s");
        assert_eq!(told(None, within), "never within 45 s");
    }
}
