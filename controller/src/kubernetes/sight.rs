//! Reading what the API server sends: each object becomes small facts as it is read, and one that cannot be read
//! stops no other.

use std::{borrow::Cow, fmt, marker::PhantomData};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use kube::core::{PartialObjectMeta, Resource, Status};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use thiserror::Error;

use crate::{
    index::{Change, Key},
    kubernetes::watched::Watched,
};

/// Holds what was made of one object.
#[derive(Debug)]
pub(super) struct Sighting {
    /// Where the object was in the order of all changes.
    pub(super) version: Option<String>,
    /// None where the index has nothing to hear: the object has no name that it could be known by.
    pub(super) change: Option<Change>,
    pub(super) problem: Option<Problem>,
}

/// Says why an object is not known as it is now, and which one it is.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{namespace}/{name}: {cause}")]
pub(super) struct Problem {
    namespace: String,
    name: String,
    cause: String,
}

/// Holds one page of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) sightings: Vec<Sighting>,
    pub(super) version: Option<String>,
    pub(super) further: Option<String>,
}

/// Says what a watch call brought.
#[derive(Debug)]
pub(super) enum Event {
    Sighted(Sighting),
    /// Nothing happened up to this version.
    Bookmark(Option<String>),
    Refused(Box<Status>),
}

/// Says why a reply as a whole cannot be read.
#[derive(Debug, Error)]
pub(super) enum SightError {
    #[error("the reply is no list or event of Kubernetes: {0}; is there a proxy between?")]
    NoReply(#[from] serde_json::Error),
    #[error("an event of the unknown type `{0}`; a newer rollcall may know it")]
    UnknownType(String),
}

#[derive(Deserialize)]
struct List<T> {
    metadata: ListMeta,
    /// A list of nothing may be null.
    items: Option<Vec<T>>,
}

/// Holds what was made of an object of this kind, as soon as that was read: what is not kept of it is gone before the
/// next one.
struct Seen<W>(Sighting, PhantomData<W>);

/// Reads a list as far as its objects, and finds what asks for the next page.
struct Head<'a>(&'a mut Option<String>);

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Holds the part of a bookmark that says anything.
#[derive(Deserialize)]
struct Bookmark {
    metadata: ListMeta,
}

pub(super) fn page<W: Watched>(text: &[u8]) -> Result<Page, SightError> {
    let (metadata, sightings) = match serde_json::from_slice::<List<Seen<W>>>(text) {
        Ok(list) => (list.metadata, list.items.unwrap_or_default().into_iter().map(|seen| seen.0).collect()),
        // Slower: where objects end must be found before they are read, so that a bad one stops no other.
        Err(_) => {
            let list: List<&RawValue> = serde_json::from_slice(text)?;
            let items = list.items.unwrap_or_default();
            (list.metadata, items.into_iter().map(|item| seen::<W>(item.get())).collect())
        }
    };
    Ok(Page {
        sightings,
        version: metadata.resource_version.filter(|version| !version.is_empty()),
        further: metadata.continue_.filter(|token| !token.is_empty()),
    })
}

/// What asks for the page after this one, if that is said before the objects; it is found without reading them. The API
/// server writes its own kinds so, and others with their objects first.
pub(super) fn further(text: &[u8]) -> Option<String> {
    let mut found = None;
    // That it stops early is an error too.
    let _ = serde_json::Deserializer::from_slice(text).deserialize_map(Head(&mut found));
    found.filter(|token: &String| !token.is_empty())
}

pub(super) fn event<W: Watched>(line: &[u8]) -> Result<Event, SightError> {
    let RawEvent { kind, object } = serde_json::from_slice(line)?;
    let object = object.get();
    Ok(match &*kind {
        "ADDED" | "MODIFIED" => Event::Sighted(seen::<W>(object)),
        "DELETED" => Event::Sighted(gone::<W>(object)),
        "BOOKMARK" => {
            let bookmark: Bookmark = serde_json::from_str(object)?;
            Event::Bookmark(bookmark.metadata.resource_version.filter(|version| !version.is_empty()))
        }
        "ERROR" => Event::Refused(serde_json::from_str(object)?),
        other => return Err(SightError::UnknownType(other.to_owned())),
    })
}

/// It is there. What is known of it stays where it cannot be read.
fn seen<W: Watched>(text: &str) -> Sighting {
    match serde_json::from_str(text) {
        Ok(object) => sighting::<W>(object),
        Err(error) => match unmanaged(text) {
            Some(object) => sighting::<W>(object),
            None => unreadable::<W>(text, &error),
        },
    }
}

