//! Holds the catalogue against what kubectl's watches tell, all the time: nobody is served whose pod is gone for more
//! than a second, and nobody who serves is missing for more than a second.

use crate::catalogue::Catalogue;
use crate::model::World;
use anyhow::{Context, Result, bail, ensure};
use rollcall_cluster::Kubectl;
use rollcall_cluster::companion::Companion;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::io::BufReader;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the catalogue may lag behind Kubernetes.
const LAG_MAX: Duration = Duration::from_secs(1);
/// A dump is read so often; each is small beside the pause.
const READ_EVERY: Duration = Duration::from_millis(100);
/// What changed meanwhile is taken together.
const GATHER: Duration = Duration::from_millis(20);
/// By then kubectl's watches have told what there was before them.
const BEGIN_MAX: Duration = Duration::from_secs(60);
/// More says nothing more.
const TOLD_MAX: usize = 5;
/// An API server ends a watch after its time, and one that reads too slowly at once: of a watch that goes on ending, nothing
/// is to be learned.
const ENDS_MAX: u32 = 20;

/// An observation under way.
#[derive(Debug)]
pub struct Observer {
    stop: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
    watching: Option<JoinHandle<Result<Seen>>>,
}

/// Holds what was seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub dumps: usize,
    pub events: usize,
    /// Instances that came into service or left it.
    pub turns: usize,
    /// Watches that ended, and went on.
    pub ends: usize,
}

type Read = Box<dyn Fn() -> Result<Catalogue> + Send>;

/// Whether each instance was to be served, from when on.
#[derive(Debug, Default)]
struct History(BTreeMap<(String, String), Vec<(Instant, bool)>>);

/// A catalogue, and between which moments it was read.
struct Dump {
    begin: Instant,
    end: Instant,
    catalogue: Catalogue,
}

impl Observer {
    /// Begins with what there is in these namespaces; `read` gives the controller's catalogue of the same.
    pub fn start(
        kubectl: &Kubectl,
        namespaces: &[String],
        read: impl Fn() -> Result<Catalogue> + Send + 'static,
    ) -> Result<Self> {
        let (sender, events) = mpsc::channel();
        let mut watches = Vec::new();
        for namespace in namespaces {
            for kind in ["pods", "serviceregistrations", "services", "endpointslices"] {
                watches.push(Watch::start(kubectl, namespace, kind, watches.len(), &sender)?);
            }
        }
        let mut world = World::default();
        for namespace in namespaces {
            world.see(&kubectl.json(&["get", "namespace", namespace])?);
        }
        let (stop, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let told = (stop.clone(), cut.clone());
        let seen = Seen::default();
        let mut watching = Watching { world, watches, sender, events, read: Box::new(read), seen };
        let (history, watching) = (watching.begin()?, watching);
        let watching = thread::spawn(move || watching.run(history, &told.0, &told.1));
        Ok(Self { stop, cut, watching: Some(watching) })
    }

    /// Ends all its watches once, as an API server does now and then: they go on where they ended.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    /// Ends it; an error says who was served or missing for too long.
    pub fn end(mut self) -> Result<Seen> {
        self.stop.store(true, Ordering::Release);
        let watching = self.watching.take().context("ended twice")?;
        watching.join().unwrap_or_else(|_| bail!("the observer panicked"))
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // A test that failed before its end has its own error.
        self.stop.store(true, Ordering::Release);
    }
}

/// One kind of one namespace, as `kubectl get --raw` passes on what the API server tells.
#[derive(Debug)]
struct Watch {
    kubectl: Kubectl,
    path: String,
    /// Its place among all.
    place: usize,
    process: Companion,
    /// Newest that was told: from there the next one goes on, so that nothing is missed between the two.
    revision: Option<u64>,
    ends: u32,
}

/// What a watch tells, and which.
struct Told {
    place: usize,
    what: Event,
}

/// One thing that a watch tells.
enum Event {
    /// Of an object, as the API server says it.
    Object(Value),
    /// It is over, and perhaps why.
    Ended(Option<serde_json::Error>),
}

// === impl Watch ===

impl Watch {
    fn start(
        kubectl: &Kubectl,
        namespace: &str,
        kind: &str,
        place: usize,
        sender: &Sender<Told>,
    ) -> Result<Self> {
        let group = match kind {
            "serviceregistrations" => "apis/rollcall.dev/v1alpha1",
            "endpointslices" => "apis/discovery.k8s.io/v1",
            _ => "api/v1",
        };
        let path = format!("/{group}/namespaces/{namespace}/{kind}?watch=true");
        let process = begin(kubectl, &path, place, sender)?;
        Ok(Self { kubectl: kubectl.clone(), path, place, process, revision: None, ends: 0 })
    }

