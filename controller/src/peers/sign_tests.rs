use std::sync::Mutex;

use http::Method;
use rollcall_net::{Trigger, shutdown};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{super::standing::Missed, *};
use crate::{
    index::Index,
    operate::Metrics,
    owner::owner,
    scripted_api::{Asked, Log, Reply, problem, scripted},
};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/rollcall-system/leases";

/// Holds Leases as an API server does.
#[derive(Debug, Default)]
struct Kept {
    leases: BTreeMap<String, Value>,
    version: u64,
    failing: Option<Reply>,
    forbids: Option<Forbids>,
    forbidden: u32,
}

/// Says what an admission plugin or a policy forbids: what is to be written, in place of this.
type Forbids = fn(&Value, Option<&Value>) -> bool;

impl Kept {
    fn answer(&mut self, asked: &Asked) -> Reply {
        if let Some(failing) = &self.failing {
            return failing.clone();
        }
        let named = asked.path.strip_prefix(PATH).unwrap().trim_start_matches('/').to_owned();
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        let held = self.leases.get(&named);
        if asked.method != Method::GET && self.forbids.is_some_and(|forbids| forbids(&asked.body, held)) {
            self.forbidden += 1;
            return problem(403);
        }
        match (&asked.method, held) {
            (&Method::GET, Some(lease)) => Reply::Json(200, lease.clone()),
            (&Method::POST, None) => {
                let name = asked.body["metadata"]["name"].as_str().unwrap().to_owned();
                match self.leases.contains_key(&name) {
                    true => problem(409),
                    false => Reply::Json(201, self.keep(name, &asked.body)),
                }
            }
            (&Method::PUT, Some(lease)) if version(lease) == version(&asked.body) => {
                Reply::Json(200, self.keep(named, &asked.body))
            }
            (&Method::PUT, Some(_)) => problem(409),
            _ => problem(404),
        }
    }

    fn keep(&mut self, name: String, lease: &Value) -> Value {
        self.version += 1;
        let mut lease = lease.clone();
        lease["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.leases.insert(name, lease.clone());
        lease
    }
}

/// Holds one replica's signs at work.
struct Signer {
    errand: watch::Sender<Errand>,
    words: mpsc::Receiver<Word>,
    index: IndexHandle,
    counts: Arc<WriteCounts>,
    _end: Trigger,
}

fn server() -> (Arc<Mutex<Kept>>, Client, Log) {
    let kept = Arc::<Mutex<Kept>>::default();
    let answering = kept.clone();
    let (client, log) = scripted(move |asked| answering.lock().unwrap().answer(asked));
    (kept, client, log)
}

/// The same API server, which takes so long for each call.
fn slow(client: Client, takes: Duration) -> Client {
    let service = tower::service_fn(move |request| {
        let client = client.clone();
        async move {
            sleep(takes).await;
            client.send(request).await
        }
    });
    Client::new(service, "default")
}

fn missed(replica: &str, epoch: &str) -> Missed {
    Missed { replica: replica.into(), epoch: epoch.into() }
}

fn errand(gives: bool, reads: Vec<Missed>, pod: Option<&str>) -> Errand {
    Errand { lookout: Lookout { gives, reads }, pod: pod.map(PodUid::from) }
}

impl Signer {
    fn start(client: Client, replica: &str, epoch: &str) -> Self {
        let (owner, index) = owner(Index::default(), Metrics::new());
        let (end, ear) = shutdown();
        tokio::spawn(owner.run(ear));
        let settings = Settings {
            namespace: "rollcall-system".to_owned(),
            lease_name: "rollcall-controller".to_owned(),
            replica: replica.to_owned(),
            epoch: epoch.into(),
        };
        let (errand, errands) = watch::channel(Errand::default());
        let (told, words) = mpsc::channel(1_000);
        let counts = Arc::<WriteCounts>::default();
        tokio::spawn(run(client, settings, index.clone(), counts.clone(), errands, told));
        Self { errand, words, index, counts, _end: end }
    }

