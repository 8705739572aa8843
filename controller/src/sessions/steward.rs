//! Looks after where sessions are: tells the other replicas how many there are here, moves some to those that have fewer,
//! and sends all away when this one ends, is cut off, or is behind.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use rollcall_wire::peer::Standing;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tracing::{info, warn};

use super::{
    admission::SESSIONS_MAX,
    board::{Board, Leave},
    ending::Ending,
    renewal::api_is_away,
    roster::SessionId,
    spread::{Hints, Load, Target, UNDER_WAY, gone_by, moves, places_missing},
    trials::Trials,
};
use crate::{
    operate::Metrics,
    owner::View,
    peers::{Fleet, PeersHandle},
};

/// Between two looks at how many sessions the replicas have, which they tell each other as often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two steps while all sessions are sent away: a few at a time.
const STEP_EVERY: Duration = Duration::from_millis(20);

/// Holds what is to be known about all sessions of this replica.
#[derive(Debug)]
pub(super) struct Steward {
    pub(super) replica: Box<str>,
    pub(super) board: Arc<Board>,
    pub(super) peers: PeersHandle,
    pub(super) view: watch::Receiver<Arc<View>>,
    /// The process is about to end.
    pub(super) leaving: watch::Receiver<bool>,
    /// Told once that all sessions are gone, after that.
    pub(super) gone: watch::Sender<bool>,
    pub(super) metrics: Metrics,
}

/// Holds what was seen and done so far.
#[derive(Debug)]
struct Rounds {
    steward: Steward,
    is_complete: bool,
    /// The replicas as they were last, and since when they are.
    others: Vec<(Arc<str>, SocketAddr, bool)>,
    stable_since: Instant,
    /// Those who were moved lately: where to, and when.
    under_way: VecDeque<(SocketAddr, Instant)>,
    /// Whether those arrive, by the time since this began.
    trials: Trials,
    begun: Instant,
    /// Here are too few places for the sessions of one that is lost.
    lacks_places: bool,
    /// Why everybody is better off elsewhere, who is here when it begins.
    away: Option<Ending>,
    exodus: Option<Exodus>,
}

/// Holds sessions that are all sent away.
#[derive(Debug)]
struct Exodus {
    ending: Ending,
    /// The oldest first.
    sessions: VecDeque<SessionId>,
    /// As many as there were.
    all: usize,
    begun: Instant,
    hints: Hints,
}

/// How this replica stands.
pub(super) fn standing(is_complete: bool, fleet: &Fleet, is_leaving: bool) -> Standing {
    match is_complete && fleet.is_met {
        _ if is_leaving => Standing::Leaving,
        false => Standing::Starting,
        true if fleet.is_behind => Standing::Behind,
        true => Standing::Serving,
    }
}

/// Where else sessions are served, in an order that stays.
pub(super) fn addresses(fleet: &Fleet) -> Vec<SocketAddr> {
    let mut serving: Vec<_> = fleet.others.iter().filter(|other| other.serves).collect();
    serving.sort_by(|one, other| one.replica.cmp(&other.replica));
    serving.into_iter().map(|other| other.sessions_at).collect()
}

/// The same of those that have a place for one more.
pub(super) fn with_room(fleet: &Fleet) -> Vec<SocketAddr> {
    let has_room = |sessions: u32| usize::try_from(sessions).is_ok_and(|sessions| sessions < SESSIONS_MAX);
    let others = fleet.others.iter().filter(|other| other.serves && has_room(other.sessions));
    others.map(|other| other.sessions_at).collect()
}

fn serving(fleet: &Fleet) -> Hints {
    let serving = fleet.others.iter().filter(|other| other.serves);
    Hints::of(serving.map(|other| (other.sessions_at, other.sessions)))
}

// === impl Steward ===

