use http::Method;
use rollcall_net::shutdown;
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::time::sleep;

use super::*;
use crate::{
    operate::WriteKind,
    scripted_api::{Asked, Log, Reply, problem, scripted},
};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/rollcall-system/leases";

/// A Lease as an API server keeps it.
#[derive(Debug, Default)]
struct Kept {
    lease: Option<Value>,
    version: u64,
}

impl Kept {
    fn answer(&mut self, asked: &Asked) -> Reply {
        let held = self.lease.clone();
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        match (&asked.method, held) {
            (&Method::GET, Some(lease)) => Reply::Json(200, lease),
            (&Method::POST, None) => Reply::Json(201, self.keep(&asked.body)),
            (&Method::PUT, Some(lease)) if version(&lease) == version(&asked.body) => {
                Reply::Json(200, self.keep(&asked.body))
            }
            (&Method::PUT | &Method::POST, Some(_)) => problem(409),
            _ => problem(404),
        }
    }

    fn keep(&mut self, lease: &Value) -> Value {
        self.version += 1;
        let mut lease = lease.clone();
        lease["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.lease = Some(lease.clone());
        lease
    }
}

fn server(kept: &Arc<Mutex<Kept>>) -> (Client, Log) {
    let kept = kept.clone();
    scripted(move |asked| kept.lock().unwrap().answer(asked))
}

/// A replica at work, and how to end it.
fn replica(client: Client, counts: &Arc<WriteCounts>) -> (Leadership, rollcall_net::Trigger) {
    let (seat, leadership) = leadership();
    let (trigger, ear) = shutdown();
    let settings = Settings {
        namespace: "rollcall-system".to_owned(),
        name: "rollcall-controller".to_owned(),
        replica: "r".to_owned(),
    };
    tokio::spawn(run(client, settings, seat, counts.clone(), std::future::ready(()), ear));
    (leadership, trigger)
}

fn spec(kept: &Arc<Mutex<Kept>>) -> Value {
    kept.lock().unwrap().lease.clone().unwrap()["spec"].clone()
}

#[tokio::test(start_paused = true)]
async fn one_holds_it_renews_it_and_gives_it_to_the_next() {
    let (kept, counts) = (Arc::<Mutex<Kept>>::default(), Arc::default());
    let (client, log) = server(&kept);
    let (mut first, end) = replica(client.clone(), &counts);
    first.held().await;
    assert_eq!(log.all()[1].path, PATH);
    let holder = spec(&kept)["holderIdentity"].as_str().unwrap().to_owned();
    assert!(holder.starts_with("r-") && holder.len() > 10, "{holder}");
    assert_eq!(
        (&spec(&kept)["leaseDurationSeconds"], &spec(&kept)["leaseTransitions"]),
        (&json!(15), &json!(1))
    );

    let (mut second, _stay) = replica(client, &counts);
    // What people wrote beside our fields stays.
    {
        let mut kept = kept.lock().unwrap();
        let mut lease = kept.lease.clone().unwrap();
        lease["metadata"]["labels"] = json!({"team": "a"});
        lease["metadata"]["managedFields"] =
            json!([{"manager": "prankster", "time": "9999-12-31T23:59:59Z"}]);
        kept.keep(&lease);
    }
    sleep(Duration::from_secs(60)).await;
    assert!(first.is_holder_now() && !second.is_holder_now());
    let writes = counts.of(WriteKind::Lease);
    assert!((12..=15).contains(&writes), "a renewal every 5 s or a little less: {writes}");
    assert_eq!(spec(&kept)["holderIdentity"], holder);
    assert_eq!(kept.lock().unwrap().lease.as_ref().unwrap()["metadata"]["labels"]["team"], "a");

    let begin = Instant::now();
    end.pull();
    second.held().await;
    assert!(begin.elapsed() <= POLL_EVERY + POLL_JITTER, "{:?}", begin.elapsed());
    assert!(!first.is_holder_now());
    assert_eq!(spec(&kept)["leaseTransitions"], 2);
    let versions: Vec<_> =
        log.of(&Method::PUT).iter().map(|put| put.body["metadata"]["resourceVersion"].clone()).collect();
    assert!(versions.iter().all(Value::is_string), "every write is guarded");
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_nothing_is_held_and_what_was_held_runs_out() {
    for failing in [Reply::Hang, problem(500), problem(403), Reply::Json(200, json!({"kind": "?"}))] {
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let up = Arc::new(Mutex::new(true));
        let (keeping, is_up) = (kept.clone(), up.clone());
        let (client, log) = scripted(move |asked| match *is_up.lock().unwrap() {
            true => keeping.lock().unwrap().answer(asked),
            false => failing.clone(),
        });
        let counts = Arc::default();
        let (mut leadership, _stay) = replica(client, &counts);
        let term = leadership.held().await;
        sleep(Duration::from_secs(20)).await;
        *up.lock().unwrap() = false;
        let begin = Instant::now();
        leadership.over(term).await;
        let held_for = begin.elapsed();
        assert!(held_for <= DURATION - MARGIN && held_for > DURATION - MARGIN - RENEW_EVERY, "{held_for:?}");
        let asked = log.all().len();
        sleep(Duration::from_secs(600)).await;
        let tries = log.all().len() - asked;
        assert!((20..80).contains(&tries), "it goes on trying, ever more rarely: {tries}");
        assert!(!leadership.is_holder_now());
        *up.lock().unwrap() = true;
        assert_ne!(leadership.held().await, term);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_not_held_up_by_an_api_server_that_hangs() {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let up = Arc::new(Mutex::new(true));
    let (keeping, is_up) = (kept.clone(), up.clone());
    let (client, _) = scripted(move |asked| match *is_up.lock().unwrap() {
        true => keeping.lock().unwrap().answer(asked),
        false => Reply::Hang,
    });
    let (seat, mut leadership) = leadership();
    let (trigger, ear) = shutdown();
    let settings = Settings { namespace: "n".to_owned(), name: "l".to_owned(), replica: "r".to_owned() };
    let part = tokio::spawn(run(client, settings, seat, Arc::default(), std::future::ready(()), ear));
    let term = leadership.held().await;
    *up.lock().unwrap() = false;
    let begin = Instant::now();
    trigger.pull();
    leadership.over(term).await;
    assert_eq!(begin.elapsed(), Duration::ZERO, "the writers stop before the word is out");
    part.await.unwrap();
    assert!(begin.elapsed() <= RELEASE_MAX);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_ready_leaves_the_lease_to_others() {
    let (kept, counts) = (Arc::<Mutex<Kept>>::default(), Arc::<WriteCounts>::default());
    let (client, log) = server(&kept);
    let settings = Settings { namespace: "n".to_owned(), name: "l".to_owned(), replica: "r".to_owned() };
    let begin = |ready: tokio::sync::oneshot::Receiver<()>| {
        let (seat, leadership) = leadership();
        let (trigger, ear) = shutdown();
        let ready = async { ready.await.unwrap() };
        let part = tokio::spawn(run(client.clone(), settings.clone(), seat, counts.clone(), ready, ear));
        (leadership, trigger, part)
    };
    let (never, unready) = tokio::sync::oneshot::channel();
    let (lame, end, part) = begin(unready);
    sleep(Duration::from_secs(600)).await;
    assert!(!lame.is_holder_now() && log.all().is_empty());

    let (say, ready) = tokio::sync::oneshot::channel();
    let (mut able, _stay, _) = begin(ready);
    say.send(()).unwrap();
    able.held().await;
    end.pull();
    timeout(RELEASE_MAX, part).await.unwrap().unwrap();
    assert!(able.is_holder_now());
    drop(never);
}
