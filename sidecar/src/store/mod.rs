//! The store: what lookups are answered from. One writer, any number of readers, none of whom ever waits.
//!
//! ```text
//!  Agent ─► Writer ─┬─ Names   (ArcSwap): the names that are subscribed to; another map only when one comes or goes
//!                   ├─ Slot    (ArcSwap each): what is known of one name; all that most changes touch
//!                   ├─ Currency (words): whether it is kept current, and when it last was
//!                   └─ Around  (ArcSwap): who we are, what we are to ask the app, the list of all services
//! ```

mod alike;
mod currency;
mod held;
mod lookups;
mod records;
mod slot;
mod uses;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::{ArcSwap, Guard};
use rollcall_catalogue::{Namespace, Service, ServiceKey, balance::Outcome, changes::Position};
use rollcall_wire::{PodIdentity, Reports, ServiceSummary};
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

pub(crate) use self::{
    alike::Alike,
    currency::Contact,
    held::Held,
    lookups::Dialect,
    slot::{Follower, Known, Slot},
    uses::Used,
};
use self::{
    currency::{Currency, IN_STEP_FOR},
    lookups::Lookups,
    uses::Uses,
};

/// Holds the places of all names that are subscribed to, by what a caller may write for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// `orders.shop`, and of the pod's own namespace `orders` as well.
    by_text: HashMap<Arc<str>, Arc<Slot>>,
    /// Each once, in the order of their keys: a list, since all of it is copied when a name comes or goes, and a tree of
    /// small pieces would leave holes between what stays.
    by_key: Vec<Arc<Slot>>,
    home: Option<Namespace>,
}

/// Holds what is known of the pod itself, and of the cluster as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Around {
    /// Who the pod is, as the controller says; none before the first session.
    pub(crate) pod: Option<PodIdentity>,
    /// The list of all services that may be seen, where somebody asked for it.
    pub(crate) summary: Option<Arc<BTreeMap<ServiceKey, ServiceSummary>>>,
    pub(crate) believed: Believed,
}

/// Holds who is believed to be the controller, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Believed {
    /// The fingerprints of the authorities.
    pub(crate) authorities: Vec<String>,
    /// What controllers told that was not taken: too large, unreadable, and strangers.
    pub(crate) refused: [u64; 3],
}

/// Holds the way to the state for readers.
#[derive(Debug, Clone)]
pub(crate) struct Store(Arc<Shared>);

/// Holds the only right to change the state.
#[derive(Debug)]
pub(crate) struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    names: ArcSwap<Names>,
    around: ArcSwap<Around>,
    /// Beside what is held, since most frames move it.
    currency: Currency,
    /// How far Kubernetes was known when what is held was told, or less far. Nobody waits for it.
    position: ArcSwap<Position>,
    /// Wakes those who wait for anything but a change of one name.
    changed: watch::Sender<()>,
    /// Wakes whoever keeps a copy of all that is held.
    contents: watch::Sender<()>,
    lookups: Lookups,
    /// Reports on calls to all services.
    uses: Uses,
}

pub(crate) fn store() -> (Writer, Store) {
    let shared = Arc::new(Shared {
        names: ArcSwap::default(),
        around: ArcSwap::default(),
        currency: Currency::new(),
        position: ArcSwap::default(),
        changed: watch::channel(()).0,
        contents: watch::channel(()).0,
        lookups: Lookups::default(),
        uses: Uses::default(),
    });
    (Writer(shared.clone()), Store(shared))
}

// === impl Names ===

impl Names {
    /// The place of the name that a caller writes so, which is marked as asked for.
    pub(crate) fn find(&self, text: &str) -> Option<&Arc<Slot>> {
        self.by_text.get(text).inspect(|slot| slot.mark_asked())
    }

    pub(crate) fn get(&self, key: &ServiceKey) -> Option<&Arc<Slot>> {
        self.place(key).ok().and_then(|place| self.by_key.get(place))
    }

    /// Each once, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.by_key.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// One that is not there yet.
    fn insert(&mut self, slot: Arc<Slot>) {
        self.texts(&slot.key).for_each(|text| drop(self.by_text.insert(text, slot.clone())));
        let (Ok(place) | Err(place)) = self.place(&slot.key);
        self.by_key.insert(place, slot);
    }

