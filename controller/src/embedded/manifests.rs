//! What the files of the folder say, taken together. A value: what a look has found comes in, what the index is to be told goes
//! out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rollcall_catalogue::{Namespace, Reach, Registration, Target};
use rollcall_crds::{Problem, What, manifests};
use rollcall_net::Found;

use crate::index::{Change, Key, Object, ObjectKey, StatusDigest};

/// Problems and remarks of one file that are told: one with more is not mended in one go anyway.
const TOLD_MAX: usize = 16;

/// What each file came to, by its name.
pub type Shelf = BTreeMap<String, FileState>;

/// Holds what one file came to, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileState {
    /// The services that it registers, as `orders.default`.
    pub services: BTreeSet<String>,
    /// What is wrong with it; what it said before stays where something is.
    pub problems: Vec<Problem>,
    /// What is right, and of no use here.
    pub remarks: Vec<Problem>,
}

/// Holds what the files say.
#[derive(Debug)]
pub(super) struct Manifests {
    home: Namespace,
    files: BTreeMap<String, File>,
    /// What the index was told.
    told: BTreeMap<ObjectKey, Arc<Registration>>,
    /// What the last look did not find any more. An editor empties a file before it writes it: only what two looks in a row do not
    /// find is gone.
    missing: BTreeSet<ObjectKey>,
    /// What the index says of the objects that it was told, where that is anything bad.
    judged: BTreeMap<ObjectKey, Vec<String>>,
}

#[derive(Debug, Default)]
struct File {
    good: BTreeMap<ObjectKey, Good>,
    problems: Vec<Problem>,
    remarks: Vec<Problem>,
}

#[derive(Debug, Clone)]
struct Good {
    line: usize,
    registration: Arc<Registration>,
}

// === impl Manifests ===

impl Manifests {
    /// `home` is the namespace of whatever names none.
    pub(super) fn new(home: Namespace) -> Self {
        Self {
            home,
            files: BTreeMap::new(),
            told: BTreeMap::new(),
            missing: BTreeSet::new(),
            judged: BTreeMap::new(),
        }
    }

    /// Takes a look in; gives what the index is to be told.
    pub(super) fn take(&mut self, found: BTreeMap<String, Found>) -> Vec<Change> {
        self.files.retain(|name, _| found.contains_key(name));
        for (name, found) in found {
            match found {
                Found::Same => {}
                Found::Text(text) => {
                    let before = self.files.remove(&name).unwrap_or_default();
                    self.files.insert(name, File::read(&text, &self.home, before));
                }
                Found::Unreadable(why) => {
                    let file = self.files.entry(name).or_default();
                    file.problems = vec![Problem { line: 1, sentence: why }];
                }
            }
        }
        self.tell()
    }

    /// What the index says of one object; nothing where it is content.
    pub(super) fn judge(&mut self, object: ObjectKey, says: Vec<String>) {
        match says.is_empty() {
            true => drop(self.judged.remove(&object)),
            false => drop(self.judged.insert(object, says)),
        }
    }

    /// What each file came to.
    pub(super) fn shelf(&self) -> Shelf {
        let mut first: BTreeMap<&ObjectKey, &str> = BTreeMap::new();
        let mut shelf = Shelf::new();
        for (name, file) in &self.files {
            let mut state = FileState {
                problems: file.problems.clone(),
                remarks: file.remarks.clone(),
                ..FileState::default()
            };
            for (key, good) in &file.good {
                if let Some(other) = first.get(key) {
                    let sentence =
                        format!("`{}` is in {other} already, which counts; remove one of the two", key.name);
                    state.problems.push(Problem { line: good.line, sentence });
                    continue;
                }
                first.insert(key, name);
                state.services.insert(good.registration.key.to_string());
                let judged = self.judged.get(key).into_iter().flatten();
                state
                    .problems
                    .extend(judged.map(|sentence| Problem { line: good.line, sentence: sentence.clone() }));
            }
            state.problems.sort();
            bounded(&mut state.problems);
            bounded(&mut state.remarks);
            shelf.insert(name.clone(), state);
        }
        shelf
    }

    /// What the index is to be told for what the files say now. Of two files that name the same object the first counts.
    fn tell(&mut self) -> Vec<Change> {
        let mut wanted: BTreeMap<ObjectKey, Arc<Registration>> = BTreeMap::new();
        for (key, good) in self.files.values().flat_map(|file| &file.good) {
            wanted.entry(key.clone()).or_insert_with(|| good.registration.clone());
        }
        let missing = self.told.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        let missed = std::mem::replace(&mut self.missing, missing);
        let (gone, spared): (Vec<_>, Vec<_>) = self.missing.iter().partition(|key| missed.contains(*key));
        let mut changes: Vec<_> =
            gone.into_iter().map(|key| Change::Gone(Key::Registration(key.clone()))).collect();
        let news = wanted.iter().filter(|(key, one)| self.told.get(*key) != Some(*one));
        changes.extend(news.map(|(key, one)| Change::Registration(key.clone(), Box::new(object(key, one)))));
        let spared = spared.into_iter().filter_map(|key| Some((key.clone(), self.told.get(key)?.clone())));
        wanted.extend(spared.collect::<Vec<_>>());
        self.judged.retain(|key, _| wanted.contains_key(key));
        self.missing.retain(|key| wanted.contains_key(key));
        self.told = wanted;
        changes
    }
}

