//! How objects go: at once, after a grace, when the last finalizer is gone, or with their owners.

use std::sync::Arc;

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    history::Id,
    kinds::Kind,
    refusal::Refusal,
    state::{State, seconds},
};

/// What a pod is given to end in, where nobody says otherwise.
const GRACE_SECONDS: i64 = 30;

/// Says how much of an object is left.
#[derive(Debug, Clone)]
pub(crate) enum Leaving {
    /// It is there, and about to go.
    Still(Arc<Value>),
    Gone(Arc<Value>),
}

impl State {
    /// Deletes one object, as `DeleteOptions` say.
    pub(crate) fn delete(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        options: &Value,
    ) -> Result<Leaving, Refusal> {
        let id = Id::new(kind, namespace, name);
        let Some(object) = self.history.get(&id).cloned() else { return Err(Refusal::not_found(kind, name)) };
        let metadata = &object["metadata"];
        for (asked, is, called) in
            [("uid", "uid", "UID"), ("resourceVersion", "resourceVersion", "ResourceVersion")]
        {
            let wanted = options["preconditions"][asked].as_str();
            if wanted.is_some() && wanted != metadata[is].as_str() {
                let why = format!(
                    "Precondition failed: {called} in precondition: {}, {called} in object meta: {}",
                    wanted.unwrap_or_default(),
                    metadata[is].as_str().unwrap_or_default()
                );
                return Err(Refusal::conflict(kind, name, &why));
            }
        }
        let has_finalizers = metadata["finalizers"].as_array().is_some_and(|left| !left.is_empty());
        let grace = if kind.plural == "pods" { grace(&object, options) } else { 0 };
        let earlier = metadata["deletionTimestamp"].is_string();
        let before = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
        if kind.plural == "namespaces" {
            return Ok(self.delete_namespace(&id, &object));
        }
        if grace == 0 && !has_finalizers {
            return Ok(Leaving::Gone(self.gone(&id).unwrap_or(object)));
        }
        // Who is about to go already can only be asked to be quicker.
        if earlier && grace >= before {
            return Ok(Leaving::Still(object));
        }
        let mut leaving = Value::clone(&object);
        let end = self.now() + SignedDuration::from_secs(grace);
        leaving["metadata"]["deletionTimestamp"] = json!(seconds(end));
        leaving["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        if let Some(generation) = leaving["metadata"]["generation"].as_u64() {
            leaving["metadata"]["generation"] = json!(generation + 1);
        }
        Ok(Leaving::Still(self.history.put(id, leaving)))
    }

    /// It is there no more, and what was its own goes as well.
    pub(crate) fn gone(&mut self, id: &Id) -> Option<Arc<Value>> {
        let last = self.history.take(id)?;
        self.collect();
        Some(last)
    }

    /// The objects whose owners are all gone, unless that is to wait.
    pub(crate) fn collect(&mut self) {
        if !self.keeps_garbage {
            self.collect_now();
        }
    }

    pub(crate) fn collect_now(&mut self) {
        loop {
            let is_there =
                |uid: &Value| self.history.all().any(|(_, object)| object["metadata"]["uid"] == *uid);
            let orphan = self.history.all().find(|(_, object)| {
                let owners = object["metadata"]["ownerReferences"].as_array();
                owners.is_some_and(|owners| {
                    !owners.is_empty() && owners.iter().all(|owner| !is_there(&owner["uid"]))
                }) && object["metadata"]["deletionTimestamp"].is_null()
            });
            let Some(id) = orphan.map(|(id, _)| id.clone()) else { return };
            let kept = std::mem::replace(&mut self.keeps_garbage, true);
            // One that is not there any more is what was wanted.
            let _ = self.delete(Kind::of(id.kind), &id.namespace, &id.name, &Value::Null);
            self.keeps_garbage = kept;
        }
    }

    /// First nothing more can come into it, then all that is in it goes, and then it does.
    fn delete_namespace(&mut self, id: &Id, object: &Value) -> Leaving {
        let mut leaving = object.clone();
        leaving["metadata"]["deletionTimestamp"] = json!(self.now_text());
        leaving["status"]["phase"] = json!("Terminating");
        let leaving = self.history.put(id.clone(), leaving);
        let within: Vec<_> = self
            .history
            .all()
            .map(|(within, _)| within.clone())
            .filter(|within| within.namespace == id.name)
            .collect();
        for within in within {
            let options = json!({"gracePeriodSeconds": 0});
            let _ = self.delete(Kind::of(within.kind), &within.namespace, &within.name, &options);
        }
        let is_empty = !self.history.all().any(|(within, _)| within.namespace == id.name);
        if is_empty {
            self.gone(id);
        }
        Leaving::Still(leaving)
    }
}

/// Seconds that a pod has to end: none where nothing of it runs.
fn grace(pod: &Value, options: &Value) -> i64 {
    let runs = pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let has_ended = ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase);
    if !runs || has_ended {
        return 0;
    }
    let asked = options["gracePeriodSeconds"].as_i64();
    asked.or_else(|| pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(GRACE_SECONDS).max(0)
}