    fn remove(&mut self, key: &ServiceKey) -> Option<Arc<Slot>> {
        self.texts(key).for_each(|text| drop(self.by_text.remove(&text)));
        self.place(key).ok().map(|place| self.by_key.remove(place))
    }

    /// Where the name is, or where it belongs.
    fn place(&self, key: &ServiceKey) -> Result<usize, usize> {
        self.by_key.binary_search_by(|slot| slot.key.cmp(key))
    }

    /// All that a caller may write for this name.
    fn texts(&self, key: &ServiceKey) -> impl Iterator<Item = Arc<str>> + use<> {
        let near = (self.home.as_ref() == Some(&key.namespace)).then(|| Arc::from(key.service.as_str()));
        [Arc::from(key.to_string())].into_iter().chain(near)
    }
}

// === impl Writer ===

impl Writer {
    pub(crate) fn contact(&self) -> Contact {
        self.0.currency.contact()
    }

    pub(crate) fn names(&self) -> Guard<Arc<Names>> {
        self.0.names.load()
    }

    /// The names that lookups asked for since the last call.
    pub(crate) fn take_asked(&self) -> Vec<ServiceKey> {
        let names = self.0.names.load();
        names.iter().filter(|slot| slot.take_asked()).map(|slot| slot.key.clone()).collect()
    }

    /// What is held of this name.
    pub(crate) fn held(&self, key: &ServiceKey) -> Option<Arc<Service>> {
        match &**self.names().get(key)?.known() {
            Known::Service(held) => Some(held.service.clone()),
            _ => None,
        }
    }

    /// The pod's own namespace: what a name without one means.
    pub(crate) fn at_home_in(&self, home: &Namespace) {
        let names = self.0.names.load();
        if names.home.as_ref() == Some(home) {
            return;
        }
        let mut next = Names { home: Some(home.clone()), ..Names::default() };
        names.iter().for_each(|slot| next.insert(slot.clone()));
        self.0.names.store(Arc::new(next));
        self.0.changed.send_replace(());
    }

    /// These names are subscribed to from now on.
    pub(crate) fn add(&self, keys: impl IntoIterator<Item = ServiceKey>) {
        let mut next = Names::clone(&self.0.names.load());
        for key in keys {
            if next.get(&key).is_none() {
                next.insert(Arc::new(Slot::new(key, Known::Awaited)));
            }
        }
        self.0.names.store(Arc::new(next));
        self.0.changed.send_replace(());
    }

    /// Nobody subscribes to these any more.
    pub(crate) fn leave(&self, keys: &[ServiceKey]) {
        let mut next = Names::clone(&self.0.names.load());
        let left: Vec<_> = keys.iter().filter_map(|key| next.remove(key)).collect();
        self.0.names.store(Arc::new(next));
        left.iter().for_each(|slot| slot.set(Known::Left));
        self.0.changed.send_replace(());
        self.0.contents.send_replace(());
    }

    /// What is known of a name from now on; nothing for one that nobody subscribes to.
    pub(crate) fn set(&self, key: &ServiceKey, known: Known) {
        if let Some(slot) = self.0.names.load().get(key) {
            slot.set(known);
            self.0.contents.send_replace(());
        }
    }

    /// The content of a service, as a session told it.
    pub(crate) fn set_service(&self, key: &ServiceKey, service: Arc<Service>) {
        self.set(key, Known::Service(Held::new(key.clone(), service, false).into()));
    }

    /// The content of a service, as the disk has it.
    pub(crate) fn set_restored(&self, key: &ServiceKey, service: Arc<Service>) {
        self.set(key, Known::Service(Held::new(key.clone(), service, true).into()));
    }

    pub(crate) fn set_contact(&self, contact: Contact) {
        self.0.currency.set_contact(contact);
        self.0.changed.send_replace(());
    }

    /// Who the pod is, or what there is in the cluster, is another.
    pub(crate) fn change_around(&self, change: impl FnOnce(&mut Around)) {
        let mut next = Around::clone(&self.0.around.load());
        change(&mut next);
        self.0.around.store(Arc::new(next));
        self.0.changed.send_replace(());
    }

