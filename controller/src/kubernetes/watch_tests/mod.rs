//! The watches against a scripted API server: one test for each trap.

mod audit;
mod doubt;
mod failing;
mod following;

use rollcall_net::{Trigger, shutdown};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{advance, timeout},
};

use super::*;
use crate::{
    kubernetes::{
        course::{AUDIT_AFTER, AUDIT_SOON_AFTER, DOUBT_PAUSE},
        fake_api::{Call, FakeApi, WatchReply, fake_api},
    },
    operate::Metrics,
    owner::owner,
};

/// Longer than any watch call that works, shorter than anything that a test waits for in vain.
const MINUTE: Duration = Duration::from_secs(60);

/// Holds a watch of one kind, with a scripted API server on its one side and a real owner on the other.
struct Rig {
    api: FakeApi,
    index: IndexHandle,
    ages: WatchAges,
    drift: Drift,
    watch: JoinHandle<Result<(), OwnerGone>>,
    owner: Trigger,
}

fn rig<W: Watched>() -> Rig {
    let (owner, index) = owner(Index::default(), Metrics::new());
    let (trigger, ear) = shutdown();
    tokio::spawn(owner.run(ear));
    let (client, api) = fake_api();
    let (ages, drift) = (WatchAges::new(), Drift::default());
    let follower = Follower {
        client,
        index: index.clone(),
        ages: ages.clone(),
        drift: drift.clone(),
        reading: Reading::default(),
    };
    Rig { api, index, ages, drift, watch: tokio::spawn(follower.run::<W>()), owner: trigger }
}

/// A rig whose first list is done, with these pods at version 10, of which there is at least one; and its first watch call.
async fn listed(pods: &[Value]) -> (Rig, Call) {
    let mut rig = rig::<Pods>();
    rig.api.list().await.page("10", None, pods);
    let call = rig.api.watch("10").await;
    (rig, call)
}

fn pod(uid: &str, version: &str) -> Value {
    json!({"metadata": {"name": uid, "namespace": "shop", "uid": uid, "resourceVersion": version}})
}

fn labelled(uid: &str, version: &str, app: &str) -> Value {
    let mut pod = pod(uid, version);
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

fn garbage(uid: &str, version: &str) -> Value {
    let mut pod = pod(uid, version);
    pod["spec"] = json!({"containers": "none"});
    pod
}

impl Rig {
    async fn app(&self, uid: &str) -> Option<String> {
        self.index.pod(uid.into()).await.unwrap()?.labels.get("app").map(str::to_owned)
    }

    /// Waits until the index has exactly these of the pods a, b, c, d.
    async fn has(&self, expected: &str) {
        let all = timeout(MINUTE, async {
            loop {
                let mut has = String::new();
                for uid in ["a", "b", "c", "d"] {
                    if self.index.pod(uid.into()).await.unwrap().is_some() {
                        has.push_str(uid);
                    }
                }
                if has == expected {
                    return;
                }
                sleep(Duration::from_millis(1)).await;
            }
        });
        all.await.unwrap_or_else(|_| panic!("not {expected:?} within a minute"));
    }

    fn doubts(&self) -> u64 {
        self.drift.doubts(Kind::Pod)
    }

    fn age(&self) -> Duration {
        self.ages.age(Kind::Pod)
    }
}

/// A watch that works, and ends in time.
async fn ends_in_time(call: Call) -> WatchReply {
    let seconds = call.parameter("timeoutSeconds").unwrap().parse().unwrap();
    let reply = call.stream();
    sleep(Duration::from_secs(seconds)).await;
    reply
}
