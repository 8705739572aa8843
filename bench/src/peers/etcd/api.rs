//! What is said to etcd and what it answers: ranges, writes, watches and leases.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;

use super::protobuf::{Fields, Message, Value};

pub(super) const RANGE: &str = "KV/Range";
pub(super) const PUT: &str = "KV/Put";
pub(super) const DELETE: &str = "KV/DeleteRange";
pub(super) const TRANSACTION: &str = "KV/Txn";
pub(super) const WATCH: &str = "Watch/Watch";
pub(super) const GRANT: &str = "Lease/LeaseGrant";
pub(super) const REVOKE: &str = "Lease/LeaseRevoke";
pub(super) const KEEP_ALIVE: &str = "Lease/LeaseKeepAlive";

/// Says how fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// At least what any member had confirmed when it was asked for.
    Linearizable,
    /// What the asked member has.
    Serializable,
}

/// Holds the keys of a range and their values, as of a revision.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ranged {
    pub(super) revision: u64,
    pub(super) values: BTreeMap<Bytes, Bytes>,
}

/// Holds what a watch told at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    /// It says merely that the watch is there.
    pub(super) is_created: bool,
    /// In their order: a key with its value, or without one where it went.
    pub(super) changes: Vec<(Bytes, Option<Bytes>)>,
}

/// All keys that begin so.
pub(super) fn range(prefix: &str, read: Read) -> Message {
    let range = of_prefix(Message::default(), prefix);
    match read {
        Read::Linearizable => range,
        Read::Serializable => range.number(7, 1),
    }
}

/// A value that goes with its lease, or stays where that is 0.
pub(super) fn put(key: &str, value: &str, lease: u64) -> Message {
    let put = Message::default().bytes(1, key.as_bytes()).bytes(2, value.as_bytes());
    if lease == 0 { put } else { put.number(3, lease) }
}

pub(super) fn delete(key: &str) -> Message {
    Message::default().bytes(1, key.as_bytes())
}

/// All of these writes at once.
pub(super) fn transaction(puts: &[Message]) -> Message {
    puts.iter().fold(Message::default(), |all, put| all.message(2, &Message::default().message(2, put)))
}

/// All changes of keys that begin so, from this revision on.
pub(super) fn watch(prefix: &str, from_revision: u64) -> Message {
    let create = of_prefix(Message::default(), prefix).number(3, from_revision);
    Message::default().message(1, &create)
}

pub(super) fn grant(ttl_seconds: u64) -> Message {
    Message::default().number(1, ttl_seconds)
}

/// Names a lease, to be kept alive or to be revoked.
pub(super) fn lease(id: u64) -> Message {
    Message::default().number(1, id)
}

// A range ends before the first key that does not begin so: its last byte is one more, and no prefix here ends with the last byte.
fn of_prefix(message: Message, prefix: &str) -> Message {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    message.bytes(1, prefix.as_bytes()).bytes(2, &end)
}

pub(super) fn ranged(answer: Bytes) -> anyhow::Result<Ranged> {
    let mut ranged = Ranged::default();
    for field in Fields::of(answer) {
        match field? {
            (1, Value::Bytes(header)) => ranged.revision = number(header, 3)?,
            (2, Value::Bytes(pair)) => {
                let (key, value) = key_and_value(pair)?;
                ranged.values.insert(key, value);
            }
            (3, Value::Number(more)) => ensure!(more == 0, "a part of a range, which nobody asked for"),
            _ => {}
        }
    }
    Ok(ranged)
}

pub(super) fn watched(answer: Bytes) -> anyhow::Result<Watched> {
    let mut watched = Watched::default();
    for field in Fields::of(answer) {
        match field? {
            (3, Value::Number(created)) => watched.is_created = created != 0,
            (4, Value::Number(cancelled)) => ensure!(cancelled == 0, "the watch was cancelled"),
            (11, Value::Bytes(event)) => watched.changes.push(change(event)?),
            _ => {}
        }
    }
    Ok(watched)
}

/// The lease that was granted.
pub(super) fn granted(answer: Bytes) -> anyhow::Result<u64> {
    let id = number(answer, 2)?;
    ensure!(id != 0, "no lease");
    Ok(id)
}

/// Whether a lease that was to be kept is there.
pub(super) fn is_kept(answer: Bytes) -> anyhow::Result<bool> {
    Ok(number(answer, 3)? != 0)
}