    /// These authorities are believed, by their fingerprints.
    pub(crate) fn believes(&self, authorities: Vec<String>) {
        if self.0.around.load().believed.authorities != authorities {
            self.change_around(|around| around.believed.authorities = authorities);
        }
    }

    /// How far Kubernetes is known by what is held.
    pub(crate) fn set_position(&self, position: &Position) {
        if **self.0.position.load() != *position {
            self.0.position.store(Arc::new(position.clone()));
        }
    }

    /// The controller was heard: all is current, if this session has caught up.
    pub(crate) fn heard(&self) {
        if let Contact::Live { caught_up: true, .. } = self.contact() {
            self.current();
        }
    }

    /// Everything held is current now.
    pub(crate) fn current(&self) {
        // First, so that what has just become current is never taken for the disk's.
        self.0.currency.confirm();
        self.current_since(Instant::now());
    }

    /// What was read from the disk was current then.
    pub(crate) fn current_since(&self, then: Instant) {
        self.0.currency.set_current_at(then);
    }
}

// === impl Store ===

impl Store {
    pub(crate) fn names(&self) -> Guard<Arc<Names>> {
        self.0.names.load()
    }

    pub(crate) fn around(&self) -> Guard<Arc<Around>> {
        self.0.around.load()
    }

    /// How far Kubernetes was known, at the least, when what is held was told.
    pub(crate) fn position(&self) -> Position {
        Position::clone(&self.0.position.load())
    }

    /// The pod's own namespace, where it is known.
    pub(crate) fn home(&self) -> Option<Namespace> {
        self.names().home.clone()
    }

    /// Changes of everything but what is known of single names: those are told by their [`Slot`].
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Changes of what is held, of any name.
    pub(crate) fn contents(&self) -> watch::Receiver<()> {
        self.0.contents.subscribe()
    }

    pub(crate) fn contact(&self) -> Contact {
        self.0.currency.contact()
    }

    /// A lookup of this name was answered, in this language. Takes no lock.
    pub(crate) fn looked_up(&self, slot: &Slot, dialect: Dialect) {
        self.0.lookups.count(dialect);
        slot.count_lookup();
    }

    /// The app has said how a call to an instance of this name went.
    pub(crate) fn reported(&self, slot: &Slot, outcome: Outcome, latency_ms: u64) {
        self.0.uses.count_report(outcome, latency_ms);
        slot.count_report(outcome, latency_ms);
    }

    /// What the app has reported since the start.
    pub(crate) fn reports(&self) -> Reports {
        self.0.uses.used().reports
    }

    /// Lookups since the start.
    pub(crate) fn lookups(&self, dialect: Dialect) -> u64 {
        self.0.lookups.total(dialect)
    }

    /// When everything held was last known to be current; none where it never was.
    pub(crate) fn current_at(&self) -> Option<Instant> {
        self.0.currency.current_at()
    }

    /// Whole seconds since the state was known to be current, and where it never was, since the start; 0 in step, and only
    /// then.
    pub(crate) fn age(&self) -> u64 {
        let since = self.0.currency.since_current();
        match self.contact() {
            Contact::Live { caught_up: true, .. } if since < IN_STEP_FOR => 0,
            _ => since.as_secs().max(1),
        }
    }

    /// Whether this content is the disk's, and nobody has said since that it is still so.
    pub(crate) fn is_from_disk(&self, held: &Held) -> bool {
        held.from_disk && !self.0.currency.is_confirmed()
    }

    /// Whether what is held is the disk's, and no session has said since that it is still so.
    pub(crate) fn rests_on_disk(&self) -> bool {
        !self.0.currency.is_confirmed() && self.current_at().is_some()
    }

    /// Whether everything held was current once since this process began: it was in step.
    pub(crate) fn was_in_step(&self) -> bool {
        self.0.currency.is_confirmed()
    }

    /// For how long this process has been holding anything.
    pub(crate) fn runs_for(&self) -> Duration {
        self.0.currency.runs_for()
    }

