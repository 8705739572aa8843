//! What the kit notes about a cluster: written before anything else of it is made, removed after all else is gone.

use crate::Error;
use crate::cluster::Collects;
use crate::home::Home;
use crate::layout::{Layout, Name, SLOTS, clusters_folder};
use crate::process::ProcessId;
use crate::run::output_of;
use crate::tools::Tools;
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

/// A cluster's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub slot: u8,
    pub nodes: u8,
    pub phase: Phase,
    /// The programs that it was made of: what is done to it later uses the same.
    pub tools: Tools,
    /// The process whose end ends the cluster's purpose too: a test run's own clusters are swept by the next run.
    pub owner: Option<ProcessId>,
    #[serde(default)]
    pub collects: Collects,
}

/// How far a cluster has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    Starting,
    Up,
}

pub(crate) fn read(layout: &Layout) -> Result<Option<Record>, Error> {
    let path = layout.state_file();
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Garbled {
            path,
            source,
            remedy: format!("run `cargo xtask cluster down --name {}`", layout.name),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", &path)(error)),
    }
}

pub(crate) fn write(layout: &Layout, record: &Record) -> Result<(), Error> {
    let path = layout.state_file();
    fs::create_dir_all(layout.folder()).map_err(Error::file("make", &layout.folder()))?;
    let unfinished = path.with_extension("unfinished");
    let text = serde_json::to_string_pretty(record).map_err(|source| Error::Garbled {
        path: path.clone(),
        source,
        remedy: "report this".into(),
    })?;
    fs::write(&unfinished, text).map_err(Error::file("write", &unfinished))?;
    fs::rename(&unfinished, &path).map_err(Error::file("move", &unfinished))
}

/// All clusters that have a record, and those whose record cannot be read, without it.
pub(crate) fn all(home: &Home) -> Result<Vec<(Name, Option<Record>)>, Error> {
    let folder = clusters_folder(home.path());
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::file("read", &folder))?;
        let Ok(name) = Name::parse(&entry.file_name().to_string_lossy()) else { continue };
        let record = read(&Layout::new(home.path(), name.clone(), 0)).unwrap_or(None);
        found.push((name, record));
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(found)
}

/// The lowest slot that no record has, and whose link and addresses this host does not have.
pub(crate) fn free_slot(home: &Home) -> Result<u8, Error> {
    let taken: Vec<u8> =
        all(home)?.into_iter().filter_map(|(_, record)| record.map(|record| record.slot)).collect();
    let routes = output_of(
        "looking at the host's routes",
        Command::new("ip").args(["-4", "route", "show", "table", "all"]),
    )?;
    (0..SLOTS)
        .filter(|slot| !taken.contains(slot))
        .find(|slot| {
            let layout = Layout::new(home.path(), Name::unused(), *slot);
            let link_is_free = !Path::new("/sys/class/net").join(layout.host_link()).exists();
            link_is_free && !layout.ranges().iter().any(|range| is_routed(range, &routes))
        })
        .ok_or_else(|| {
            Error::unmet(
                format!("all {SLOTS} places for clusters on this machine are taken, by clusters or by routes of the host"),
                "end a cluster with `cargo xtask cluster down --name NAME`",
            )
        })
}

/// Whether a route of `ip route` leads into a range, or around it; the default route does not count.
fn is_routed(range: &str, routes: &str) -> bool {
    let words = routes.lines().flat_map(|line| line.split_whitespace().take(2));
    words.filter_map(network).any(|route| network(range).is_some_and(|range| overlap(range, route)))
}

/// The address and prefix length of `10.1.0.0/16` or `10.1.2.3`.
fn network(text: &str) -> Option<(u32, u32)> {
    let (address, length) = text.split_once('/').unwrap_or((text, "32"));
    let address: Ipv4Addr = address.parse().ok()?;
    Some((address.to_bits(), length.parse().ok().filter(|length| (1..=32).contains(length))?))
}

fn overlap(one: (u32, u32), other: (u32, u32)) -> bool {
    let shift = 32 - one.1.min(other.1);
    one.0 >> shift == other.0 >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_whose_addresses_the_host_uses_is_left_alone() {
        let routes = "default via 192.0.2.1 dev eth0\n10.0.0.0/8 via 192.0.2.9 dev eth0\nlocal 10.231.4.5 dev x table local\n";
        assert!(is_routed("10.250.0.0/24", routes));
        let routes = routes.replace("10.0.0.0/8", "10.250.1.0/24");
        for (range, routed) in [
            ("10.250.0.0/24", false),
            ("10.250.1.0/24", true),
            ("10.231.0.0/16", true),
            ("10.230.0.0/16", false),
        ] {
            assert_eq!(is_routed(range, &routes), routed, "{range}");
        }
    }

    #[test]
    fn a_record_comes_back_and_its_slot_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        let first = free_slot(&home).unwrap();
        let layout = Layout::new(home.path(), Name::parse("one").unwrap(), first);
        assert_eq!(read(&layout).unwrap(), None);
        let record = Record {
            slot: first,
            nodes: 2,
            phase: Phase::Starting,
            tools: Tools::default(),
            owner: ProcessId::of_this_process(),
            collects: Collects::Seldom,
        };
        write(&layout, &record).unwrap();
        assert_eq!(read(&layout).unwrap(), Some(record.clone()));
        assert!(free_slot(&home).unwrap() > first);
        assert_eq!(all(&home).unwrap(), [(layout.name.clone(), Some(record))]);
        fs::write(layout.state_file(), "{").unwrap();
        assert!(read(&layout).unwrap_err().to_string().contains("cluster down"));
        assert_eq!(all(&home).unwrap(), [(layout.name, None)]);
    }
}
