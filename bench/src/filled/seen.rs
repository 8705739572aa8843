//! A bare watch of the same pods: what a change takes from its write until the API server has told of it, with nothing done
//! with it. It is the floor of what a controller's delays can be.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent, WatchParams},
};
use tokio::{runtime::Handle, task::JoinHandle};

use super::objects::SAYS;
use crate::{
    report::Delays,
    sessions::{MADE, now_ns},
};

/// Watches until it is asked what it has seen.
pub(crate) struct Seen {
    delays: Arc<Mutex<Delays>>,
    watching: JoinHandle<Result<()>>,
}

/// As long as the API server lets a call last.
const CALL_S: u32 = 290;

// === impl Seen ===

impl Seen {
    /// Watches from now on.
    pub(crate) async fn begin(client: Client) -> Result<Self> {
        let pods = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
        let api = Api::<DynamicObject>::all_with(client, &pods);
        let listed = api.list_metadata(&ListParams::default().limit(1)).await?;
        let version = listed.metadata.resource_version.context("a list without a version")?;
        let delays = Arc::new(Mutex::new(Delays::new()?));
        let watching = Handle::current().spawn(watch(api, version, delays.clone()));
        Ok(Self { delays, watching })
    }

    /// What it has seen.
    pub(crate) async fn end(self) -> Result<Delays> {
        if self.watching.is_finished() {
            self.watching.await??;
            bail!("the bare watch ended");
        }
        self.watching.abort();
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *delays, Delays::new()?))
    }
}

async fn watch(api: Api<DynamicObject>, mut version: String, delays: Arc<Mutex<Delays>>) -> Result<()> {
    let (params, mut newest) = (WatchParams::default().timeout(CALL_S), HashMap::<_, u64>::new());
    loop {
        let mut events = pin!(api.watch_metadata(&params, &version).await?);
        while let Some(event) = events.try_next().await? {
            match event {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                    version = pod.metadata.resource_version.unwrap_or_default();
                    let says = pod.metadata.annotations.unwrap_or_default();
                    let Some(made_ns) = says.get(SAYS).and_then(|says| made_ns(says)) else { continue };
                    let before = newest.insert(pod.metadata.uid, made_ns);
                    // What else happens to a pod brings the same word again.
                    if before.is_none_or(|before| made_ns > before) {
                        let delay = Duration::from_nanos(now_ns().saturating_sub(made_ns));
                        delays.lock().unwrap_or_else(PoisonError::into_inner).push(delay);
                    }
                }
                WatchEvent::Deleted(pod) => version = pod.metadata.resource_version.unwrap_or_default(),
                WatchEvent::Bookmark(bookmark) => version = bookmark.metadata.resource_version,
                WatchEvent::Error(error) => bail!("{error:?}"),
            }
        }
    }
}

/// When the change was made that this annotation tells of.
fn made_ns(says: &str) -> Option<u64> {
    says.split(',').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == MADE)?.1.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_says_when_it_changed() {
        assert_eq!(made_ns("team=payments,made=1795366500302000000"), Some(1_795_366_500_302_000_000));
        for none in ["team=payments", "made=", "made", "unmade=7", ""] {
            assert_eq!(made_ns(none), None, "{none}");
        }
    }
}