    async fn sign(&mut self) -> (Arc<str>, Answer) {
        loop {
            let word = timeout(Duration::from_secs(60), self.words.recv()).await.unwrap().unwrap();
            if let Word::Sign { epoch, answer, asked_ms } = word {
                assert!(asked_ms <= self.index.now_ms());
                return (epoch, answer);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_or_read_while_nobody_is_missed() {
    let (_, client, log) = server();
    let signer = Signer::start(client, "a", "a1");
    sleep(Duration::from_secs(600)).await;
    assert!(log.all().is_empty());
    signer.errand.send_replace(errand(true, vec![], Some("uid-a")));
    sleep(Duration::from_secs(10)).await;
    signer.errand.send_replace(Errand::default());
    let asked = log.all().len();
    assert!((10..=13).contains(&asked), "a look, and a write each second: {asked}");
    assert!((10..=11).contains(&signer.counts.of(WriteKind::Sign)), "all writes are counted");
    sleep(Duration::from_secs(600)).await;
    assert!(log.all().len() <= asked + 1);
}

#[tokio::test(start_paused = true)]
async fn two_that_miss_each_other_see_each_others_signs_move() {
    let (kept, client, _) = server();
    let (one, mut two) = (Signer::start(client.clone(), "a", "a1"), Signer::start(client, "b", "b1"));
    two.errand.send_replace(errand(false, vec![missed("a", "a1")], None));
    assert_eq!(two.sign().await, ("a1".into(), Answer::NoSign));
    one.errand.send_replace(errand(true, vec![missed("b", "b1")], Some("uid-a")));
    let mut versions = std::collections::BTreeSet::new();
    while versions.len() < 5 {
        if let (_, Answer::Sign { version }) = two.sign().await {
            versions.insert(version);
        }
    }
    let sign = kept.lock().unwrap().leases["rollcall-controller-a"].clone();
    assert_eq!(sign["spec"]["holderIdentity"], "a1");
    let owners = json!([{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "uid-a"}]);
    assert_eq!(sign["metadata"]["ownerReferences"], owners, "it goes with its pod, and does not hold it");
    two.errand.send_replace(errand(false, vec![missed("a", "a2")], None));
    while two.sign().await.0 != "a2".into() {}
    assert_eq!(two.sign().await, ("a2".into(), Answer::NoSign), "it is another process's");
}

#[tokio::test(start_paused = true)]
async fn each_sign_is_looked_at_once_a_round_however_many_processes_are_missed() {
    let (_, client, log) = server();
    let mut signer = Signer::start(client, "b", "b1");
    let epochs: Vec<_> = (0..20).map(|number| format!("a{number:02}")).collect();
    let missed = epochs.iter().map(|epoch| missed("a", epoch)).collect();
    signer.errand.send_replace(errand(false, missed, None));
    let mut said = Vec::new();
    for _ in 0..20 {
        said.push(signer.sign().await.0.to_string());
    }
    assert_eq!((said, log.all().len()), (epochs, 1));
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_an_earlier_process_is_taken_over() {
    let (kept, client, _) = server();
    let old = json!({"metadata": {"name": "rollcall-controller-a"}, "spec": {"holderIdentity": "a0"}});
    kept.lock().unwrap().keep("rollcall-controller-a".to_owned(), &old);
    let signer = Signer::start(client, "a", "a1");
    signer.errand.send_replace(errand(true, vec![], None));
    let holder = || kept.lock().unwrap().leases["rollcall-controller-a"]["spec"]["holderIdentity"].clone();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(holder(), "a1");
    // Somebody wrote between two of ours.
    kept.lock().unwrap().keep("rollcall-controller-a".to_owned(), &old);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(holder(), "a1");
}

fn owner_of(sign: &Value) -> &Value {
    &sign["metadata"]["ownerReferences"][0]["uid"]
}

fn owners_of(sign: &Value) -> Option<&Vec<Value>> {
    sign["metadata"]["ownerReferences"].as_array()
}

/// `OwnerReferencesPermissionEnforcement`, for who must not delete the object.
fn changes_owners(wanted: &Value, held: Option<&Value>) -> bool {
    held.is_some_and(|held| owners_of(held) != owners_of(wanted))
}

fn has_owners(wanted: &Value, _: Option<&Value>) -> bool {
    owners_of(wanted).is_some()
}

#[tokio::test(start_paused = true)]
async fn a_sign_is_given_without_the_owner_that_it_must_not_have() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "uid-old"});
    let theirs = json!({"metadata": {"name": "rollcall-controller-a", "ownerReferences": [pod]}});
    let nobodys = json!({"metadata": {"name": "rollcall-controller-a"}});
    for (forbids, stands, owner, forbidden) in [
        (changes_owners as Forbids, None, json!("uid-a"), 0),
        (changes_owners, Some(&nobodys), Value::Null, 1),
        (changes_owners, Some(&theirs), json!("uid-old"), 1),
        (has_owners, None, Value::Null, 1),
        (has_owners, Some(&nobodys), Value::Null, 1),
    ] {
        let (kept, client, _) = server();
        let name = "rollcall-controller-a".to_owned();
        if let Some(stands) = stands {
            kept.lock().unwrap().keep(name.clone(), stands);
        }
        kept.lock().unwrap().forbids = Some(forbids);
        let signer = Signer::start(client, "a", "a1");
        signer.errand.send_replace(errand(true, vec![], Some("uid-a")));
        sleep(Duration::from_secs(30)).await;
        let kept = kept.lock().unwrap();
        assert_eq!((owner_of(&kept.leases[&name]), kept.forbidden), (&owner, forbidden), "{stands:?}");
        assert_eq!(kept.leases[&name]["spec"]["holderIdentity"], "a1");
        assert!(kept.version >= 30, "it moves each second: {}", kept.version);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_gets_its_owner_once_that_is_known_and_keeps_it() {
    let (kept, client, _) = server();
    let signer = Signer::start(client, "a", "a1");
    let owner = || owner_of(&kept.lock().unwrap().leases["rollcall-controller-a"]).clone();
    for (pod, expected) in [(None, Value::Null), (Some("uid-a"), json!("uid-a")), (None, json!("uid-a"))] {
        signer.errand.send_replace(errand(true, vec![], pod));
        sleep(Duration::from_secs(3)).await;
        assert_eq!(owner(), expected);
    }
    // Kubernetes has removed it, as the pod of an earlier process of ours is gone; and it is made anew, with its owner.
    kept.lock().unwrap().forbids = Some(changes_owners);
    signer.errand.send_replace(errand(true, vec![], Some("uid-b")));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(owner(), "uid-a");
    kept.lock().unwrap().leases.clear();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(owner(), "uid-b");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_proves_nothing_and_is_asked_ever_more_rarely() {
    for (failing, answers) in [(Reply::Hang, false), (problem(503), false), (problem(403), true)] {
        let (kept, client, log) = server();
        kept.lock().unwrap().failing = Some(failing);
        let mut signer = Signer::start(client, "a", "a1");
        signer.errand.send_replace(errand(true, vec![missed("b", "b1")], None));
        sleep(Duration::from_secs(60)).await;
        let mut words = Vec::new();
        while let Ok(word) = signer.words.try_recv() {
            words.push(word);
        }
        assert_eq!(!words.is_empty(), answers);
        assert!(words.iter().all(|word| *word == Word::Answered), "nothing is said of b1");
        if !answers {
            let asked = log.all().len();
            assert!((24..=80).contains(&asked), "two calls a round, and pauses of up to 4 s: {asked}");
        }
        kept.lock().unwrap().failing = None;
        signer.sign().await;
    }
}

/// Of a sign that nobody has written yet it is asked first whether it is there.
#[tokio::test(start_paused = true)]
async fn a_sign_is_given_where_two_calls_take_longer_than_one_may() {
    let (kept, client, _) = server();
    let signer = Signer::start(slow(client, Duration::from_millis(1_500)), "a", "a1");
    signer.errand.send_replace(errand(true, vec![missed("b", "b1")], Some("uid-a")));
    sleep(Duration::from_secs(30)).await;
    let given = kept.lock().unwrap().version;
    assert!((17..=20).contains(&given), "one each 1.5 s: {given}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answered_in_an_earlier_need_delays_nothing_in_this_one() {
    let (kept, client, log) = server();
    kept.lock().unwrap().failing = Some(Reply::Hang);
    let signer = Signer::start(client, "a", "a1");
    let need = errand(false, vec![missed("b", "b1")], None);
    signer.errand.send_replace(need.clone());
    sleep(Duration::from_secs(60)).await;
    // As many as leave nothing to the jitter.
    for _ in 0..10 {
        signer.errand.send_replace(Errand::default());
        sleep(Duration::from_secs(10)).await;
        let before = log.all().len();
        signer.errand.send_replace(need.clone());
        sleep(CALL_MAX + Duration::from_millis(100)).await;
        assert_eq!(log.all().len() - before, 2, "a second round follows the first");
    }
}
