//! What the API server makes of a write: who may, what becomes of the object, and what else happens by it.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    history::{History, Id},
    kinds::Kind,
    ownership::{Manager, track},
    refusal::Refusal,
    replica::Replica,
    tokens::Tokens,
};

/// Letters that Kubernetes makes names of: no words come of them.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Holds all that is behind the replicas.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) history: History,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) tokens: Tokens,
    /// Kubernetes collects garbage some time; here that is at once, or when a test says so.
    pub(crate) keeps_garbage: bool,
    made: u64,
    /// How often each name was given: an object made anew is another.
    lives: BTreeMap<Id, u64>,
    origin: (Instant, Timestamp),
}

/// Says how an object is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) manager: Manager,
    pub(crate) dry_run: bool,
    /// It is a PUT.
    pub(crate) replaces: bool,
}

// === impl Options ===

impl Options {
    /// Of one of Kubernetes' own.
    pub(crate) fn by(name: &str) -> Self {
        let manager = Manager { name: name.to_owned(), applies: false, of_status: false };
        Self { manager, dry_run: false, replaces: false }
    }

    pub(crate) fn of_status(mut self) -> Self {
        self.manager.of_status = true;
        self
    }
}

// === impl State ===

impl State {
    pub(crate) fn new(replicas: usize, began: Timestamp) -> Self {
        let history = History::new();
        let replicas = vec![Replica::new(history.revision()); replicas.max(1)];
        Self {
            history,
            replicas,
            tokens: Tokens::default(),
            keeps_garbage: false,
            made: 0,
            lives: BTreeMap::new(),
            origin: (Instant::now(), began),
        }
    }

    /// Wall-clock time, which goes with tokio's.
    pub(crate) fn now(&self) -> Timestamp {
        let (instant, began) = self.origin;
        began + SignedDuration::try_from(instant.elapsed()).unwrap_or_default()
    }

    /// As Kubernetes writes it: in whole seconds.
    pub(crate) fn now_text(&self) -> String {
        seconds(self.now())
    }

