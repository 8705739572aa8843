//! What follows from all that is known of the replicas now: for the process, and for the other replicas.

use std::sync::Arc;

use rollcall_catalogue::changes::Position;
use rollcall_net::Shutdown;
use rollcall_wire::peer::Beat;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    super::{
        behind::serves,
        book::Turn,
        fleet::{Fleet, Other},
        sign::Errand,
        standing::{Process, is_met},
    },
    Done, Hub,
};
use crate::{
    index::{Index, PeerStanding, Replica},
    owner::{OwnerGone, View},
};

/// A replica that starts waits for what the others know for so long at most: one that does not tell it is not well itself, and
/// must not keep us from serving.
const MEET_MAX_MS: u64 = 3_000;

/// Between two looks at the file of our own token, which the kubelet renews some ten minutes before it ends.
const TOKEN_LOOKS_MS: u64 = 30_000;

/// Between two times in which all is to be told to us again, where notes had to be dropped: that is as many notes as there
/// are pods.
const TOLD_AGAIN_EVERY_MS: u64 = 60_000;

impl Hub {
    /// Does what follows from all that is known now.
    pub(super) async fn look(&mut self, view: &View, ear: &Shutdown) -> Result<(), OwnerGone> {
        let now_ms = self.index.now_ms();
        let replicas = view.complete.then_some(&*view.replicas);
        if let Some(replicas) = replicas {
            self.dials.set(replicas);
        }
        for id in self.links.dropped() {
            self.ended(id, "dropped", now_ms);
        }
        self.asked.tick(Instant::now());
        self.look_at_token(now_ms);
        let look = self.book.look(replicas, &view.reading.reach, now_ms);
        for (replica, turn) in &look.turns {
            match turn {
                Turn::Lost => {
                    warn!(%replica, "another replica is lost: nobody hears it, and it gives no sign of life");
                }
                Turn::Back => info!(%replica, "another replica that was lost is heard again"),
            }
        }
        if look.is_cut && !self.look.is_cut {
            warn!("no other replica is heard, and no API server: we are cut off, and send our sessions away");
        }
        match (self.look.is_behind, look.is_behind) {
            (false, true) => warn!("other replicas read on in Kubernetes, and we do not: we are behind"),
            (true, false) => info!("as much of Kubernetes is known here as other replicas know"),
            _ => {}
        }
        if look.standings != self.look.standings {
            self.index.set_peers(look.standings.clone()).await?;
        }
        self.look = look;
        self.metrics.peers(self.look.counts);
        if !self.is_met {
            self.is_met = self.meets(replicas, now_ms);
        }
        self.have_told_again(now_ms).await?;
        self.tell(replicas.unwrap_or_default(), &view.happened, now_ms);
        let links = &self.links;
        for address in self.dials.due(now_ms, |name| links.has_named(name)) {
            let (dialer, mut ear) = (self.dialer.clone(), ear.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    dialled = dialer.dial(address) => Done::Dialled(address, dialled),
                    () = ear.requested() => Done::Link,
                }
            });
        }
        Ok(())
    }

    /// A file that cannot be read is the dialler's to tell of.
    fn look_at_token(&mut self, now_ms: u64) {
        if now_ms < self.token_due_ms {
            return;
        }
        self.token_due_ms = now_ms + TOKEN_LOOKS_MS;
        if let Ok(token) = self.dialer.token() {
            self.token.send_if_modified(|held| held.replace(token.clone()) != Some(token));
        }
    }

    /// Where notes had to be dropped that waited for their pods, all is to be told again: with new links.
    async fn have_told_again(&mut self, now_ms: u64) -> Result<(), OwnerGone> {
        if now_ms < self.told_again_ms {
            return Ok(());
        }
        self.told_again_ms = now_ms.saturating_add(TOLD_AGAIN_EVERY_MS);
        if self.index.ask(Index::take_dropped_notes).await? {
            warn!("too many pods that others tell of are not known here yet: all is told again");
            self.links.end_all("again");
        }
        Ok(())
    }

    /// Whether we know what the others know; once it is so, it stays.
    fn meets(&mut self, replicas: Option<&[Replica]>, now_ms: u64) -> bool {
        let Some(replicas) = replicas else { return false };
        let complete_ms = *self.complete_ms.get_or_insert(now_ms);
        let known = self.book.known();
        let is_synced = |epoch: &Arc<str>| known.get(epoch).is_some_and(Process::is_synced);
        let all_are = is_met(known, replicas, &self.settings.replica, self.dials.named_are(is_synced));
        if !all_are && now_ms < complete_ms + MEET_MAX_MS {
            return false;
        }
        info!(waited_ms = now_ms - complete_ms, told = all_are, "what the other replicas know is known here");
        true
    }

    /// Tells the process and the other replicas how all of us stand.
    fn tell(&mut self, replicas: &[Replica], happened: &Position, now_ms: u64) {
        let own = *self.ends.own.borrow();
        let met: Vec<_> = self.links.one_each().map(|(_, met)| met).collect();
        // Whom we hear again, and who has not told all yet, others hear through us as little.
        let is_unheard = |epoch| matches!(self.look.standings.get(epoch), Some(PeerStanding::Unheard { .. }));
        let heard = met.iter().filter(|met| !is_unheard(&met.epoch));
        let hears = heard.map(|met| met.epoch.clone()).collect();
        let beat = Beat { sessions: own.sessions, hears, standing: own.standing, changed: happened.clone() };
        self.beat.send_if_modified(|held| std::mem::replace(held, beat.clone()) != beat);

        let reachable = met.iter().filter_map(|met| {
            let sessions_at = self.dials.address_of(&met.replica, &met.epoch)?;
            Some((met, sessions_at))
        });
        let reachable: Vec<_> = reachable.collect();
        let standings: Vec<_> = reachable.iter().map(|(met, _)| met.beat.standing).collect();
        let others = reachable.into_iter().map(|(met, sessions_at)| Other {
            replica: met.replica.clone(),
            sessions_at,
            sessions: met.beat.sessions,
            serves: serves(met.beat.standing, own.standing, &standings),
        });
        let mut fleet = Fleet {
            is_met: self.is_met,
            others: others.collect(),
            cut_from: Vec::new(),
            is_behind: self.look.is_behind,
            gives_way: self.way.look(self.look.is_behind, &standings, now_ms),
        };
        if self.look.is_cut {
            let missed = self.look.lookout.reads.iter();
            let at = missed.filter_map(|missed| self.dials.address_of(&missed.replica, &missed.epoch));
            fleet.cut_from = at.collect();
        }
        self.ends.fleet.send_if_modified(|held| {
            let is_news = **held != fleet;
            if is_news {
                *held = Arc::new(fleet);
            }
            is_news
        });

        let is_ours = |replica: &&Replica| *replica.name == *self.settings.replica;
        let pod = replicas.iter().find(is_ours).map(|replica| replica.uid.clone());
        let errand = Errand { lookout: self.look.lookout.clone(), pod };
        self.errand.send_if_modified(|held| std::mem::replace(held, errand.clone()) != errand);
    }
}
