//! What files register: each `*.yaml` of a directory is the body of a `PUT /v1/self`.
//!
//! They are looked at every few seconds. A mounted ConfigMap changes by the swap of a link, which no watch of a single file
//! would see.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use rollcall_net::{Folder, Found as Seen, Reads};
use rollcall_wire::{RegistrationKey, SelfRegistration, limits::REGISTRATIONS_MAX};
use tracing::warn;

use super::{body, entry::Refusal, value::Value};

/// How often the directory is looked at: the kubelet takes a minute to bring a change there.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// More registrations are not taken anyway, and a file is no larger than one body.
const READS: Reads = Reads { endings: &[".yaml"], files_max: REGISTRATIONS_MAX, bytes_max: 64 * 1024 };

/// Values of one file, those that stand there by a reference included: a registration has some 200 at most, and a few
/// references to references would come to more than there is memory.
const NODES_MAX: usize = 2_000;
/// Values within each other: a registration has three.
const DEPTH_MAX: usize = 16;

/// Holds the directory, and what it held when it was looked at last.
#[derive(Debug)]
pub(super) struct Directory {
    folder: Folder,
    /// Since it was warned of.
    failed: Option<String>,
}

/// Says what a look found of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// As it was.
    Same,
    Read(Box<Result<SelfRegistration, Refusal>>),
}

/// Holds what the files say.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The last good content of each.
    good: BTreeMap<String, SelfRegistration>,
    refused: BTreeMap<String, Refusal>,
    /// Those that are good, and find no place beside the others.
    unplaced: BTreeMap<String, Refusal>,
    /// Those whose content the controller has refused, where something else counts meanwhile: not said again in this session.
    unwanted: BTreeMap<String, (SelfRegistration, Refusal)>,
}

// === impl Directory ===

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { folder: Folder::new(path, READS), failed: None }
    }

    /// What is there now, by name; none where that cannot be said. Blocks for as long as the disk does.
    pub(super) fn look(&mut self) -> Option<BTreeMap<String, Found>> {
        match self.folder.look() {
            Ok(found) => {
                self.failed = None;
                Some(found.into_iter().map(|(name, seen)| (name, Found::of(seen))).collect())
            }
            Err(error) => {
                let error = error.to_string();
                if self.failed.as_ref() != Some(&error) {
                    warn!(directory = %self.folder.path().display(), error, "cannot be read; what it registered stays");
                    self.failed = Some(error);
                }
                None
            }
        }
    }
}

/// The registration that a file says.
pub(super) fn parsed(text: &str) -> Result<SelfRegistration, Refusal> {
    let refused = |reason: String, field: Option<&str>| Refusal { reason, field: field.map(Into::into) };
    let limits = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: NODES_MAX, max_depth: DEPTH_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: NODES_MAX },
    };
    let body: Value = serde_saphyr::from_str_with_options(text, limits).map_err(|error| {
        // The first line says where and what; those below show the text itself.
        let what = error.to_string().lines().next().unwrap_or_default().to_owned();
        refused(format!("it is no YAML of one object: {what}"), None)
    })?;
    body::registration(body, None).map_err(|error| refused(error.to_string(), Some(error.field)))
}

// === impl Found ===

impl Found {
    fn of(seen: Seen) -> Self {
        match seen {
            Seen::Same => Self::Same,
            Seen::Text(text) => Self::Read(Box::new(parsed(&text))),
            Seen::Unreadable(reason) => Self::Read(Box::new(Err(Refusal { reason, field: None }))),
        }
    }
}

// === impl Files ===

impl Files {
    /// Takes a look in; gives all that the files register now. Of one that has become bad, what it said before stays.
    pub(super) fn take(
        &mut self,
        found: BTreeMap<String, Found>,
    ) -> BTreeMap<RegistrationKey, (String, SelfRegistration)> {
        self.good.retain(|name, _| found.contains_key(name));
        self.refused.retain(|name, _| found.contains_key(name));
        for (name, found) in found {
            match found {
                Found::Same => {}
                Found::Read(read) => match *read {
                    Ok(said) => {
                        self.refused.remove(&name);
                        self.good.insert(name, said);
                    }
                    Err(refusal) => note(&mut self.refused, name, refusal),
                },
            }
        }
        let good = &self.good;
        self.unwanted.retain(|name, (said, _)| good.get(name) == Some(said));
        let mut all: BTreeMap<RegistrationKey, (String, SelfRegistration)> = BTreeMap::new();
        let mut twice = BTreeMap::new();
        for (name, said) in &self.good {
            match all.get(&said.key()) {
                None => drop(all.insert(said.key(), (name.clone(), said.clone()))),
                Some((first, _)) => {
                    let reason = format!("`{first}` registers `{}` already; use one file", said.service);
                    twice.insert(name.clone(), Refusal { reason, field: Some("service".to_owned()) });
                }
            }
        }
        self.unplaced.retain(|name, refusal| twice.get(name) == Some(refusal));
        twice.into_iter().for_each(|(name, refusal)| self.unplaced(name, refusal));
        all
    }

    /// What this file says has no place; that is found out anew with each look.
    pub(super) fn unplaced(&mut self, name: String, refusal: Refusal) {
        note(&mut self.unplaced, name, refusal);
    }

    /// The controller has refused what one of them says.
    pub(super) fn unwanted(&mut self, said: &SelfRegistration, refusal: Refusal) {
        let name = self.good.iter().find(|(_, good)| *good == said).map(|(name, _)| name.clone());
        self.unwanted.extend(name.map(|name| (name, (said.clone(), refusal))));
    }

    pub(super) fn is_unwanted(&self, name: &str) -> bool {
        self.unwanted.contains_key(name)
    }

    /// A new session: what was refused in the last one is said once more.
    pub(super) fn begin(&mut self) {
        self.unwanted.clear();
    }

    pub(super) fn refused(&self) -> impl Iterator<Item = (&str, &Refusal)> {
        let unwanted = self.unwanted.iter().map(|(name, (_, refusal))| (name, refusal));
        let all = self.refused.iter().chain(&self.unplaced).chain(unwanted);
        all.map(|(name, refusal)| (name.as_str(), refusal))
    }
}

fn note(refused: &mut BTreeMap<String, Refusal>, name: String, refusal: Refusal) {
    if refused.get(&name) != Some(&refusal) {
        warn!(file = name, field = refusal.field, reason = refusal.reason, "a registration is refused");
        refused.insert(name, refusal);
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