    /// Whether there is a session, whatever it has said yet.
    pub(crate) fn in_session(&self) -> bool {
        matches!(self.contact(), Contact::Live { .. })
    }

    /// Whether everything asked for is current.
    pub(crate) fn in_step(&self) -> bool {
        let synced = matches!(self.contact(), Contact::Live { caught_up: true, synced: true });
        synced && self.0.currency.since_current() < IN_STEP_FOR
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::{ContentHash, Policy, changes::Head};
    use tokio::time::advance;

    use super::*;

    fn live(caught_up: bool, synced: bool) -> Contact {
        Contact::Live { caught_up, synced }
    }

    #[tokio::test(start_paused = true)]
    async fn age_counts_from_the_last_moment_in_step() {
        let (writer, store) = store();
        assert!(!store.in_step());
        writer.current();
        writer.set_contact(live(true, true));
        assert!(store.age() == 0 && store.in_step());
        writer.set_contact(live(true, false));
        assert!(store.age() == 0 && !store.in_step(), "one name more is awaited; the others are pushed");
        writer.set_contact(live(true, true));

        advance(IN_STEP_FOR).await;
        assert!(store.age() == IN_STEP_FOR.as_secs() && !store.in_step(), "in session, and silent");
        writer.heard();
        assert!(store.age() == 0 && store.in_step());

        writer.set_contact(Contact::Lost);
        assert_eq!(store.age(), 1, "0 is said in step only");
        advance(Duration::from_secs(100)).await;
        assert_eq!(store.age(), 100);
        // The next session: nothing of what is held was confirmed yet, whatever else is heard.
        writer.set_contact(live(false, false));
        writer.heard();
        assert!(store.age() == 100 && !store.in_step());
        writer.current();
        writer.set_contact(live(true, true));
        assert!(store.age() == 0 && store.in_step());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_current_ages_from_the_start() {
        let (writer, store) = store();
        assert_eq!(store.age(), 1);
        advance(Duration::from_secs(100)).await;
        assert!(store.age() == 100 && !store.rests_on_disk(), "there was none");
        writer.current();
        writer.set_contact(Contact::Lost);
        assert_eq!(store.age(), 1);
    }

    #[tokio::test]
    async fn names_are_found_as_callers_write_them_and_who_waits_is_woken() {
        let (writer, store) = store();
        let (near, far): (ServiceKey, ServiceKey) =
            ("orders.shop".parse().unwrap(), "orders.bank".parse().unwrap());
        writer.add([near.clone(), far.clone()]);
        assert!(store.names().find("orders").is_none(), "nobody knows where we are");
        writer.at_home_in(&"shop".parse().unwrap());
        let slot = store.names().find("orders").cloned().unwrap();
        assert!(slot.key == near && store.names().len() == 2);
        assert_eq!(store.names().find("orders.bank").unwrap().key, far);
        for again in [false, true, true] {
            store.looked_up(&slot, Dialect::Native);
            assert_eq!(slot.is_asked_again(), again);
        }

        let changed = slot.changed();
        let head = Head { revision: 7, hash: ContentHash(1), policy: Policy::default(), truncated: false };
        writer.set_service(&near, Arc::new(Service::of(head, Vec::new())));
        changed.await;
        assert!(matches!(&**slot.known(), Known::Service(held) if held.revision == "7"));

        writer.leave(std::slice::from_ref(&near));
        assert!(matches!(**slot.known(), Known::Left));
        assert!(store.names().find("orders").is_none() && store.names().find("orders.shop").is_none());
        assert_eq!(store.names().len(), 1);
    }

    #[tokio::test]
    async fn what_is_from_the_disk_says_so_until_a_session_has_caught_up() {
        let (writer, store) = store();
        let head = Head { revision: 7, hash: ContentHash(1), policy: Policy::default(), truncated: false };
        let held = Held::new("orders.shop".parse().unwrap(), Arc::new(Service::of(head, Vec::new())), true);
        writer.current_since(Instant::now());
        assert!(store.is_from_disk(&held) && store.rests_on_disk() && store.age() == 1);
        writer.current();
        assert!(!store.is_from_disk(&held) && !store.rests_on_disk());
    }
}