    /// Goes on where it ended.
    fn go_on(&mut self, why: Option<&serde_json::Error>, sender: &Sender<Told>) -> Result<()> {
        self.ends += 1;
        let how = self.process.ended();
        ensure!(self.ends <= ENDS_MAX, "{} ended for the {}th time: {how:?}, {why:?}", self.path, self.ends);
        let path = match self.revision {
            Some(revision) => format!("{}&resourceVersion={revision}", self.path),
            // It told of nothing, and so nothing is known that may be gone by now.
            None => self.path.clone(),
        };
        self.process = begin(&self.kubectl, &path, self.place, sender)?;
        Ok(())
    }

    fn told(&mut self, object: &Value) {
        let revision = object["metadata"]["resourceVersion"].as_str();
        // What there was at the beginning comes in no order.
        self.revision = self.revision.max(revision.and_then(|revision| revision.parse().ok()));
    }
}

fn begin(kubectl: &Kubectl, path: &str, place: usize, sender: &Sender<Told>) -> Result<Companion> {
    let (kubeconfig, path) = (kubectl.kubeconfig.clone(), path.to_owned());
    let mut process = Companion::start("starting kubectl get --raw", &kubectl.program, move |kubectl| {
        kubectl.env("KUBECONFIG", kubeconfig).args(["get", "--raw", &path]);
        kubectl.stdin(Stdio::null()).stdout(Stdio::piped());
    })?;
    let output = BufReader::new(process.take_stdout().context("no output")?);
    let sender = sender.clone();
    thread::spawn(move || {
        let mut why = None;
        for event in serde_json::Deserializer::from_reader(output).into_iter::<Value>() {
            let event = match event {
                Ok(event) => Event::Object(event),
                Err(error) => {
                    why = Some(error);
                    break;
                }
            };
            if sender.send(Told { place, what: event }).is_err() {
                return;
            }
        }
        // Nobody reads any more where the observer ended it.
        let _ = sender.send(Told { place, what: Event::Ended(why) });
    });
    Ok(process)
}

struct Watching {
    world: World,
    watches: Vec<Watch>,
    sender: Sender<Told>,
    events: Receiver<Told>,
    read: Read,
    seen: Seen,
}

impl Watching {
    /// Waits until kubectl's watches have told what there is, which is when it is what the catalogue has.
    fn begin(&mut self) -> Result<History> {
        let begin = Instant::now();
        loop {
            self.gather()?;
            let (expected, mut history) = (self.world.catalogue(), History::default());
            let is = self.world.judged((self.read)()?);
            let Some(difference) = is.difference(&expected) else {
                history.add(Instant::now(), &expected);
                return Ok(history);
            };
            ensure!(begin.elapsed() < BEGIN_MAX, "nothing to begin with: {difference}");
        }
    }

    fn run(mut self, mut history: History, stop: &AtomicBool, cut: &AtomicBool) -> Result<Seen> {
        let mut dumps = VecDeque::new();
        let (mut wrong, mut next_read) = (Vec::new(), Instant::now());
        let mut stopping: Option<Instant> = None;
        loop {
            if cut.swap(false, Ordering::AcqRel) {
                self.watches.iter_mut().for_each(|watch| watch.process.kill());
            }
            if self.gather()? {
                self.seen.turns += history.add(Instant::now(), &self.world.catalogue());
            }
            let now = Instant::now();
            if stopping.is_none() && stop.load(Ordering::Acquire) {
                stopping = Some(now);
            }
            if stopping.is_none() && now >= next_read {
                let catalogue = (self.read)()?;
                dumps.push_back(Dump { begin: now, end: Instant::now(), catalogue });
                self.seen.dumps += 1;
                next_read = Instant::now() + READ_EVERY;
            }
            // Only once it is known what came to be right behind it.
            while dumps.front().is_some_and(|dump: &Dump| dump.end + LAG_MAX + GATHER * 2 < Instant::now()) {
                wrong.extend(dumps.pop_front().into_iter().flat_map(|dump| history.judge(&dump)));
            }
            if wrong.len() >= TOLD_MAX || (stopping.is_some() && dumps.is_empty()) {
                break;
            }
        }
        wrong.truncate(TOLD_MAX);
        ensure!(wrong.is_empty(), "for more than {LAG_MAX:?}:\n{}", wrong.join("\n"));
        ensure!(self.seen.dumps > 0, "nothing was observed");
        Ok(self.seen)
    }

