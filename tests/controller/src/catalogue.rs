//! A catalogue as the tests compare it: who is in which service, and in which state.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Holds services by `service.namespace`, and their instances by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue(pub BTreeMap<String, BTreeMap<String, Entry>>);

/// Holds one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub addresses: BTreeSet<String>,
    pub ports: BTreeMap<String, u16>,
    pub pod: Option<String>,
    pub version: Option<String>,
    pub state: String,
}

impl Entry {
    /// Whether lookups find it.
    pub fn serves(&self) -> bool {
        self.state == "Serving" || self.state == "Suspect"
    }
}

impl Catalogue {
    pub fn add_dump(&mut self, dump: &Value) -> Result<()> {
        for service in dump["services"].as_array().context("a dump without services")? {
            let name = |field: &str| service[field].as_str().context("a service without a name");
            let key = format!("{}.{}", name("service")?, name("namespace")?);
            let mut entries = BTreeMap::new();
            for instance in service["instances"].as_array().context("a service without instances")? {
                let id = instance["id"].as_str().context("an instance without an id")?;
                entries.insert(id.to_owned(), entry(instance)?);
            }
            self.0.insert(key, entries);
        }
        Ok(())
    }

    pub fn service(&self, key: &str) -> BTreeMap<String, Entry> {
        self.0.get(key).cloned().unwrap_or_default()
    }

    pub fn serving(&self, key: &str) -> usize {
        self.service(key).values().filter(|entry| entry.serves()).count()
    }

    /// What of this differs from what it must be; none where nothing does.
    pub fn difference(&self, expected: &Self) -> Option<String> {
        /// Enough to see what is wrong.
        const TOLD: usize = 8;
        let (mut text, mut count) = (String::new(), 0);
        let mut tell = |line: String| {
            count += 1;
            if count <= TOLD {
                let _ = writeln!(text, "  {line}");
            }
        };
        for key in self.0.keys().chain(expected.0.keys()).collect::<BTreeSet<_>>() {
            let (Some(is), Some(must)) = (self.0.get(key), expected.0.get(key)) else {
                tell(match self.0.contains_key(key) {
                    true => format!("{key} is in the catalogue, and nobody registers it"),
                    false => format!("{key} is not in the catalogue"),
                });
                continue;
            };
            for id in is.keys().chain(must.keys()).collect::<BTreeSet<_>>() {
                if is.get(id) != must.get(id) {
                    tell(format!("{key} {id} is {:?}\n    and must be {:?}", is.get(id), must.get(id)));
                }
            }
        }
        (count > 0).then(|| format!("{count} differences\n{text}"))
    }
}

fn entry(instance: &Value) -> Result<Entry> {
    let text = |field: &str| instance[field].as_str().map(str::to_owned);
    let addresses = instance["addresses"].as_array().into_iter().flatten();
    let ports = instance["ports"].as_object().into_iter().flatten();
    Ok(Entry {
        addresses: addresses.filter_map(|address| Some(address.as_str()?.to_owned())).collect(),
        ports: ports
            .filter_map(|(name, port)| Some((name.clone(), u16::try_from(port.as_u64()?).ok()?)))
            .collect(),
        pod: text("pod"),
        version: text("version"),
        state: text("state").context("an instance without a state")?,
    })
}
