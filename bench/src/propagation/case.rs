//! What is asked of each system: how many watch, and what else changes meanwhile.

use std::time::Duration;

use rollcall_results::Configuration;

/// Holds one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    /// Of one service.
    pub(crate) watchers: usize,
    /// Changes a second of other services.
    pub(crate) background: u32,
}

/// Says how a system's watchers learn of news, and so how long all of it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Pushed,
    /// The same, by a controller that writes no more than so many a second.
    Paced,
    /// By asking again within seconds.
    Polled,
    /// By asking again within a minute, caches that are older than that.
    PolledRarely,
}

/// Each number of them watches a service of its own: a sidecar goes on to hold what was asked for once, and would be told of
/// each change also where nobody watches it there any more.
const WATCHERS: [usize; 4] = [1, 10, 100, 1_000];
/// Those services, the first ones of the data.
pub(super) const MEASURED_SERVICES: u32 = WATCHERS.len() as u32;
pub(super) const BACKGROUND: [u32; 3] = [10, 50, 200];
/// The numbers of watchers that are measured under changes too: one that all systems have, and one for servers.
const UNDER_LOAD: [usize; 2] = [10, 100];

/// Beside this, a kube-controller-manager has to keep up with the measured changes too: it writes 20 objects a second by default.
const PACED_MAX: u32 = 10;

/// All cases, or those of a short try.
pub(crate) fn cases(quick: bool) -> Vec<Case> {
    let idle = |watchers| Case { watchers, background: 0 };
    if quick {
        return vec![idle(1), idle(10), Case { watchers: 10, background: 50 }, idle(100)];
    }
    let loaded = UNDER_LOAD
        .into_iter()
        .flat_map(|watchers| BACKGROUND.into_iter().map(move |background| Case { watchers, background }));
    WATCHERS.into_iter().map(idle).chain(loaded).collect()
}

// === impl Case ===

impl Case {
    /// Its service, by its number.
    pub(super) fn service(self) -> u32 {
        (0..).zip(WATCHERS).find(|(_, watchers)| *watchers == self.watchers).map_or(0, |(place, _)| place)
    }
}

// === impl Manner ===

impl Manner {
    /// By a system's name and how it is set.
    pub(crate) fn of(system: &str, configuration: Configuration) -> Self {
        match (system.to_ascii_lowercase().contains("eureka"), configuration) {
            (false, _) => Self::Pushed,
            (true, Configuration::Tuned) => Self::Polled,
            (true, Configuration::Default) => Self::PolledRarely,
        }
    }

    /// Without being asked.
    pub(crate) fn is_pushed(self) -> bool {
        matches!(self, Self::Pushed | Self::Paced)
    }

    /// What takes minutes each time is asked little, and early.
    pub(crate) fn takes(self, case: Case, round: u32) -> bool {
        match self {
            Self::Pushed => true,
            Self::Paced => case.background <= PACED_MAX,
            Self::Polled => case.background == 0 && case.watchers <= 100 && round <= 2,
            Self::PolledRarely => case.background == 0 && case.watchers == 10 && round <= 2,
        }
    }

    /// Additions, and as many removals, of each case.
    pub(crate) fn pairs(self, quick: bool) -> u32 {
        match (self, quick) {
            // Three rounds have a hundred: the slowest hundredth is one of them.
            (Self::Pushed | Self::Paced, false) => 34,
            (Self::Polled, false) => 4,
            (Self::PolledRarely, false) => 2,
            (Self::Pushed | Self::Paced | Self::Polled, true) => 3,
            (Self::PolledRarely, true) => 1,
        }
    }

    /// Between two changes, as long as this at most, by chance: the next change is to find who asks at any moment between two of
    /// his questions.
    pub(crate) fn apart_max(self) -> Duration {
        match self {
            Self::Pushed => Duration::from_millis(30),
            Self::Paced => Duration::from_millis(300),
            Self::Polled => Duration::from_secs(2),
            Self::PolledRarely => Duration::from_secs(30),
        }
    }

    /// Who has not seen a change by then never does.
    pub(crate) fn patience(self) -> Duration {
        match self {
            Self::Pushed | Self::Paced => Duration::from_secs(10),
            Self::Polled => Duration::from_secs(30),
            Self::PolledRarely => Duration::from_secs(100),
        }
    }

    /// What one case takes, for who waits for all of them.
    pub(crate) fn lasts_about(self, case: Case, quick: bool) -> Duration {
        let has_a_crowd = case.watchers > 100;
        let ms = match (self, quick) {
            (Self::Pushed, true) => 500,
            (Self::Pushed, false) if has_a_crowd => 12_000,
            (Self::Pushed, false) => 2_500,
            (Self::Paced, true) => 2_000,
            (Self::Paced, false) => 13_000,
            (Self::Polled, _) => 20_000,
            (Self::PolledRarely, true) => 70_000,
            (Self::PolledRarely, false) => 150_000,
        };
        Duration::from_millis(ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_watchers_is_measured_idle_and_two_of_them_under_changes() {
        let all = cases(false);
        assert_eq!(all.len(), 4 + 6);
        for watchers in WATCHERS {
            assert!(all.contains(&Case { watchers, background: 0 }));
        }
        for background in BACKGROUND {
            assert!(all.contains(&Case { watchers: 10, background }));
        }
        assert!(cases(true).iter().all(|case| case.watchers <= 100));
    }

    #[test]
    fn who_asks_rarely_is_asked_little() {
        let rounds_asked = |manner: Manner| {
            let all = cases(false);
            (1..=5).map(|round| all.iter().filter(|case| manner.takes(**case, round)).count()).sum::<usize>()
        };
        assert_eq!(rounds_asked(Manner::of("eureka, poll", Configuration::Default)), 2);
        assert_eq!(rounds_asked(Manner::of("eureka, poll", Configuration::Tuned)), 6);
        assert_eq!(rounds_asked(Manner::of("etcd watch", Configuration::Default)), 50);
    }
}
