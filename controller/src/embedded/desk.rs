//! The desk: looks at the folder, tells the index what is new in it, and people what came of it.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};

use rollcall_catalogue::Namespace;
use rollcall_crds::{Accepted, ConditionReason, Finding, Problem, Resolved};
use rollcall_net::{Folder, Found, Reads};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use super::manifests::{FileState, Manifests, Shelf};
use crate::{
    index::{Change, Kind},
    owner::{IndexHandle, OwnerGone},
    status::Source,
};

/// How often the folder is looked at: whoever has saved a file looks for what comes of it at once. A look at files that have not
/// changed costs one call of the system each.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A manifest is as large as an object of Kubernetes at most; of so many files a look takes a millisecond or two.
const READS: Reads = Reads { endings: &[".yaml", ".yml", ".json"], files_max: 1_024, bytes_max: 1024 * 1024 };
/// Reports that are taken at a time.
const REPORTS_MAX: usize = 64;

/// Holds the folder, and what it says.
#[derive(Debug)]
pub(super) struct Desk {
    folder: Folder,
    manifests: Manifests,
    shelf: watch::Sender<Arc<Shelf>>,
}

// === impl Desk ===

impl Desk {
    pub(super) fn new(folder: PathBuf, home: Namespace) -> (Self, watch::Receiver<Arc<Shelf>>) {
        let (shelf, receiver) = watch::channel(Arc::default());
        (Self { folder: Folder::new(folder, READS), manifests: Manifests::new(home), shelf }, receiver)
    }

    /// Looks until the owner is gone. The first look is the first list: before it nothing is known to be missing.
    pub(super) async fn run(mut self, index: IndexHandle) -> Result<(), OwnerGone> {
        index.apply(Change::ListBegins(Kind::Registration)).await?;
        let mut begun = false;
        loop {
            let failed = match self.look().await {
                Ok(found) => {
                    for change in self.manifests.take(found) {
                        index.apply(change).await?;
                    }
                    None
                }
                Err(error) => Some(error),
            };
            if !std::mem::replace(&mut begun, true) {
                index.apply(Change::ListEnds(Kind::Registration)).await?;
            }
            for report in index.reports(REPORTS_MAX).await? {
                self.manifests.judge(report.object, report.findings.iter().filter_map(bad).collect());
            }
            self.show(failed.as_ref());
            sleep(LOOK_EVERY).await;
        }
    }

    /// Off the tasks that others wait for: it takes as long as the disk does.
    async fn look(&mut self) -> io::Result<BTreeMap<String, Found>> {
        let stand_in = Folder::new(self.folder.path().to_owned(), READS);
        let mut folder = std::mem::replace(&mut self.folder, stand_in);
        let looking = spawn_blocking(move || {
            let found = folder.look();
            (folder, found)
        });
        // A look that panics is a bug, and not one to end the lookups by: the next one reads everything anew.
        let (folder, found) = looking.await.map_err(io::Error::other)?;
        self.folder = folder;
        found
    }

    fn show(&self, failed: Option<&io::Error>) {
        let mut shelf = self.manifests.shelf();
        if let Some(error) = failed {
            let problem = Problem { line: 1, sentence: format!("the folder cannot be read: {error}") };
            let name = self.folder.path().display().to_string();
            shelf.insert(name, FileState { problems: vec![problem], ..FileState::default() });
        }
        self.shelf.send_if_modified(|held| {
            let changed = **held != shelf;
            if changed {
                *held = Arc::new(shelf);
            }
            changed
        });
    }
}

/// What a person should know of a finding. That a target is not there was said when the file was read.
fn bad(finding: &Finding) -> Option<String> {
    match finding.reason {
        ConditionReason::Accepted(Accepted::Accepted) | ConditionReason::Ready(_) => None,
        ConditionReason::Accepted(reason) => {
            Some(format!("{}: {}", ConditionReason::from(reason), finding.message))
        }
        ConditionReason::Resolved(Resolved::AddressRefused) => Some(finding.message.clone()),
        ConditionReason::Resolved(_) => None,
    }
}