    /// A number that none before was: the names of one run are those of the next.
    pub(crate) fn number(&mut self) -> u64 {
        self.made += 1;
        // splitmix64: neighbours look nothing alike.
        let mut mixed = self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// By its name and its life, so that it does not matter what else was made meanwhile.
    fn uid(&mut self, id: &Id) -> String {
        let life = self.lives.entry(id.clone()).or_default();
        *life += 1;
        let mut hasher = DefaultHasher::new();
        (id.kind, &id.namespace, &id.name).hash(&mut hasher);
        let named = hasher.finish();
        format!("{:08x}-{:04x}-4000-8000-{life:012x}", named >> 32, (named >> 16) & 0xffff)
    }

    /// The ending of a name that the API server makes.
    fn ending(&mut self) -> String {
        let mut number = self.number();
        let mut letter = || {
            let place = usize::try_from(number).unwrap_or_default() % LETTERS.len();
            number /= LETTERS.len() as u64;
            char::from(LETTERS[place])
        };
        (0..5).map(|_| letter()).collect()
    }

    pub(crate) fn create(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        mut object: Value,
        options: &Options,
    ) -> Result<Arc<Value>, Refusal> {
        check_type(kind, &mut object)?;
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        if kind.is_namespaced && ![namespace, ""].contains(&text("namespace").as_str()) {
            return Err(Refusal::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        let (mut name, stem) = (text("name"), text("generateName"));
        if name.is_empty() && stem.is_empty() {
            return Err(Refusal::invalid(
                kind,
                "",
                "metadata.name: Required value: name or generateName is required",
            ));
        }
        if !text("resourceVersion").is_empty() {
            return Err(Refusal::bad_request("resourceVersion should not be set on objects to be created"));
        }
        if name.is_empty() {
            name = stem + &self.ending();
        }
        self.check_namespace(kind, namespace, &name)?;
        let id = Id::new(kind, namespace, &name);
        if self.history.get(&id).is_some() {
            return Err(Refusal::already_exists(kind, &name));
        }
        let uid = self.uid(&id);
        let now = self.now_text();
        let meta = &mut object["metadata"];
        for field in
            ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields", "selfLink"]
        {
            meta.as_object_mut().and_then(|meta| meta.remove(field));
        }
        meta["name"] = json!(name);
        meta["uid"] = json!(uid);
        meta["creationTimestamp"] = json!(now);
        if kind.is_namespaced {
            meta["namespace"] = json!(namespace);
        }
        if kind.has_generation {
            meta["generation"] = json!(1);
        }
        begin(kind, &mut object);
        let bare = json!({"metadata": {}});
        track(kind, &bare, &mut object, &options.manager, &now);
        if options.dry_run {
            return Ok(Arc::new(object));
        }
        let created = self.history.put(id, object);
        if kind.plural == "namespaces" {
            let account = json!({"metadata": {"name": "default"}});
            // One that is there already is as good.
            let _ = self.create(
                Kind::of("serviceaccounts"),
                &name,
                account,
                &Options::by("kube-controller-manager"),
            );
        }
        self.collect();
        Ok(created)
    }

    /// Replaces an object by what becomes of it. One whose last finalizer goes while it is being deleted is gone with that.
    pub(crate) fn update(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        options: &Options,
        change: impl FnOnce(&Value, &str) -> Result<Value, Refusal>,
    ) -> Result<Arc<Value>, Refusal> {
        let id = Id::new(kind, namespace, name);
        let Some(before) = self.history.get(&id).cloned() else { return Err(Refusal::not_found(kind, name)) };
        let now = self.now_text();
        let mut after = change(&before, &now)?;
        check_type(kind, &mut after)?;
        check_same(kind, name, &before, &after, options)?;
        if options.manager.of_status {
            let mut other = Value::clone(&before);
            other["status"] = after["status"].take();
            other["metadata"]["managedFields"] = after["metadata"]["managedFields"].take();
            after = other;
            if after["status"].is_null() {
                after.as_object_mut().and_then(|after| after.remove("status"));
            }
        } else if kind.has_status {
            keep(&before, &mut after, "status");
        }
        let meta = &mut after["metadata"];
        for field in [
            "uid",
            "name",
            "namespace",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
            "resourceVersion",
            "deletionGracePeriodSeconds",
            "generateName",
        ] {
            keep(&before["metadata"], meta, field);
        }
        if kind.has_generation && wanted(kind, &before) != wanted(kind, &after) {
            meta_count(&mut after);
        }
        if !options.manager.applies {
            track(kind, &before, &mut after, &options.manager, &now);
        }
        if after == *before {
            return Ok(before);
        }
        // Who was only named anew as the owner of what he owns has written nothing.
        if options.dry_run {
            return Ok(Arc::new(after));
        }
        let is_leaving = !after["metadata"]["deletionTimestamp"].is_null();
        let lasts = after["metadata"]["finalizers"].as_array().is_some_and(|left| !left.is_empty())
            || after["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|grace| grace > 0);
        let written = self.history.put(id.clone(), after);
        if is_leaving && !lasts {
            self.gone(&id);
        }
        self.collect();
        Ok(written)
    }

    /// Writes an object as it is given, by no rule at all: what no API server would have taken.
    pub(crate) fn put_raw(&mut self, id: Id, object: Value) {
        self.history.put(id, object);
    }

    fn check_namespace(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), Refusal> {
        if !kind.is_namespaced {
            return Ok(());
        }
        let namespaces = Kind::of("namespaces");
        match self.history.get(&Id::new(namespaces, "", namespace)) {
            None => Err(Refusal::not_found(namespaces, namespace)),
            Some(there) if there["metadata"]["deletionTimestamp"].is_string() => {
                Err(Refusal::terminating(kind, name, namespace))
            }
            Some(_) => Ok(()),
        }
    }
}

pub(crate) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What it says of its own type is right, or nothing.
fn check_type(kind: &Kind, object: &mut Value) -> Result<(), Refusal> {
    if !object.is_object() {
        return Err(Refusal::bad_request("the object provided is unrecognized (must be of type object)"));
    }
    for (field, is) in [("apiVersion", kind.api_version()), ("kind", kind.name.to_owned())] {
        match object[field].as_str() {
            None | Some("") => object[field] = json!(is),
            Some(said) if said == is => {}
            Some(said) => {
                return Err(Refusal::bad_request(format!(
                    "the {field} in the data ({said}) does not match ({is})"
                )));
            }
        }
    }
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    Ok(())
}

/// That the object that is written is the one that is there.
fn check_same(
    kind: &Kind,
    name: &str,
    before: &Value,
    after: &Value,
    options: &Options,
) -> Result<(), Refusal> {
    let said = |field: &str| after["metadata"][field].as_str().filter(|text| !text.is_empty());
    if said("name").is_some_and(|said| said != name) {
        return Err(Refusal::bad_request("the name of the object does not match the name on the URL"));
    }
    let (is, uid) = (before["metadata"]["uid"].as_str(), said("uid"));
    // A patch of a status may name any: what is not of the status is dropped before it is looked at.
    let is_other = uid.is_some() && uid != is;
    if is_other && !options.replaces && !options.manager.of_status {
        let why = format!("metadata.uid: Invalid value: \"{}\": field is immutable", uid.unwrap_or_default());
        return Err(Refusal::invalid(kind, name, &why));
    }
    if is_other && options.replaces {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            uid.unwrap_or_default(),
            is.unwrap_or_default()
        );
        return Err(Refusal::conflict(kind, name, &why));
    }
    let version = said("resourceVersion");
    if version.is_some() && version != before["metadata"]["resourceVersion"].as_str() {
        return Err(Refusal::modified(kind, name));
    }
    Ok(())
}

/// What an object has when it begins.
fn begin(kind: &Kind, object: &mut Value) {
    let status = match kind.plural {
        "pods" => json!({"phase": "Pending", "qosClass": "BestEffort"}),
        "namespaces" => {
            if object["spec"].is_null() {
                object["spec"] = json!({"finalizers": ["kubernetes"]});
            }
            let name = object["metadata"]["name"].clone();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            json!({"phase": "Active"})
        }
        "services" => json!({"loadBalancer": {}}),
        // They register themselves with all they know.
        "nodes" => return,
        _ if kind.has_status => {
            object.as_object_mut().and_then(|object| object.remove("status"));
            return;
        }
        _ => return,
    };
    if kind.plural == "pods" && object["spec"]["terminationGracePeriodSeconds"].is_null() {
        object["spec"]["terminationGracePeriodSeconds"] = json!(30);
    }
    object["status"] = status;
}

/// What changes of the generation are counted for.
fn wanted(kind: &Kind, object: &Value) -> Value {
    let mut wanted = object.clone();
    if let Some(fields) = wanted.as_object_mut() {
        fields.remove("metadata");
        if kind.has_status {
            fields.remove("status");
        }
    }
    wanted
}

fn meta_count(object: &mut Value) {
    let before = object["metadata"]["generation"].as_u64().unwrap_or_default();
    object["metadata"]["generation"] = json!(before + 1);
}

/// The field stays as it was.
fn keep(before: &Value, after: &mut Value, field: &str) {
    match before.get(field) {
        Some(was) => after[field] = was.clone(),
        None => {
            after.as_object_mut().and_then(|after| after.remove(field));
        }
    }
}
