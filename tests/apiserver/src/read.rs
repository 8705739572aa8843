//! Lists and single objects: at which revision, and how much of it.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{history::Id, kinds::Kind, refusal::Refusal, request::Call, state::State};

/// What a list that cannot go on says of why.
const TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.";

/// Says which state of all objects is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// As it is.
    Newest,
    /// As this replica knows it.
    Any,
    /// As it is known here, and no older than that.
    NotOlder(u64),
    Exactly(u64),
}

/// Holds where a list goes on.
#[derive(Debug, PartialEq, Eq)]
struct Continuation {
    revision: u64,
    after: Id,
}

/// Says that a replica has to come to a revision first.
#[derive(Debug)]
pub(crate) struct Behind {
    pub(crate) asked: u64,
    pub(crate) reached: u64,
}

/// What a read came to.
pub(crate) enum Read {
    Text(String),
    Behind(Behind),
}

impl State {
    pub(crate) fn get(&mut self, replica: usize, call: &Call) -> Result<Read, Refusal> {
        let at = match call.number("resourceVersion")? {
            None => At::Newest,
            Some(0) => At::Any,
            Some(version) => At::NotOlder(version),
        };
        let revision = match self.revision_of(replica, at)? {
            Ok(revision) => revision,
            Err(behind) => return Ok(Read::Behind(behind)),
        };
        let id = Id::new(call.kind, call.namespace.as_deref().unwrap_or_default(), &call.name);
        let object =
            self.history.get_at(&id, revision).ok_or_else(|| Refusal::not_found(call.kind, &call.name))?;
        Ok(Read::Text(shown(object, call.metadata_only).to_string()))
    }

    pub(crate) fn list(&mut self, replica: usize, call: &Call) -> Result<Read, Refusal> {
        let version = call.number("resourceVersion")?;
        let matched = call.parameter("resourceVersionMatch");
        let limit = call.number("limit")?.filter(|limit| *limit > 0);
        let further = call.parameter("continue").map(Continuation::read).transpose()?;
        let at = match (&further, version, matched) {
            (Some(_), _, Some(_)) => return Err(Refusal::wrong_list("is forbidden for a continuation")),
            (Some(_), Some(1..), None) => {
                let why = "specifying resource version is not allowed when using continue";
                return Err(Refusal::bad_request(why));
            }
            (Some(further), ..) => At::Exactly(further.revision),
            (None, None, Some(_)) => {
                return Err(Refusal::wrong_list("is forbidden unless resourceVersion is provided"));
            }
            (None, None, None) => At::Newest,
            (None, Some(0), Some("Exact")) => {
                return Err(Refusal::wrong_list("\"Exact\" is forbidden for resourceVersion \"0\""));
            }
            (None, Some(version), Some("Exact")) => At::Exactly(version),
            (None, Some(0), _) => At::Any,
            (None, Some(version), None) if limit.is_some() => At::Exactly(version),
            (None, Some(version), None | Some("NotOlderThan")) => At::NotOlder(version),
            (None, Some(_), Some(_)) => return Err(Refusal::wrong_list("has an unsupported value")),
        };
        let revision = match self.revision_of(replica, at) {
            Ok(Ok(revision)) => revision,
            Ok(Err(behind)) => return Ok(Read::Behind(behind)),
            Err(expired) if further.is_some() => {
                return Err(Refusal { message: TOO_OLD.to_owned(), ..expired });
            }
            Err(expired) => return Err(expired),
        };
        let selection = call.selection()?;
        let after = further.as_ref().map(|further| &further.after);
        let mut items = Vec::new();
        let (mut last, mut left) = (None, 0_u64);
        for (id, object) in self.history.list_at(call.kind.plural, revision, after) {
            if !selection.has(id, object) {
                continue;
            }
            if limit.is_some_and(|limit| items.len() as u64 >= limit) {
                left += 1;
                continue;
            }
            last = Some(id.clone());
            items.push(in_list(call.kind, object, call.metadata_only));
        }
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let (Some(after), 1..) = (last, left) {
            metadata["continue"] = json!(Continuation { revision, after }.written());
            metadata["remainingItemCount"] = json!(left);
        }
        Ok(Read::Text(written(call, &metadata, items)))
    }

    /// What a list says that has lost everything: a good answer, and a wrong one.
    pub(crate) fn empty_list(&self, call: &Call) -> String {
        written(call, &json!({"resourceVersion": self.history.revision().to_string()}), Vec::new())
    }

    fn revision_of(&mut self, replica: usize, at: At) -> Result<Result<u64, Behind>, Refusal> {
        let newest = self.history.revision();
        let reached = self.reached(replica);
        Ok(match at {
            At::Newest => Ok(newest),
            At::Any => Ok(reached),
            At::NotOlder(asked) if reached < asked => Err(Behind { asked, reached }),
            At::NotOlder(_) => Ok(reached),
            At::Exactly(asked) if asked > newest => Err(Behind { asked, reached: newest }),
            At::Exactly(asked) if asked < self.history.compacted() => {
                return Err(Refusal::expired("The resourceVersion for the provided list is too old."));
            }
            At::Exactly(asked) => Ok(asked),
        })
    }

    pub(crate) fn reached(&mut self, replica: usize) -> u64 {
        let Self { history, replicas, .. } = self;
        replicas.get_mut(replica).map_or_else(|| history.revision(), |replica| replica.reached(history))
    }
}

/// An object as it is told.
pub(crate) fn shown(object: &Arc<Value>, metadata_only: bool) -> Value {
    if metadata_only {
        return json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]});
    }
    Value::clone(object)
}

/// The same in a list: of Kubernetes' own, it goes without saying what it is.
fn in_list(kind: &Kind, object: &Arc<Value>, metadata_only: bool) -> Value {
    let mut shown = shown(object, metadata_only);
    if !kind.is_custom && !metadata_only {
        shown.as_object_mut().map(|shown| (shown.remove("kind"), shown.remove("apiVersion")));
    }
    shown
}

/// A list as the API server writes it: its own kinds with the objects at the end, others by the alphabet.
fn written(call: &Call, metadata: &Value, items: Vec<Value>) -> String {
    let (name, version) = if call.metadata_only {
        ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        (format!("{}List", call.kind.name), call.kind.api_version())
    };
    let items = Value::from(items);
    if call.kind.is_custom && !call.metadata_only {
        return format!(
            r#"{{"apiVersion":"{version}","items":{items},"kind":"{name}","metadata":{metadata}}}"#
        );
    }
    format!(r#"{{"kind":"{name}","apiVersion":"{version}","metadata":{metadata},"items":{items}}}"#)
}

// === impl Continuation ===

impl Continuation {
    fn written(&self) -> String {
        let Self { revision, after } = self;
        let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{}/{}\0", after.namespace, after.name),
            "kind": after.kind});
        BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn read(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::bad_request("continue key is not valid");
        let token: Value = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(bad)?;
        let start = token["start"].as_str().and_then(|start| start.strip_suffix('\0')).ok_or_else(bad)?;
        let (namespace, name) = start.split_once('/').ok_or_else(bad)?;
        let kind = token["kind"].as_str().map(Kind::of).ok_or_else(bad)?;
        let revision = token["rv"].as_u64().ok_or_else(bad)?;
        Ok(Self { revision, after: Id::new(kind, namespace, name) })
    }
}
