//! What the tests of the prober have in common: a network that answers as it is told, and a prober on it.

use std::{
    future::{Ready, ready},
    net::{IpAddr, SocketAddr},
    sync::Mutex,
};

use rollcall_catalogue::{ProbeCheck, ProbeSpec};
use rollcall_net::probe::Check;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::super::*;

/// Longer than any test takes by its own clock.
pub(super) const ENOUGH: Duration = Duration::from_secs(60);

/// A network that answers as it is told; nobody who has no answer set up answers at all.
#[derive(Clone, Default)]
pub(super) struct Network(Arc<Mutex<Peers>>);

#[derive(Default)]
pub(super) struct Peers {
    pub(super) answers: HashMap<IpAddr, Outcome>,
    pub(super) asked: HashMap<IpAddr, usize>,
    pub(super) in_flight: usize,
    pub(super) in_flight_most: usize,
}

/// Counts as under way until it is dropped.
struct UnderWay(Network);

/// Holds a prober in a task of its own, and all ends of it.
pub(super) struct Bench {
    pub(super) view: watch::Sender<Arc<View>>,
    pub(super) lease: watch::Sender<bool>,
    pub(super) told: mpsc::Receiver<Words>,
    /// What the index was told of who asks: that terms have begun, and have ended.
    pub(super) terms: watch::Receiver<Vec<bool>>,
    pub(super) network: Network,
    pub(super) prober: JoinHandle<Result<(), OwnerGone>>,
}

impl Ask for Network {
    fn ask(
        &self,
        target: SocketAddr,
        _: Check,
        limit: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let network = self.clone();
        async move {
            let under_way = network.begin(target.ip());
            let answer = network.with(|peers| peers.answers.get(&target.ip()).copied());
            // As over a real network, where no answer takes no time.
            sleep(if answer.is_some() { Duration::from_millis(1) } else { limit }).await;
            drop(under_way);
            answer.unwrap_or(Outcome::TimedOut)
        }
    }
}

impl Network {
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Peers) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    fn begin(&self, address: IpAddr) -> UnderWay {
        self.with(|peers| {
            *peers.asked.entry(address).or_default() += 1;
            peers.in_flight += 1;
            peers.in_flight_most = peers.in_flight_most.max(peers.in_flight);
        });
        UnderWay(self.clone())
    }

    pub(super) fn set(&self, last: u8, outcome: Outcome) {
        self.with(|peers| peers.answers.insert(address(last), outcome));
    }

    pub(super) fn asked(&self) -> usize {
        self.with(|peers| peers.asked.values().sum())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.with(|peers| peers.in_flight)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.with(|peers| peers.in_flight -= 1);
    }
}

pub(super) fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

pub(super) fn target(namespace: &str, last: u8) -> OutsideTarget {
    OutsideTarget {
        id: OutsideId { service: format!("orders.{namespace}").parse().unwrap(), address: address(last) },
        probe: ProbeSpec::new(ProbeCheck::Tcp { port: None }),
        port: 80,
        epoch: 0,
    }
}

/// A bench with room for this many words that nobody has taken yet.
pub(super) fn bench(room: usize, targets: &[OutsideTarget]) -> Bench {
    let network = Network::default();
    let (view, views) = watch::channel(Arc::new(View { outside: targets.into(), ..View::default() }));
    let (lease, holds_lease) = watch::channel(false);
    let (sender, told) = mpsc::channel(room);
    let tell = move |words| {
        let sender = sender.clone();
        async move { sender.send(words).await.map_err(|_| OwnerGone) }
    };
    let (begins, terms) = watch::channel(Vec::new());
    let prober = Prober { view: views, ask: network.clone(), tell, begin_or_end: noted(begins) };
    Bench { view, lease, told, terms, network, prober: tokio::spawn(prober.run(holds_lease)) }
}

/// What hears that terms begin and end.
pub(super) fn noted(terms: watch::Sender<Vec<bool>>) -> impl Fn(bool) -> Ready<Result<(), OwnerGone>> {
    move |asks| {
        terms.send_modify(|terms| terms.push(asks));
        ready(Ok(()))
    }
}

impl Bench {
    pub(super) fn publish(&self, targets: &[OutsideTarget]) {
        self.view.send_replace(Arc::new(View { outside: targets.into(), ..View::default() }));
    }

    pub(super) fn hold(&self, held: bool) {
        self.lease.send_replace(held);
    }

    /// The next word, and there must be only one.
    pub(super) async fn word(&mut self) -> (IpAddr, ProbeWitness) {
        let words = timeout(ENOUGH, self.told.recv()).await.unwrap().unwrap();
        assert_eq!(words.len(), 1, "{words:?}");
        words.into_iter().map(|(id, witness)| (id.address, witness)).next().unwrap()
    }

    /// Until so many questions more were asked.
    pub(super) async fn rounds(&self, count: usize) {
        let enough = self.network.asked() + count;
        while self.network.asked() < enough {
            sleep(Duration::from_millis(1)).await;
        }
    }
}