fn sighting<W: Watched>(object: W::Object) -> Sighting {
    let meta = object.meta();
    let (version, at) = (meta.resource_version.clone(), (meta.namespace.clone(), meta.name.clone()));
    let key = W::key(meta).ok();
    match W::seen(object) {
        Ok(change) => Sighting { version, change: Some(change), problem: None },
        Err(cause) => Sighting {
            version,
            change: key.map(Change::Unreadable),
            problem: Some(Problem::new(at, cause.to_string())),
        },
    }
}

fn unreadable<W: Watched>(text: &str, error: &serde_json::Error) -> Sighting {
    let meta = meta::<W>(text);
    Sighting {
        version: meta.resource_version.clone(),
        change: W::key(&meta).ok().map(Change::Unreadable),
        problem: Some(Problem::new((meta.namespace, meta.name), error.to_string())),
    }
}

/// It is no more. Nothing but its name needs to be read.
fn gone<W: Watched>(text: &str) -> Sighting {
    let meta = meta::<W>(text);
    let key: Result<Key, _> = W::key(&meta);
    let problem = key.as_ref().err().map(ToString::to_string);
    Sighting {
        version: meta.resource_version.clone(),
        change: key.ok().map(Change::Gone),
        problem: problem.map(|cause| Problem::new((meta.namespace, meta.name), cause)),
    }
}

/// The object without the list of who wrote which field of it. Whoever may write an object may write any time into
/// that list, be it one that no calendar of ours can hold; and it is nothing to us.
fn unmanaged<O: DeserializeOwned>(text: &str) -> Option<O> {
    let mut object: Value = serde_json::from_str(text).ok()?;
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")?;
    serde_json::from_value(object).ok()
}

/// The metadata of an object of which nothing else may be readable; without them a watch would not get past it. What
/// cannot be read of them either is empty, and what names the object is read for itself.
fn meta<W: Watched>(text: &str) -> ObjectMeta {
    let object: Result<PartialObjectMeta<W::Object>, _> = serde_json::from_str(text);
    if let Ok(object) = object {
        return object.metadata;
    }
    let object: Value = serde_json::from_str(text).unwrap_or_default();
    let text = |field: &str| Some(object.get("metadata")?.get(field)?.as_str()?.to_owned());
    ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        ..ObjectMeta::default()
    }
}

// === impl Seen ===

impl<'de, W: Watched> Deserialize<'de> for Seen<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        W::Object::deserialize(deserializer).map(|object| Self(sighting::<W>(object), PhantomData))
    }
}

// === impl Head ===