fn change(event: Bytes) -> anyhow::Result<(Bytes, Option<Bytes>)> {
    let (mut is_deleted, mut pair) = (false, None);
    for field in Fields::of(event) {
        match field? {
            (1, Value::Number(0)) => {}
            (1, Value::Number(1)) => is_deleted = true,
            (1, Value::Number(kind)) => bail!("an event of the unknown kind {kind}"),
            (2, Value::Bytes(of_event)) => pair = Some(key_and_value(of_event)?),
            _ => {}
        }
    }
    let (key, value) = pair.context("an event without a key")?;
    Ok((key, (!is_deleted).then_some(value)))
}

fn key_and_value(pair: Bytes) -> anyhow::Result<(Bytes, Bytes)> {
    let (mut key, mut value) = (Bytes::new(), Bytes::new());
    for field in Fields::of(pair) {
        match field? {
            (1, Value::Bytes(of_pair)) => key = of_pair,
            (5, Value::Bytes(of_pair)) => value = of_pair,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The number that a field has, which is 0 where it is not written.
fn number(message: Bytes, wanted: u64) -> anyhow::Result<u64> {
    let mut number = 0;
    for field in Fields::of(message) {
        if let (field, Value::Number(value)) = field?
            && field == wanted
        {
            number = value;
        }
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(message: &Message) -> Bytes {
        Bytes::copy_from_slice(message.as_bytes())
    }

    fn header() -> Message {
        Message::default().number(1, 77).number(2, 78).number(3, 42).number(4, 2)
    }

    fn pair(key: &str, value: &str) -> Message {
        Message::default().bytes(1, key.as_bytes()).number(2, 3).number(3, 3).bytes(5, value.as_bytes())
    }

    #[test]
    fn requests_are_as_etcd_reads_them() {
        assert_eq!(range("a/", Read::Linearizable).as_bytes(), b"\x0a\x02a/\x12\x02a0");
        assert_eq!(range("a/", Read::Serializable).as_bytes(), b"\x0a\x02a/\x12\x02a0\x38\x01");
        assert_eq!(put("k", "v", 0).as_bytes(), b"\x0a\x01k\x12\x01v");
        assert_eq!(put("k", "v", 5).as_bytes(), b"\x0a\x01k\x12\x01v\x18\x05");
        assert_eq!(delete("k").as_bytes(), b"\x0a\x01k");
        let one = put("k", "v", 0);
        let two = put("k", "w", 0);
        assert_eq!(
            transaction(&[one, two]).as_bytes(),
            b"\x12\x08\x12\x06\x0a\x01k\x12\x01v\x12\x08\x12\x06\x0a\x01k\x12\x01w"
        );
        assert_eq!(watch("a/", 7).as_bytes(), b"\x0a\x0a\x0a\x02a/\x12\x02a0\x18\x07");
        assert_eq!(grant(5).as_bytes(), b"\x08\x05");
    }

    #[test]
    fn a_range_has_its_revision_and_its_keys() {
        let answer = Message::default()
            .message(1, &header())
            .message(2, &pair("a/1", "x"))
            .message(2, &pair("a/2", ""));
        let ranged = ranged(bytes(&answer)).unwrap();
        assert_eq!(ranged.revision, 42);
        let expected = [("a/1".into(), "x".into()), ("a/2".into(), "".into())];
        assert_eq!(ranged.values, BTreeMap::from(expected));
        assert!(super::ranged(bytes(&Message::default().number(3, 1))).is_err(), "a part of it");
    }

    #[test]
    fn a_watch_tells_what_came_and_what_went() {
        let came = Message::default().message(2, &pair("a/1", "x"));
        let went = Message::default().number(1, 1).message(2, &pair("a/2", ""));
        let answer = Message::default().message(1, &header()).message(11, &came).message(11, &went);
        let expected = [("a/1".into(), Some("x".into())), ("a/2".into(), None)];
        let told = watched(bytes(&answer)).unwrap();
        assert_eq!((told.is_created, told.changes.as_slice()), (false, &expected[..]));
        let created = Message::default().message(1, &header()).number(3, 1);
        assert_eq!(watched(bytes(&created)).unwrap(), Watched { is_created: true, changes: Vec::new() });
        for wrong in [
            Message::default().number(3, 1).number(4, 1),
            Message::default().bytes(11, b""),
            Message::default().message(11, &Message::default().number(1, 2)),
            Message::default().bytes(11, b"\x12\x7f"),
        ] {
            assert!(watched(bytes(&wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn leases_are_there_or_not() {
        let answer = |id, ttl| bytes(&Message::default().message(1, &header()).number(2, id).number(3, ttl));
        assert_eq!(granted(answer(9, 5)).unwrap(), 9);
        assert!(granted(bytes(&Message::default())).is_err());
        assert!(is_kept(answer(9, 5)).unwrap());
        // etcd leaves out what is 0.
        assert!(!is_kept(bytes(&Message::default().message(1, &header()).number(2, 9))).unwrap());
    }
}
