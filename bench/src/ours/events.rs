//! What a sidecar's watch tells: server-sent events, made into whom there is.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::Value;

/// Holds whom a watch has told of so far, and what of its stream is not a whole event yet.
#[derive(Debug, Default)]
pub(crate) struct View {
    read: Vec<u8>,
    /// Addresses by the instances' ids.
    instances: BTreeMap<String, String>,
}

// === impl View ===

impl View {
    /// Takes what came, and says whether an event of it has told something.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        self.read.extend_from_slice(bytes);
        let mut told = false;
        while let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = self.read.drain(..end + 2).collect();
            told |= self.event(std::str::from_utf8(&event)?)?;
        }
        Ok(told)
    }

    /// Sorted, as all registries' watchers tell it.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<_> = self.instances.values().cloned().collect();
        addresses.sort();
        addresses
    }

    fn event(&mut self, text: &str) -> anyhow::Result<bool> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let Some(event) = field("event:") else { return Ok(false) };
        let data: Value = serde_json::from_str(field("data:").unwrap_or("{}"))?;
        match event {
            "snapshot" => {
                let all = data.get("instances").and_then(Value::as_array).context("a snapshot of nobody")?;
                self.instances = all.iter().map(instance).collect::<anyhow::Result<_>>()?;
            }
            "upsert" => {
                let (id, address) = instance(&data)?;
                self.instances.insert(id, address);
            }
            "remove" => {
                self.instances.remove(text_of(&data, "id")?);
            }
            "gone" => self.instances.clear(),
            other => bail!("{other}: no event that we know"),
        }
        Ok(true)
    }
}

fn instance(data: &Value) -> anyhow::Result<(String, String)> {
    Ok((text_of(data, "id")?.to_owned(), text_of(data, "address")?.to_owned()))
}

fn text_of<'a>(data: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    data.get(name).and_then(Value::as_str).with_context(|| format!("no {name} in {data}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    #[test]
    fn events_make_a_state_however_they_are_cut() {
        let story: [(&str, bool, &[&str]); 9] = [
            (": comment\n\n", false, &[]),
            (
                "event: snapshot\nid: 7\ndata: {\"instances\":[{\"id\":\"b\",\"address\":\"10.0.0.2\"},",
                false,
                &[],
            ),
            ("{\"id\":\"a\",\"address\":\"10.0.0.1\"}]}\n\n", true, &["10.0.0.1", "10.0.0.2"]),
            (
                "event: upsert\nid: 8\ndata: {\"id\":\"c\",\"address\":\"10.0.0.3\"}\n\n",
                true,
                &["10.0.0.1", "10.0.0.2", "10.0.0.3"],
            ),
            ("id: 9\n\n", false, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
            ("event: remove\nid: 9\ndata: {\"id\":\"a\"}\n", false, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
            ("\nevent: remove\nid: 10\ndata: {\"id\":\"b\"}\n\n", true, &["10.0.0.3"]),
            ("event: gone\nid: 11\ndata: {}\n\n", true, &[]),
            ("event: snapshot\ndata: {\"instances\":[]}\n\n", true, &[]),
        ];
        let mut view = View::default();
        for (bytes, told, addresses) in story {
            assert_eq!(view.hear(bytes.as_bytes()).unwrap(), told, "{bytes}");
            assert_eq!(view.addresses(), addresses, "{bytes}");
        }
        assert!(view.hear(b"event: else\ndata: {}\n\n").is_err());
    }
}