    /// Takes the events of a moment; says whether there were any.
    fn gather(&mut self) -> Result<bool> {
        let end = Instant::now() + GATHER;
        let mut any = false;
        while let Ok(event) = self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            let watch = self.watches.get_mut(event.place).context("nobody's watch")?;
            let (kind, object) = match &event.what {
                Event::Object(event) => (event["type"].as_str().unwrap_or_default(), &event["object"]),
                Event::Ended(why) => {
                    watch.go_on(why.as_ref(), &self.sender)?;
                    self.seen.ends += 1;
                    continue;
                }
            };
            any = true;
            self.seen.events += 1;
            match kind {
                "ADDED" | "MODIFIED" => self.world.see(object),
                "DELETED" => self.world.lose(object),
                other => bail!("{}: {other}: {object}", watch.path),
            }
            watch.told(object);
        }
        Ok(any)
    }
}

impl History {
    /// Gives how many turned.
    fn add(&mut self, now: Instant, expected: &Catalogue) -> usize {
        let mut serving = BTreeMap::new();
        for (service, entries) in &expected.0 {
            for (id, entry) in entries.iter().filter(|(_, entry)| entry.serves()) {
                serving.insert((service.clone(), id.clone()), entry);
            }
        }
        let mut turns = 0;
        for (key, turned) in &mut self.0 {
            let serves = serving.remove(key).is_some();
            if turned.last().is_some_and(|(_, before)| *before != serves) {
                turned.push((now, serves));
                turns += 1;
            }
        }
        turns += serving.len();
        self.0.extend(serving.into_keys().map(|key| (key, vec![(now, true)])));
        turns
    }

    fn judge(&self, dump: &Dump) -> Vec<String> {
        let (from, to) = (dump.begin.checked_sub(LAG_MAX), dump.end + LAG_MAX);
        let mut wrong = Vec::new();
        for (service, entries) in &dump.catalogue.0 {
            for (id, entry) in entries.iter().filter(|(_, entry)| entry.serves()) {
                let turned = self.0.get(&(service.clone(), id.clone()));
                if !turned.is_some_and(|turned| in_span(turned, from, to).any(|serves| serves)) {
                    wrong.push(format!("served, and should not be: {service} {id} {entry:?}"));
                }
            }
        }
        for ((service, id), turned) in &self.0 {
            let known_before = from.is_some_and(|from| turned.first().is_some_and(|(at, _)| *at <= from));
            let entry = dump.catalogue.0.get(service).and_then(|entries| entries.get(id));
            if known_before
                && in_span(turned, from, to).all(|serves| serves)
                && !entry.is_some_and(crate::catalogue::Entry::serves)
            {
                wrong.push(format!("not served, and should be: {service} {id} {entry:?}"));
            }
        }
        wrong
    }
}

/// What it was to be from the one moment to the other.
fn in_span(
    turned: &[(Instant, bool)],
    from: Option<Instant>,
    to: Instant,
) -> impl Iterator<Item = bool> + '_ {
    let ends = turned.iter().skip(1).map(|(at, _)| Some(*at)).chain([None]);
    turned
        .iter()
        .zip(ends)
        .filter(move |((at, _), end)| *at <= to && end.is_none_or(|end| from.is_none_or(|from| end >= from)))
        .map(|((_, serves), _)| *serves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Entry;

    fn catalogue(serves: bool) -> Catalogue {
        let state = if serves { "Serving" } else { "Starting" }.to_owned();
        let entry = Entry {
            addresses: Default::default(),
            ports: Default::default(),
            pod: None,
            version: None,
            state,
        };
        Catalogue([("a.b".to_owned(), [("1".to_owned(), entry)].into())].into())
    }

    /// What is judged of a dump that was read so long after an instance turned, which it was not told of.
    fn wrong(serves: bool, after: Duration) -> usize {
        let begin = Instant::now() + Duration::from_secs(60);
        let mut history = History::default();
        history.add(begin - Duration::from_secs(30), &catalogue(serves));
        history.add(begin, &catalogue(!serves));
        let at = begin + after;
        history.judge(&Dump { begin: at, end: at, catalogue: catalogue(serves) }).len()
    }

    #[test]
    fn who_is_late_by_more_than_the_lag_is_told() {
        for serves in [true, false] {
            assert_eq!(wrong(serves, LAG_MAX / 2), 0, "{serves}");
            assert_eq!(wrong(serves, LAG_MAX * 2), 1, "{serves}");
        }
    }

    #[test]
    fn who_turned_meanwhile_is_not() {
        let begin = Instant::now() + Duration::from_secs(60);
        let mut history = History::default();
        for (serves, at) in [(true, 0), (false, 10_000), (true, 10_500)] {
            history.add(begin + Duration::from_millis(at), &catalogue(serves));
        }
        let at = begin + Duration::from_millis(10_200);
        for serves in [true, false] {
            assert_eq!(history.judge(&Dump { begin: at, end: at, catalogue: catalogue(serves) }), [""; 0]);
        }
        let at = begin + Duration::from_millis(20_000);
        assert_eq!(history.judge(&Dump { begin: at, end: at, catalogue: catalogue(false) }).len(), 1);
    }
}
