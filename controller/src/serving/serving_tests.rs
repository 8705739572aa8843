use rollcall_catalogue::{
    PodFacts,
    liveness::{Phase, PodLife},
};
use rollcall_net::shutdown;
use tokio::{
    task::JoinSet,
    time::{Duration, sleep, timeout},
};

use super::*;
use crate::{
    index::{Change, Index, Key, Kind, ObjectKey},
    operate::Format,
    owner::owner,
};

/// Longer than anything that is to happen, on the tests' own clock.
const EVENTUALLY: Duration = Duration::from_secs(60);

/// A replica `a` of the namespace `shop`, whose Lease and pods are the test's.
struct Bench {
    index: IndexHandle,
    holder: watch::Sender<Holder>,
    role: watch::Receiver<Role>,
    metrics: Metrics,
    _trigger: rollcall_net::Trigger,
    _parts: JoinSet<()>,
}

fn pod(uid: &str, name: &str, last: u8) -> PodFacts {
    PodFacts {
        uid: uid.into(),
        namespace: "shop".parse().unwrap(),
        name: name.into(),
        node: None,
        addresses: [[10, 0, 0, last].into()].into_iter().collect(),
        labels: Arc::default(),
        has_sidecar: false,
        asks_to_drain: false,
        registration: None,
        life: PodLife::READY,
    }
}

// === impl Bench ===

impl Bench {
    async fn new() -> Self {
        let metrics = Metrics::new();
        let lease = ObjectKey { namespace: "shop".parse().unwrap(), name: "rollcall-controller".into() };
        let (owner, index) = owner(Index::default().speaking_of(lease), metrics.clone());
        let (trigger, ear) = shutdown();
        let ((holder, seen), (told, role)) =
            (watch::channel(Holder::default()), watch::channel(Role::default()));
        let watchman = Watchman {
            replica: "a".to_owned(),
            port: 7310,
            holder: seen,
            index: index.clone(),
            role: told,
            metrics: metrics.clone(),
        };
        let mut parts = JoinSet::new();
        parts.spawn(owner.run(ear));
        parts.spawn(async move {
            let _ = watchman.run().await;
        });
        for kind in Kind::ALL {
            index.apply(Change::ListBegins(kind)).await.unwrap();
            index.apply(Change::ListEnds(kind)).await.unwrap();
        }
        Self { index, holder, role, metrics, _trigger: trigger, _parts: parts }
    }

    async fn see(&self, facts: PodFacts) {
        self.index.apply(Change::Pod(Box::new(facts.into()))).await.unwrap();
    }

    fn held_by(&self, name: &str) {
        self.holder.send_replace(Holder::Replica(name.into()));
    }

    async fn becomes(&mut self, expected: Role) {
        let waited = timeout(EVENTUALLY, self.role.wait_for(|role| *role == expected)).await.is_ok();
        assert!(waited, "{:?} and not {expected:?}", *self.role.borrow());
        let line = format!("rollcall_serving {}", u8::from(expected.serves()));
        let text = self.metrics.render(&View::default(), Format::OpenMetrics);
        assert!(text.lines().any(|held| held == line), "{text}");
    }

    async fn stays(&self, expected: Role) {
        sleep(EVENTUALLY).await;
        assert_eq!(*self.role.borrow(), expected);
    }
}

fn standby(last: u8) -> Role {
    Role::Standby { serving: ([10, 0, 0, last], 7310).into() }
}

#[tokio::test(start_paused = true)]
async fn it_stands_by_while_the_holders_pod_is_alive_and_serves_when_it_is_not() {
    let mut bench = Bench::new().await;
    bench.stays(Role::NotKnown).await;
    bench.see(pod("u2", "b", 2)).await;
    bench.held_by("b");
    bench.becomes(standby(2)).await;

    let life = pod("u2", "b", 2).life;
    let mut deleting = life;
    deleting.deleting = true;
    let mut ended = life;
    ended.phase = Phase::Failed;
    for dying in [deleting, ended] {
        bench.see(PodFacts { life: dying, ..pod("u2", "b", 2) }).await;
        bench.becomes(Role::Serving).await;
        bench.see(pod("u2", "b", 2)).await;
        bench.becomes(standby(2)).await;
    }
    // A successor of the same name, while the watch has not told that the old one is gone.
    bench.see(PodFacts { life: deleting, ..pod("u2", "b", 2) }).await;
    bench.see(pod("u3", "b", 3)).await;
    bench.becomes(standby(3)).await;
    bench.index.apply(Change::Gone(Key::Pod("u2".into()))).await.unwrap();
    bench.stays(standby(3)).await;
    bench.index.apply(Change::Gone(Key::Pod("u3".into()))).await.unwrap();
    bench.becomes(Role::Serving).await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_not_ready_serves_on_as_long_as_it_renews() {
    let mut bench = Bench::new().await;
    bench.see(pod("u2", "b", 2)).await;
    bench.held_by("b");
    bench.becomes(standby(2)).await;
    let (mut not_ready, mut waiting) = (pod("u2", "b", 2), pod("u2", "b", 2));
    not_ready.life.containers_ready = false;
    waiting.life.phase = Phase::Pending;
    for doubtful in [not_ready, waiting] {
        bench.see(doubtful).await;
        bench.stays(standby(2)).await;
        bench.holder.send_replace(Holder::Silent("b".into()));
        bench.becomes(Role::Serving).await;
        // It was only slow.
        bench.held_by("b");
        bench.becomes(standby(2)).await;
        bench.holder.send_replace(Holder::Silent("b".into()));
        bench.becomes(Role::Serving).await;
        bench.see(pod("u2", "b", 2)).await;
        bench.becomes(standby(2)).await;
        bench.held_by("b");
    }
}

#[tokio::test(start_paused = true)]
async fn another_holder_is_looked_for_and_our_own_name_is_ours() {
    let mut bench = Bench::new().await;
    bench.see(pod("u2", "b", 2)).await;
    bench.see(pod("u3", "c", 3)).await;
    let elsewhere = PodFacts { namespace: "elsewhere".parse().unwrap(), ..pod("u4", "d", 4) };
    bench.see(elsewhere).await;
    bench.held_by("c");
    bench.becomes(standby(3)).await;
    bench.held_by("b");
    bench.becomes(standby(2)).await;
    bench.held_by("d");
    bench.becomes(Role::Serving).await;
    bench.held_by("b");
    bench.becomes(standby(2)).await;
    bench.held_by("a");
    bench.becomes(Role::Serving).await;
    bench.held_by("b");
    bench.becomes(standby(2)).await;
    bench.holder.send_replace(Holder::NobodyKnown);
    bench.becomes(Role::Serving).await;
}

#[tokio::test(start_paused = true)]
async fn without_another_word_it_goes_on_as_it_is() {
    for holder in ["a", "b"] {
        let mut bench = Bench::new().await;
        bench.see(pod("u2", "b", 2)).await;
        bench.held_by(holder);
        let expected = if holder == "a" { Role::Serving } else { standby(2) };
        bench.becomes(expected).await;
        let Bench { holder, .. } = &mut bench;
        // Nobody keeps the Lease any more; the pods are still told of.
        drop(std::mem::replace(holder, watch::channel(Holder::default()).0));
        bench.stays(expected).await;
        bench.index.apply(Change::Gone(Key::Pod("u2".into()))).await.unwrap();
        bench.becomes(Role::Serving).await;
    }
}
