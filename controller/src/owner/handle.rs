//! The way to the owner: what others tell it and ask of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rollcall_catalogue::{PodFacts, PodUid};
use rollcall_wire::{
    Feed, SelfRegistration,
    peer::{Ledger, Note, OutsideWord, Version},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Going, Input, Opened, OwnerGone, View, clock::Clock};
use crate::index::{Change, Hello, Index, Kind, PeerStanding};

/// What one replica knows of a pod, another one does within this: the way of a note, or of the watch.
const GOING_AWAITED_FOR: Duration = Duration::from_secs(1);

/// Holds the way to the owner.
#[derive(Debug, Clone)]
pub struct IndexHandle {
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) feed: Arc<Feed>,
    pub(super) clock: Clock,
    pub(super) ledger: Arc<Ledger>,
    pub(super) ledger_changes: watch::Receiver<u64>,
    pub(super) outside_words: watch::Receiver<Arc<[OutsideWord]>>,
}

// === impl IndexHandle ===

impl IndexHandle {
    /// The catalogue as it is published, now and later.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// What changed lately, under the numbers that the views have.
    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    pub async fn apply(&self, change: Change) -> Result<(), OwnerGone> {
        self.apply_at(change, None).await
    }

    /// The same, by an event of this revision of Kubernetes, or at the end of a list of it: nothing before it is to be told
    /// any more.
    pub(crate) async fn apply_at(&self, change: Change, revision: Option<u64>) -> Result<(), OwnerGone> {
        self.inputs.send(Input::Change { change, revision }).await.map_err(|_| OwnerGone)
    }

    /// Nothing of this kind has changed up to this revision.
    pub(crate) async fn advanced(&self, kind: Kind, revision: u64) -> Result<(), OwnerGone> {
        self.inputs.send(Input::Advanced(kind, revision)).await.map_err(|_| OwnerGone)
    }

    /// A list of this kind, which is about to be applied, has objects up to this revision.
    pub(crate) async fn found(&self, kind: Kind, revision: u64) -> Result<(), OwnerGone> {
        self.inputs.send(Input::Found(kind, revision)).await.map_err(|_| OwnerGone)
    }

    /// The clock by which sessions are judged.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// What is known of the pods' sessions, wherever they are.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The number of the newest note in it.
    pub(crate) fn ledger_changes(&self) -> watch::Receiver<u64> {
        self.ledger_changes.clone()
    }

    /// What another replica tells of pods, in the clock of this process.
    pub(crate) async fn hear_notes(&self, notes: Vec<Arc<Note>>) -> Result<(), OwnerGone> {
        let now_ms = self.clock.now_ms();
        let hear = move |index: &mut Index| {
            for note in notes {
                index.hear_note(note, now_ms);
            }
        };
        self.ask(hear).await
    }

    /// How the other replicas' processes stand, by their epochs.
    pub(crate) async fn set_peers(&self, peers: BTreeMap<Arc<str>, PeerStanding>) -> Result<(), OwnerGone> {
        let now_ms = self.clock.now_ms();
        self.ask(move |index| index.set_peers(peers, now_ms)).await
    }

    /// Who here may still call a pod that goes, once that is known here: by the note of this version, or because Kubernetes
    /// ends the pod; none where it was not within this time.
    pub(crate) async fn going(
        &self,
        uid: PodUid,
        version: Option<Version>,
        within: Duration,
    ) -> Result<Option<Going>, OwnerGone> {
        let (reply, answer) = oneshot::channel();
        let within_ms = u64::try_from(within.min(GOING_AWAITED_FOR).as_millis()).unwrap_or(u64::MAX);
        let until_ms = self.clock.now_ms().saturating_add(within_ms);
        let input = Input::Going { uid, version, until_ms, reply };
        self.inputs.send(input).await.map_err(|_| OwnerGone)?;
        answer.await.map_err(|_| OwnerGone)
    }

    /// What the replica that asks addresses outside the cluster has been answered; `whole`: it knows of no others. Nothing is
    /// taken of it where it is we who ask.
    pub(crate) async fn outside_told(&self, words: Vec<OutsideWord>, whole: bool) -> Result<(), OwnerGone> {
        let now_ms = self.clock.now_ms();
        self.ask(move |index| index.outside_told(words, whole, now_ms)).await
    }

    /// All that is known of what such addresses answered, by whoever has asked them.
    pub(crate) fn outside_words(&self) -> watch::Receiver<Arc<[OutsideWord]>> {
        self.outside_words.clone()
    }

    /// What is known of this pod.
    pub async fn pod(&self, uid: PodUid) -> Result<Option<PodFacts>, OwnerGone> {
        self.ask(move |index| index.pod(&uid).cloned()).await
    }

    /// The zone of this node, where Kubernetes says it.
    pub(crate) async fn zone(&self, node: Arc<str>) -> Result<Option<Arc<str>>, OwnerGone> {
        self.ask(move |index| index.zone(&node)).await
    }

    /// Asks the index, in its turn among all that comes in.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Index) -> T + Send + 'static,
    ) -> Result<T, OwnerGone> {
        let (reply, answer) = oneshot::channel();
        // Whoever asked may have gone away meanwhile; nothing is lost then.
        let question = Box::new(move |index: &mut Index| drop(reply.send(question(index))));
        self.inputs.send(Input::Ask(question)).await.map_err(|_| OwnerGone)?;
        answer.await.map_err(|_| OwnerGone)
    }

    /// Counts this pod as live for as long as its presence is held, and takes what its sidecar says first.
    pub(crate) async fn open_session(
        &self,
        uid: PodUid,
        incarnation: String,
        sequence: u64,
        registrations: Vec<SelfRegistration>,
    ) -> Result<Opened, OwnerGone> {
        let (reply, answer) = oneshot::channel();
        let hello = Hello { incarnation, sequence, registrations };
        self.inputs.send(Input::Open { uid, hello, reply }).await.map_err(|_| OwnerGone)?;
        answer.await.map_err(|_| OwnerGone)
    }
}
