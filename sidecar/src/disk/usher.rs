//! The usher: puts what a controller told of the way to it on the disk at once, so that the next process finds it there. It
//! changes once in years.

use rollcall_net::Shutdown;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Duration, Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    file::{FileError, Folder},
    way::Way,
};
use crate::store::Store;

/// Two writes are so far apart at least: whoever tells something else all the time costs one small write in this.
const APART_MIN: Duration = Duration::from_secs(1);
/// After one that failed, the next is tried so much later: until it is written, a restart knows only what was known before.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Holds what is to be kept, and where.
pub(crate) struct Usher {
    folder: Folder,
    store: Store,
    /// The UID of this pod, where its token says it.
    pod: Option<String>,
    told: watch::Receiver<Way>,
    /// What the file says, where it is not what was restored.
    kept: Way,
    due: bool,
    not_before: Instant,
    /// The last one failed, which was said.
    failing: bool,
}

// === impl Usher ===

impl Usher {
    /// Of what is told from now on: what was restored is on the disk already.
    pub(crate) fn new(
        folder: Folder,
        store: Store,
        pod: Option<String>,
        mut told: watch::Receiver<Way>,
    ) -> Self {
        let kept = told.borrow_and_update().clone();
        Self { folder, store, pod, told, kept, due: false, not_before: Instant::now(), failing: false }
    }

    /// Writes until the process ends, and then what is left.
    pub(crate) async fn run(mut self, mut shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                Ok(()) = self.told.changed(), if !self.due => self.due = true,
                () = sleep_until(self.not_before), if self.due => self.write().await,
            }
        }
        // Whoever tells may have ended before us.
        if self.due || *self.told.borrow() != self.kept {
            self.write().await;
        }
    }

    async fn write(&mut self) {
        let of_session = || self.store.around().pod.as_ref().map(|pod| pod.uid.clone());
        let pod = self.pod.clone().or_else(of_session);
        let told = self.told.borrow_and_update().clone();
        let way = Way { pod, ..told.clone() };
        let folder = self.folder.clone();
        // It cannot fail otherwise than by a bug, which ends the process.
        let Ok(written) = spawn_blocking(move || folder.write_way(&way)).await else { return };
        let now = Instant::now();
        self.due = written.is_err();
        match written {
            Ok(()) => {
                self.kept = told;
                self.not_before = now + APART_MIN;
                if std::mem::take(&mut self.failing) {
                    info!("what the controller tells of the way to it is kept again");
                }
            }
            Err(error) => {
                self.not_before = now + RETRY_AFTER;
                self.failed(&error);
            }
        }
    }

    fn failed(&mut self, error: &FileError) {
        if !std::mem::replace(&mut self.failing, true) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            warn!(%error, cause, "whom the controller says to believe is not kept; a restart knows what the pod was given");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rollcall_net::{Trigger, shutdown};
    use tokio::{task::JoinHandle, time::sleep};

    use super::*;
    use crate::{
        disk::{Left, read},
        store::store,
    };

    fn way(last: u8) -> Way {
        Way { controller: Some(([10, 96, 0, last], 7310).into()), ..Way::default() }
    }

    fn start(folder: &Folder) -> (watch::Sender<Way>, Trigger, JoinHandle<()>) {
        let (telling, told) = watch::channel(Way::default());
        let ((_, store), (trigger, ear)) = (store(), shutdown());
        let usher = Usher::new(folder.clone(), store, Some("u1".to_owned()), told);
        (telling, trigger, tokio::spawn(usher.run(ear)))
    }

    fn kept(folder: &Folder, pod: Option<&str>) -> Option<Way> {
        let Left { way, .. } = read(folder, pod);
        way
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_is_kept_for_this_pod_and_no_other() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path());
        let (telling, trigger, usher) = start(&folder);
        sleep(APART_MIN * 3).await;
        assert_eq!(kept(&folder, None), None, "nothing was told");
        telling.send_replace(way(1));
        sleep(APART_MIN * 2).await;
        let first = Some(Way { pod: Some("u1".to_owned()), ..way(1) });
        assert_eq!((kept(&folder, Some("u1")), kept(&folder, None)), (first.clone(), first));
        assert_eq!(kept(&folder, Some("u2")), None, "another pod's");
        // The process ends between the word and its time.
        telling.send_replace(way(2));
        trigger.pull();
        usher.await.unwrap();
        assert_eq!(kept(&folder, None).unwrap().controller, way(2).controller);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_cannot_be_written_is_tried_again_without_another_word() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("later");
        let folder = Folder::new(&path);
        let (telling, trigger, usher) = start(&folder);
        telling.send_replace(way(1));
        sleep(RETRY_AFTER * 2).await;
        telling.send_replace(way(2));
        fs::create_dir(&path).unwrap();
        sleep(RETRY_AFTER * 2).await;
        assert_eq!(kept(&folder, None).unwrap().controller, way(2).controller, "the newest");
        trigger.pull();
        usher.await.unwrap();
    }
}