fn object(key: &ObjectKey, registration: &Arc<Registration>) -> Object {
    Object {
        uid: format!("file-{}-{}", key.namespace, key.name).into(),
        generation: 1,
        managed: false,
        told: StatusDigest::default(),
        registration: Ok(registration.clone()),
        app: None,
    }
}

// === impl File ===

impl File {
    /// Reads it; what is bad now and was good before stays as it was.
    fn read(text: &str, home: &Namespace, mut before: Self) -> Self {
        let mut file = Self::default();
        let mut nameless = false;
        for read in manifests(text, home, Reach::Machine) {
            let line = read.line;
            match read.what {
                What::Registration { name, registration } => {
                    let key = ObjectKey { namespace: registration.key.namespace.clone(), name: name.into() };
                    if let Some(sentence) = remark(&registration.target) {
                        file.remarks.push(Problem { line, sentence });
                    }
                    let good = Good { line, registration: Arc::new(*registration) };
                    if file.good.insert(key.clone(), good).is_some() {
                        let sentence = format!("`{}` is in this file twice, and the last counts", key.name);
                        file.problems.push(Problem { line, sentence });
                    }
                }
                What::Bad { named, problems } => {
                    file.problems.extend(problems);
                    match named.map(|(namespace, name)| ObjectKey { namespace, name: name.into() }) {
                        Some(key) => file.good.extend(before.good.remove_entry(&key)),
                        None => nameless = true,
                    }
                }
                What::Other { kind } => {
                    let sentence = format!("a {kind} is for a cluster, and not read here");
                    file.remarks.push(Problem { line, sentence });
                }
            }
        }
        if nameless {
            // Nobody knows which of them it was.
            let known: Vec<_> =
                before.good.into_iter().filter(|(key, _)| !file.good.contains_key(key)).collect();
            file.good.extend(known);
        }
        file
    }
}

/// The first of them, and how many more there are.
fn bounded(told: &mut Vec<Problem>) {
    let more = told.len().saturating_sub(TOLD_MAX);
    if let (true, Some(first)) = (more > 0, told.get(TOLD_MAX)) {
        let line = first.line;
        told.truncate(TOLD_MAX);
        told.push(Problem { line, sentence: format!("and {more} more like these") });
    }
}

