//! What whoever installs Rollcall decides of sidecars, from a file; and how the cluster resolves names, from ours.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rollcall_catalogue::shortened;
use rollcall_injection::{CONTROLLER_NAME, ClusterDns, Settings};
use thiserror::Error;
use tracing::warn;

/// Bytes of the file: the chart's has a few hundred, and the names of namespaces may be many.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Values of the file, those that stand there by a reference included.
const NODES_MAX: usize = 10_000;
/// Values within each other: it has three.
const DEPTH_MAX: usize = 16;
/// How our own pod resolves names, by the cluster's word.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Says why there are no settings.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    #[error("--injection-file {path}: cannot be read; mount the ConfigMap that the chart makes", path = .0.display())]
    File(PathBuf, #[source] io::Error),
    #[error("--injection-file {path}: has more than {FILE_BYTES_MAX} bytes; name fewer namespaces", path = .0.display())]
    TooLarge(PathBuf),
    #[error("--injection-file {path}: {problem}; see the chart's values `sidecar` and `injection`", path = .path.display())]
    Bad { path: PathBuf, problem: String },
}

/// The settings of this file, or what they are without one. Pods of our own namespace get no sidecar: it would be one of the
/// controller's, which has to be there first. Pods call us by the name of this Service where its address is nobody's any more.
pub(crate) fn read(path: Option<&Path>, service: &str, namespace: &str) -> Result<Settings, SettingsError> {
    let mut settings = match path {
        None => Settings::default(),
        Some(path) => parsed(&content(path)?)
            .map_err(|problem| SettingsError::Bad { path: path.to_owned(), problem })?,
    };
    let except = &mut settings.namespaces.except;
    if !except.iter().any(|name| name == namespace) {
        except.push(namespace.to_owned());
    }
    let name = format!("{service}.{namespace}.svc");
    if name != CONTROLLER_NAME {
        settings.controller_name.get_or_insert(name);
    }
    Ok(settings)
}

/// How pods of this cluster resolve names; without that, those that ask for the sidecar as their resolver keep what they have.
pub(crate) fn cluster_dns(namespace: &str) -> Option<ClusterDns> {
    let dns = std::fs::read_to_string(RESOLV_CONF)
        .ok()
        .and_then(|text| ClusterDns::of_resolv_conf(&text, namespace));
    if dns.is_none() {
        warn!(
            file = RESOLV_CONF,
            "our own DNS is not the cluster's: pods that ask for rollcall.dev/dns=resolver keep theirs; give the controller's \
             pod the dnsPolicy ClusterFirst"
        );
    }
    dns
}

fn content(path: &Path) -> Result<String, SettingsError> {
    let unreadable = |error| SettingsError::File(path.to_owned(), error);
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(SettingsError::TooLarge(path.to_owned()));
    }
    Ok(text)
}

fn parsed(text: &str) -> Result<Settings, String> {
    let limits = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: NODES_MAX, max_depth: DEPTH_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: NODES_MAX },
    };
    serde_saphyr::from_str_with_options(text, limits).map_err(|error| {
        // The first line says where and what; those below show the text itself, of which one line is enough.
        let what = error.to_string().lines().next().unwrap_or_default().to_owned();
        let line = error.location().and_then(|place| usize::try_from(place.line()).ok()?.checked_sub(1));
        match line.and_then(|line| text.lines().nth(line)) {
            Some(line) => format!("{what}, in `{}`", shortened(line.trim())),
            None => what,
        }
    })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
