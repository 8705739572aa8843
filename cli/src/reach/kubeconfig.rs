//! Which cluster is meant, and as whom it is asked: the user's own kubeconfig, as kubectl reads it.

use std::{
    env,
    path::{Path, PathBuf},
};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::unreachable;
use crate::{failure::Failure, options::Where, print::first_of};

/// Contexts that are named.
const NAMED_MAX: usize = 8;

pub(super) async fn config(place: &Where) -> Result<Config, Failure> {
    let told = env::var_os("KUBECONFIG").unwrap_or_default();
    let listed: Vec<_> = env::split_paths(&told).filter(|path| !path.as_os_str().is_empty()).collect();
    let read = match &place.kubeconfig {
        Some(path) => Some(file(path)?),
        None if listed.is_empty() => merged(env::home_dir().map(|home| home.join(".kube/config")))?,
        None => merged(listed.iter().cloned())?,
    };
    let Some(read) = read else { return none(place, &listed) };
    let wanted = place.context.as_deref().or(read.current_context.as_deref()).filter(|name| !name.is_empty());
    let whose = match place.kubeconfig.as_ref().or(listed.first()) {
        Some(path) if place.kubeconfig.is_some() || listed.len() == 1 => {
            format!("kubeconfig {}", path.display())
        }
        _ => "kubeconfig".to_owned(),
    };
    chosen(wanted, &read).map_err(|says| Failure::Usage(format!("{whose}: {says}")))?;
    let options = KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(read, &options).await.map_err(|error| {
        Failure::Usage(format!("{whose}: {error}; correct it, or choose another context by --context"))
    })
}

/// Whether the context that is wanted is there; those that are, where it is not.
fn chosen(wanted: Option<&str>, read: &Kubeconfig) -> Result<(), String> {
    let names: Vec<_> = read.contexts.iter().map(|context| context.name.as_str()).collect();
    let there = first_of(&names, NAMED_MAX);
    match wanted {
        Some(wanted) if names.contains(&wanted) => Ok(()),
        _ if names.is_empty() => {
            Err("it has no context; name another one by --kubeconfig or KUBECONFIG".to_owned())
        }
        Some(wanted) => Err(format!("there is no context `{wanted}`; those that it has are {there}")),
        None => Err(format!("it has no current context; choose one by --context: {there}")),
    }
}

/// Without a kubeconfig it is a pod's own account, in a pod.
fn none(place: &Where, listed: &[PathBuf]) -> Result<Config, Failure> {
    const REMEDY: &str = "set KUBECONFIG, or use --kubeconfig";
    let whence = match listed.first() {
        Some(first) => format!("KUBECONFIG names {}, which is not there", first.display()),
        None => "KUBECONFIG is not set, and there is no ~/.kube/config".to_owned(),
    };
    if let Some(context) = &place.context {
        return Err(Failure::Usage(format!(
            "kubeconfig: there is no context `{context}`: {whence}; {REMEDY}"
        )));
    }
    if env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return Err(unreachable("kubeconfig", &whence, REMEDY));
    }
    Config::incluster().map_err(|error| unreachable("kubeconfig", &format!("{whence}; {error}"), REMEDY))
}

/// What those of the files hold that are there, as kubectl has it: a list may name what is made later. None where none is.
fn merged(paths: impl IntoIterator<Item = PathBuf>) -> Result<Option<Kubeconfig>, Failure> {
    let mut whole: Option<Kubeconfig> = None;
    for path in paths.into_iter().filter(|path| path.exists()) {
        let read = file(&path)?;
        whole = Some(match whole {
            Some(before) => before
                .merge(read)
                .map_err(|error| Failure::Usage(format!("kubeconfig {}: {error}", path.display())))?,
            None => read,
        });
    }
    Ok(whole)
}

fn file(path: &Path) -> Result<Kubeconfig, Failure> {
    Kubeconfig::read_from(path).map_err(|error| {
        Failure::Usage(format!(
            "kubeconfig {}: {error}\ncorrect it, or name another one by --kubeconfig or KUBECONFIG",
            path.display()
        ))
    })
}