impl Steward {
    /// Never returns.
    pub(super) async fn run(self) {
        let (mut fleet, mut leaving, mut view) =
            (self.peers.fleet(), self.leaving.clone(), self.view.clone());
        let mut looks = interval(LOOK_EVERY);
        // After a pause there is one look to be made up for, and not all that were missed.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rounds = Rounds {
            steward: self,
            is_complete: false,
            others: Vec::new(),
            stable_since: Instant::now(),
            under_way: VecDeque::new(),
            trials: Trials::default(),
            begun: Instant::now(),
            lacks_places: false,
            away: None,
            exodus: None,
        };
        loop {
            let steps = rounds.exodus.is_some() || *leaving.borrow();
            let looks_now = tokio::select! {
                _ = looks.tick() => true,
                () = changed(&mut fleet) => false,
                () = changed(&mut leaving) => false,
                () = complete(&mut view), if !rounds.is_complete => {
                    rounds.is_complete = true;
                    false
                }
                () = sleep(STEP_EVERY), if steps => false,
            };
            let (fleet, is_leaving) = (fleet.borrow().clone(), *leaving.borrow());
            rounds.go(&fleet, is_leaving, looks_now);
        }
    }
}

/// Returns with the next value; never, where nobody is left who gives one.
async fn changed<T>(seen: &mut watch::Receiver<T>) {
    if seen.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn complete(view: &mut watch::Receiver<Arc<View>>) {
    if view.wait_for(|view| view.complete).await.is_err() {
        std::future::pending::<()>().await;
    }
}

// === impl Rounds ===

impl Rounds {
    fn go(&mut self, fleet: &Fleet, is_leaving: bool, looks: bool) {
        let standing = standing(self.is_complete, fleet, is_leaving);
        if matches!(standing, Standing::Serving | Standing::Behind) {
            self.steward.board.serves();
        }
        // Who is behind serves as long as nobody else does.
        let serves = standing == Standing::Serving || (standing == Standing::Behind && !fleet.gives_way);
        self.steward.metrics.serving(serves);
        self.note(fleet);
        if looks {
            self.steward.board.set_others(&addresses(fleet));
            self.count_places(fleet);
        }
        if is_leaving {
            self.leave(fleet);
        } else {
            self.mind(fleet);
            // Where all are behind, each may lack what another one has told its sessions: who moves would be out of step there.
            if looks && standing == Standing::Serving && self.away.is_none() {
                self.spread(fleet);
            }
        }
        self.step(fleet);
        let staying = self.steward.board.staying();
        self.steward.peers.set_own(u32::try_from(staying).unwrap_or(u32::MAX), standing);
        if is_leaving && self.steward.board.is_empty() {
            self.steward.gone.send_if_modified(|gone| !std::mem::replace(gone, true));
        }
    }

    fn note(&mut self, fleet: &Fleet) {
        let others =
            fleet.others.iter().map(|other| (other.replica.clone(), other.sessions_at, other.serves));
        let mut others: Vec<_> = others.collect();
        others.sort();
        if others != self.others {
            (self.others, self.stable_since) = (others, Instant::now());
        }
    }

    /// Whoever loses a replica is to find a place at the others.
    fn count_places(&mut self, fleet: &Fleet) {
        let others: Vec<_> = fleet.others.iter().map(|other| other.sessions).collect();
        let missing = places_missing(self.steward.board.staying(), SESSIONS_MAX, &others);
        self.steward.metrics.places_missing(missing);
        self.steward.metrics.consumers(self.steward.board.subscriptions());
        let lacks = missing > 0;
        if lacks != std::mem::replace(&mut self.lacks_places, lacks) && lacks {
            warn!(
                missing,
                "too few places here for the sessions of another replica that is lost: run more replicas"
            );
        }
    }

    /// Sends some to replicas that have fewer.
    fn spread(&mut self, fleet: &Fleet) {
        let now = Instant::now();
        let since = self.begun.elapsed();
        let counts: BTreeMap<_, _> =
            fleet.others.iter().map(|other| (other.sessions_at, other.sessions)).collect();
        for (address, alone_for) in self.trials.look(&counts, since) {
            warn!(%address, ?alone_for, "sessions that are sent to another replica do not arrive there: it is left alone");
        }
        self.under_way.retain(|(_, then)| *then + UNDER_WAY > now);
        let board = &self.steward.board;
        let sessions = u32::try_from(board.staying()).unwrap_or(u32::MAX);
        let own = Load { replica: self.steward.replica.clone(), sessions };
        let sent = |address| self.under_way.iter().filter(|(to, _)| *to == address).count();
        let target = |other: &crate::peers::Other| Target {
            load: Load { replica: (*other.replica).into(), sessions: other.sessions },
            address: other.sessions_at,
            sent: u32::try_from(sent(other.sessions_at)).unwrap_or(u32::MAX),
        };
        let takes = |other: &&crate::peers::Other| {
            other.serves && !self.trials.leaves_alone(other.sessions_at, since)
        };
        let targets: Vec<_> = fleet.others.iter().filter(takes).map(target).collect();
        let goes = moves(&own, &targets, now - self.stable_since);
        if goes.is_empty() {
            return;
        }
        info!(sessions, moved = goes.len(), "other replicas have fewer sessions: some are moved");
        // Who might not be let in elsewhere stays.
        let is_away = api_is_away(self.steward.peers.tokens(), &self.steward.metrics);
        let may_go = |id: &SessionId| !is_away || self.is_known(*id);
        let gone: Vec<_> = board.movable().into_iter().filter(may_go).zip(goes).collect();
        for (id, address) in gone {
            if board.send_away(id, Leave { ending: Ending::Moved, dial: Some(address) }) {
                self.under_way.push_back((address, now));
                self.trials.sent(address, counts.get(&address).copied().unwrap_or_default(), since);
            }
        }
    }

    /// Whoever is here when we are cut off, or fall behind, is sent away once. Who comes back has found nobody else.
    fn mind(&mut self, fleet: &Fleet) {
        let away = match fleet.cut_from.is_empty() {
            false => Some(Ending::Cut),
            true => fleet.gives_way.then_some(Ending::Behind),
        };
        if away == std::mem::replace(&mut self.away, away) {
            return;
        }
        self.exodus = away.map(|ending| match ending {
            Ending::Cut => {
                warn!("neither another replica nor the API server is heard: sessions are sent to the others");
                self.exodus(ending, Hints::of(fleet.cut_from.iter().map(|address| (*address, 0))))
            }
            _ => {
                warn!("other replicas know more of Kubernetes: sessions are sent there");
                self.exodus(ending, serving(fleet))
            }
        });
    }

    /// Everybody goes; who came meanwhile, after the others.
    fn leave(&mut self, fleet: &Fleet) {
        if self.exodus.as_ref().is_some_and(|exodus| exodus.ending == Ending::Shutdown && !exodus.is_over()) {
            return;
        }
        self.exodus = Some(self.exodus(Ending::Shutdown, serving(fleet)));
    }

    fn exodus(&self, ending: Ending, hints: Hints) -> Exodus {
        let mut sessions: VecDeque<_> = self.steward.board.all().into();
        if ending == Ending::Cut {
            // They need a review of nobody, wherever they go.
            sessions.retain(|id| self.is_known(*id));
        }
        Exodus { ending, all: sessions.len(), sessions, begun: Instant::now(), hints }
    }

    /// Whether the session's peer has a token that all replicas know.
    fn is_known(&self, id: SessionId) -> bool {
        let shown = self.steward.board.shown(id);
        shown.is_some_and(|shown| self.steward.peers.tokens().knows(&shown))
    }

    fn step(&mut self, fleet: &Fleet) {
        let Some(exodus) = &mut self.exodus else { return };
        // Who is cut off knows nothing of the others any more.
        if exodus.ending != Ending::Cut {
            exodus.hints.retain(|address| {
                fleet.others.iter().any(|other| other.serves && other.sessions_at == address)
            });
        }
        exodus.step(&self.steward.board);
        if exodus.is_over() {
            self.exodus = None;
        }
    }
}

// === impl Exodus ===

impl Exodus {
    fn step(&mut self, board: &Board) {
        let gone_by_now = gone_by(self.all, self.begun.elapsed());
        while self.all - self.sessions.len() < gone_by_now {
            let Some(id) = self.sessions.pop_front() else { return };
            board.send_away(id, Leave { ending: self.ending, dial: self.hints.next() });
        }
    }

    fn is_over(&self) -> bool {
        self.sessions.is_empty()
    }
}
