//! Fleets whose sessions are cut off, for the guard's tests: what is heard of them at each moment follows from times.

use super::*;

/// When what is to be judged happens; all were heard long before.
pub(super) const CUT_MS: u64 = 30_000;
pub(super) const END_MS: u64 = CUT_MS + 60_000;

/// One sidecar's session: a frame every 3 s, each up to 900 ms late.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) node: usize,
    pub(super) phase_ms: u64,
    pub(super) begins_ms: u64,
    /// From then on nothing of it is heard, but the frames that get through.
    pub(super) cut_ms: u64,
    pub(super) through_ms: Vec<u64>,
    /// From then on Kubernetes has no such pod.
    pub(super) gone_ms: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Fleet {
    pub(super) sessions: Vec<Session>,
    pub(super) guard: Guard,
}

impl Session {
    pub(super) fn on(node: usize, phase_ms: u64) -> Self {
        let never = u64::MAX;
        Self { node, phase_ms, begins_ms: 0, cut_ms: never, through_ms: Vec::new(), gone_ms: never }
    }

    pub(super) fn name(&self) -> String {
        format!("n{}", self.node)
    }

    pub(super) fn facts(&self, now_ms: u64) -> SessionFacts {
        let late_ms = |frame: u64| (frame.wrapping_mul(0x9e37_79b9) ^ self.phase_ms) % 900;
        let until_ms = now_ms.min(self.cut_ms.saturating_sub(1));
        let frames = (until_ms + self.phase_ms).saturating_sub(self.begins_ms) / 3_000;
        let at_ms =
            |frame: u64| (self.begins_ms + frame * 3_000 + late_ms(frame)).saturating_sub(self.phase_ms);
        let heard = (0..=frames).rev().map(at_ms).find(|at_ms| *at_ms <= until_ms);
        let through = self.through_ms.iter().copied().filter(|at_ms| *at_ms <= now_ms).max();
        let ours = heard.max(through).map_or(Ours::Never, |heard_ms| Ours::Open { heard_ms });
        SessionFacts { expected: true, ours, peers: Peers::Never }
    }
}

impl Fleet {
    /// Nodes with so many sessions each, heard at odd moments.
    pub(super) fn of(sessions: &[usize], seed: u64) -> Self {
        let mut fleet = Self::default();
        for (node, count) in sessions.iter().enumerate() {
            for number in 0..*count {
                let phase = (seed ^ (node * 31 + number) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
                fleet.sessions.push(Session::on(node, phase % 3_000));
            }
        }
        fleet
    }

    pub(super) fn cut(&mut self, which: impl Fn(&Session) -> bool) {
        self.sessions.iter_mut().filter(|session| which(session)).for_each(|session| session.cut_ms = CUT_MS);
    }

    pub(super) fn views(&self, now_ms: u64, unknown: &[(usize, u64)]) -> BTreeMap<Arc<str>, NodeView> {
        let mut views = BTreeMap::<Arc<str>, NodeView>::new();
        for (node, since_ms) in unknown.iter().filter(|(_, since_ms)| *since_ms <= now_ms) {
            views.insert(format!("n{node}").into(), NodeView::new(Some(*since_ms)));
        }
        for session in self.present(now_ms) {
            views.entry(session.name().into()).or_default().add(&session.facts(now_ms), now_ms);
        }
        views
    }

    pub(super) fn present(&self, now_ms: u64) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(move |session| (session.begins_ms..session.gone_ms).contains(&now_ms))
    }

    pub(super) fn assess(&mut self, now_ms: u64, unknown: &[(usize, u64)], own: OwnHealth) -> Assessment {
        let views = self.views(now_ms, unknown);
        self.guard.assess(now_ms, &views, own).clone()
    }

    /// Assesses all along, and shows each moment.
    pub(super) fn live(&mut self, step_ms: u64, mut show: impl FnMut(&Self, u64, &Assessment)) {
        for now_ms in
            (0..CUT_MS - 2_000).step_by(3_000).chain((CUT_MS - 2_000..END_MS).step_by(step_ms as usize))
        {
            let assessment = self.assess(now_ms, &[], OwnHealth::default());
            show(self, now_ms, &assessment);
        }
    }

    /// Of those silent now: how many are to be judged, and how many are spared.
    pub(super) fn silent(&self, now_ms: u64, assessment: &Assessment) -> (usize, usize) {
        let silent = |session: &&Session| session.facts(now_ms).witness(now_ms) == SessionWitness::Silent;
        let spared = |session: &&Session| {
            let word_ms = session.facts(now_ms).last_word_ms(now_ms);
            assessment.health(Some(&session.name()), word_ms) == RegistryHealth::Frozen
        };
        let all = self.present(now_ms).filter(silent).count();
        let spared = self.present(now_ms).filter(silent).filter(spared).count();
        (all - spared, spared)
    }

    /// Of those silent in the end: how many are to be judged, and how many are spared.
    pub(super) fn in_the_end(mut self) -> (usize, usize) {
        let mut last = (0, 0);
        self.live(1_000, |fleet, now_ms, assessment| last = fleet.silent(now_ms, assessment));
        last
    }

    /// What the guard makes of it 12 s after the cut.
    pub(super) fn then(mut self) -> (Vec<String>, Vec<FreezeCause>) {
        let mut then = Assessment::default();
        self.live(1_000, |_, now_ms, assessment| {
            if now_ms <= CUT_MS + 12_000 {
                then = assessment.clone();
            }
        });
        (then.failed_nodes().iter().map(ToString::to_string).collect(), then.causes().collect())
    }
}