/// What of a target means nothing where there are no pods.
fn remark(target: &Target) -> Option<String> {
    let means = match target {
        Target::Selector(_) => "target.selector means pods",
        Target::Service(_) => "target.service means a Service of Kubernetes",
        Target::Pod { .. } => "target.pod means a pod",
        Target::Addresses(_) | Target::Own => return None,
    };
    Some(format!(
        "{means}, and there is none here: it counts for what apps register themselves, or use target.addresses, as [{{address: 127.0.0.1}}]"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, address: &str) -> String {
        format!(
            "apiVersion: rollcall.dev/v1alpha1\nkind: ServiceRegistration\nmetadata: {{name: {name}}}\nspec:\n  target: {{addresses: [{{address: {address}}}]}}\n  ports: [{{name: http, port: 8080}}]\n---\n"
        )
    }

    fn text(text: &str) -> Found {
        Found::Text(text.to_owned())
    }

    fn look<const N: usize>(files: [(&str, Found); N]) -> BTreeMap<String, Found> {
        files.map(|(name, found)| (name.to_owned(), found)).into()
    }

    /// What the index is told, in words.
    fn words(changes: &[Change]) -> Vec<String> {
        let word = |change: &Change| match change {
            Change::Gone(Key::Registration(key)) => format!("-{}", key.name),
            Change::Registration(key, object) => {
                let registration = object.registration.as_ref().unwrap();
                let Target::Addresses(addresses) = &registration.target else {
                    return format!("+{}", key.name);
                };
                format!("+{} {}", key.name, addresses[0].address)
            }
            other => panic!("{other:?}"),
        };
        changes.iter().map(word).collect()
    }

    fn lines(shelf: &Shelf, file: &str) -> Vec<usize> {
        shelf[file].problems.iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn files_come_change_and_go() {
        let mut all = Manifests::new("default".parse().unwrap());
        let both = manifest("orders", "127.0.0.1") + &manifest("billing", "127.0.0.2");
        let told = all.take(look([("a.yaml", text(&both))]));
        assert_eq!(words(&told), ["+billing 127.0.0.2", "+orders 127.0.0.1"]);
        assert!(all.take(look([("a.yaml", Found::Same)])).is_empty());
        let one = manifest("orders", "127.0.0.3");
        assert_eq!(words(&all.take(look([("a.yaml", text(&one))]))), ["+orders 127.0.0.3"]);
        assert_eq!(words(&all.take(look([("a.yaml", Found::Same)]))), ["-billing"]);
        assert_eq!(all.shelf()["a.yaml"].services, ["orders.default".to_owned()].into());
        assert!(all.take(look([])).is_empty());
        assert_eq!(words(&all.take(look([]))), ["-orders"]);
        assert!(all.take(look([])).is_empty() && all.shelf().is_empty());
    }

    #[test]
    fn a_file_that_is_being_saved_takes_nothing_out() {
        let mut all = Manifests::new("default".parse().unwrap());
        let both = manifest("orders", "127.0.0.1") + &manifest("billing", "127.0.0.2");
        all.take(look([("a.yaml", text(&both))]));
        for half in ["", &manifest("orders", "127.0.0.1")] {
            assert!(all.take(look([("a.yaml", text(half))])).is_empty());
            assert!(all.take(look([("a.yaml", text(&both))])).is_empty());
        }
        // By another editor: away, and back.
        assert!(all.take(look([])).is_empty());
        assert!(all.take(look([("a.yaml", text(&both))])).is_empty());
    }

    #[test]
    fn of_a_file_with_thousands_of_problems_a_few_are_told() {
        let mut all = Manifests::new("default".parse().unwrap());
        all.take(look([("a.yaml", text(&"a: 1\n---\n".repeat(900)))]));
        let shelf = all.shelf();
        assert_eq!(shelf["a.yaml"].problems.len(), TOLD_MAX + 1);
        assert!(
            shelf["a.yaml"].problems.iter().any(|problem| problem.sentence.contains("884 more")),
            "{shelf:?}"
        );
    }

    #[test]
    fn what_is_bad_now_stays_as_it_was_and_the_good_go_on() {
        let mut all = Manifests::new("default".parse().unwrap());
        let both = manifest("orders", "127.0.0.1") + &manifest("billing", "127.0.0.2");
        all.take(look([("a.yaml", text(&both))]));
        // One of the two is bad, and says which it is.
        let bad = manifest("orders", "169.254.169.254") + &manifest("billing", "127.0.0.4");
        assert_eq!(words(&all.take(look([("a.yaml", text(&bad))]))), ["+billing 127.0.0.4"]);
        assert_eq!(lines(&all.shelf(), "a.yaml"), [5]);
        // One is broken, and nobody knows which.
        let broken = manifest("billing", "127.0.0.5") + "a: [\n";
        assert_eq!(words(&all.take(look([("a.yaml", text(&broken))]))), ["+billing 127.0.0.5"]);
        // It cannot be read at all.
        assert!(all.take(look([("a.yaml", Found::Unreadable("it is no file".to_owned()))])).is_empty());
        assert_eq!(all.shelf()["a.yaml"].problems[0].sentence, "it is no file");
        // It is well again, and one of the two is not in it any more.
        assert!(all.take(look([("a.yaml", text(&manifest("billing", "127.0.0.5")))])).is_empty());
        assert_eq!(words(&all.take(look([("a.yaml", Found::Same)]))), ["-orders"]);
        assert!(all.shelf()["a.yaml"].problems.is_empty());
    }

    #[test]
    fn of_two_files_with_one_object_the_first_counts_and_the_other_is_told() {
        let mut all = Manifests::new("default".parse().unwrap());
        let one = |address| text(&manifest("orders", address));
        let told = all.take(look([("b.yaml", one("127.0.0.2")), ("a.yaml", one("127.0.0.1"))]));
        assert_eq!(words(&told), ["+orders 127.0.0.1"]);
        let shelf = all.shelf();
        assert_eq!((lines(&shelf, "a.yaml"), lines(&shelf, "b.yaml")), (vec![], vec![1]));
        assert!(shelf["b.yaml"].problems[0].sentence.contains("a.yaml already"));
        assert_eq!(words(&all.take(look([("b.yaml", Found::Same)]))), ["+orders 127.0.0.2"]);
    }

    #[test]
    fn what_means_nothing_here_is_said() {
        let mut all = Manifests::new("default".parse().unwrap());
        let selector = manifest("orders", "x")
            .replace("{addresses: [{address: x}]}", "{selector: {matchLabels: {app: a}}}");
        let told =
            all.take(look([("a.yaml", text(&(selector + "kind: Deployment\napiVersion: apps/v1\n")))]));
        assert_eq!(words(&told), ["+orders"]);
        let remarks: Vec<_> = all.shelf()["a.yaml"].remarks.iter().map(ToString::to_string).collect();
        assert!(
            remarks[0].starts_with("1: target.selector") && remarks[1].starts_with("8: a Deployment"),
            "{remarks:?}"
        );
    }

    #[test]
    fn what_the_index_says_is_said_of_its_file_until_it_is_content() {
        let mut all = Manifests::new("default".parse().unwrap());
        all.take(look([("a.yaml", text(&manifest("orders", "127.0.0.1")))]));
        let key = ObjectKey { namespace: "default".parse().unwrap(), name: "orders".into() };
        all.judge(key.clone(), vec!["PortConflict".to_owned()]);
        assert_eq!(all.shelf()["a.yaml"].problems.len(), 1);
        all.judge(key, Vec::new());
        assert!(all.shelf()["a.yaml"].problems.is_empty());
    }
}
