//! The desk: looks at the folder, tells the index what is new in it, and people what came of it.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use rollcall_catalogue::Namespace;
use rollcall_crds::{Accepted, ConditionReason, Finding, Problem, Resolved};
use rollcall_net::{Folder, Reads};
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
    held: Held,
    shelf: watch::Sender<Arc<Shelf>>,
}

/// Holds what a look goes over.
#[derive(Debug)]
struct Held {
    folder: Folder,
    manifests: Manifests,
}

// === impl Desk ===

impl Desk {
    pub(super) fn new(folder: PathBuf, home: Namespace) -> (Self, watch::Receiver<Arc<Shelf>>) {
        let (shelf, receiver) = watch::channel(Arc::default());
        let held = Held { folder: Folder::new(folder, READS), manifests: Manifests::new(home) };
        (Self { held, shelf }, receiver)
    }

    /// Looks until the owner is gone. The first look is the first list: before it nothing is known to be missing.
    pub(super) async fn run(self, index: IndexHandle) -> Result<(), OwnerGone> {
        let Self { mut held, shelf } = self;
        index.apply(Change::ListBegins(Kind::Registration)).await?;
        let mut begun = false;
        loop {
            // Off the tasks that others wait for: files are read and parsed for as long as it takes.
            let looking = spawn_blocking(move || {
                let changes = held.look();
                (held, changes)
            });
            let Ok((back, changes)) = looking.await else {
                // It panicked, which ends the process where it is released.
                return Err(OwnerGone);
            };
            held = back;
            let failed = match changes {
                Ok(changes) => {
                    for change in changes {
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
                held.manifests.judge(report.object, report.findings.iter().filter_map(bad).collect());
            }
            let now = held.shelf(failed.as_ref());
            shelf.send_if_modified(|told| {
                let changed = **told != now;
                if changed {
                    *told = Arc::new(now);
                }
                changed
            });
            sleep(LOOK_EVERY).await;
        }
    }
}

// === impl Held ===

impl Held {
    /// What the index is to be told by what is in the folder now.
    fn look(&mut self) -> io::Result<Vec<Change>> {
        // One that is gone says nothing of what was in it: it may be on its way elsewhere, or its disk away.
        fs::metadata(self.folder.path())?;
        Ok(self.manifests.take(self.folder.look()?))
    }

    fn shelf(&self, failed: Option<&io::Error>) -> Shelf {
        let mut shelf = self.manifests.shelf();
        if let Some(error) = failed {
            let sentence = format!("the folder cannot be read, and what it said stays: {error}");
            let name = self.folder.path().display().to_string();
            let problems = vec![Problem { line: 1, sentence }];
            shelf.insert(name, FileState { problems, ..FileState::default() });
        }
        shelf
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