impl<'de> Visitor<'de> for Head<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
            match &*name {
                "metadata" => {
                    *self.0 = fields.next_value::<ListMeta>()?.continue_;
                    break;
                }
                "items" => break,
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

// === impl Problem ===

impl Problem {
    fn new((namespace, name): (Option<String>, Option<String>), cause: String) -> Self {
        Self { namespace: namespace.unwrap_or_default(), name: name.unwrap_or_default(), cause }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::{pod::Pods, service::Services};

    fn meta(name: &str) -> Value {
        json!({"name": name, "namespace": "shop", "uid": name, "resourceVersion": "7"})
    }

    fn said(sighting: &Sighting) -> &'static str {
        match sighting.change {
            Some(Change::Pod(_)) => "pod",
            Some(Change::Unreadable(Key::Pod(_))) => "unreadable",
            Some(Change::Gone(Key::Pod(_))) => "gone",
            None => "nothing",
            _ => "something else",
        }
    }

    #[test]
    fn one_object_that_cannot_be_read_stops_no_other() {
        let garbage = json!({"metadata": meta("b"), "spec": {"containers": "none"}});
        let nameless = json!({"metadata": {"labels": 7}});
        let list = json!({"metadata": {"resourceVersion": "9"}, "items":
            [{"metadata": meta("a")}, garbage, nameless, {"metadata": {"name": "c"}}, {"metadata": meta("d")}]});
        let page = page::<Pods>(list.to_string().as_bytes()).unwrap();
        let read: Vec<_> = page.sightings.iter().map(|one| (said(one), one.problem.is_some())).collect();
        let expected =
            [("pod", false), ("unreadable", true), ("nothing", true), ("nothing", true), ("pod", false)];
        assert_eq!(read, expected);
        let problem = page.sightings[1].problem.as_ref().unwrap().to_string();
        assert!(problem.starts_with("shop/b: "), "{problem}");
        assert_eq!((page.version.as_deref(), page.further), (Some("9"), None));
    }

    #[test]
    fn a_list_of_nothing() {
        for items in [json!(null), json!([])] {
            let list = json!({"metadata": {"resourceVersion": "9", "continue": ""}, "items": items});
            let page = page::<Pods>(list.to_string().as_bytes()).unwrap();
            assert!(page.sightings.is_empty() && page.further.is_none());
        }
        assert!(page::<Pods>(b"<html>").is_err());
    }

    #[test]
    fn what_follows_is_found_where_it_is_before_the_objects_and_they_are_not_read() {
        for (text, expected) in [
            (
                r#"{"kind":"PodList","metadata":{"resourceVersion":"7","continue":"eyJ2"},"items":["#,
                Some("eyJ2"),
            ),
            (r#"{"metadata":{"continue":""},"items":[]}"#, None),
            (r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#, None),
            (r#"{"items":[{"metadata":{"continue":"of an object"}}],"metadata":{"continue":"eyJ2"}}"#, None),
            (r#"{"items":[],"kind":"PodList"}"#, None),
            (r#"{"metadata":7}"#, None),
            ("[]", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(further(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn events_are_read_in_any_order_of_their_fields() {
        let read = |line: Value| event::<Pods>(line.to_string().as_bytes());
        let garbage = json!({"metadata": meta("a"), "spec": {"containers": "none"}});
        for (kind, object, expected) in [
            ("ADDED", json!({"metadata": meta("a")}), "pod"),
            ("MODIFIED", json!({"metadata": meta("a")}), "pod"),
            ("MODIFIED", garbage.clone(), "unreadable"),
            ("DELETED", json!({"metadata": meta("a")}), "gone"),
            ("DELETED", garbage, "gone"),
        ] {
            let Event::Sighted(sighting) = read(json!({"type": kind, "object": object})).unwrap() else {
                panic!("{kind}");
            };
            assert_eq!((said(&sighting), sighting.version.as_deref()), (expected, Some("7")), "{kind}");
        }
        let reversed = br#"{"object": {"metadata": {"resourceVersion": "8"}}, "type": "BOOKMARK"}"#;
        assert!(matches!(event::<Pods>(reversed), Ok(Event::Bookmark(Some(version))) if version == "8"));
        let refused =
            read(json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "old"}}));
        assert!(matches!(refused, Ok(Event::Refused(status)) if status.code == 410));
        assert!(matches!(read(json!({"type": "SOON", "object": {}})), Err(SightError::UnknownType(_))));
    }

    #[test]
    fn times_that_no_calendar_holds_stop_no_watch() {
        const NEVER: &str = "9999-12-31T23:59:59Z";
        let claim = json!([{"manager": "prankster", "operation": "Update", "time": NEVER}]);
        let mut claimed = json!({"metadata": meta("a")});
        claimed["metadata"]["managedFields"] = claim;
        assert!(serde_json::from_value::<ObjectMeta>(claimed["metadata"].clone()).is_err(), "it is no trap");
        // Of this one more is wrong than who wrote it.
        let mut worse = claimed.clone();
        worse["status"] =
            json!({"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": NEVER}]});
        let mut nameless = claimed.clone();
        nameless["metadata"]["labels"] = json!(7);
        for (kind, object, expected) in [
            ("ADDED", &claimed, "pod"),
            ("MODIFIED", &worse, "unreadable"),
            ("MODIFIED", &nameless, "unreadable"),
            ("DELETED", &claimed, "gone"),
            ("DELETED", &nameless, "gone"),
        ] {
            let line = json!({"type": kind, "object": object}).to_string();
            let Event::Sighted(sighting) = event::<Pods>(line.as_bytes()).unwrap() else { panic!("{kind}") };
            assert_eq!((said(&sighting), sighting.version.as_deref()), (expected, Some("7")), "{kind}");
            let problem = sighting.problem.map(|problem| problem.to_string());
            assert_eq!(problem.is_some(), expected == "unreadable", "{problem:?}");
            assert!(problem.is_none_or(|problem| problem.starts_with("shop/a: ")));
        }
        // Of the other kinds nothing is left unread at first.
        let line = json!({"type": "ADDED", "object": claimed}).to_string();
        let Event::Sighted(service) = event::<Services>(line.as_bytes()).unwrap() else { panic!("{line}") };
        assert!(matches!(service.change, Some(Change::Service(..))) && service.problem.is_none());
        let list = json!({"metadata": {"resourceVersion": "9"}, "items": [worse, claimed]});
        let page = page::<Pods>(list.to_string().as_bytes()).unwrap();
        assert_eq!(page.sightings.iter().map(said).collect::<Vec<_>>(), ["unreadable", "pod"]);
    }
}
