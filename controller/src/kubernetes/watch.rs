//! The watches: a task for each kind that follows it until the process ends.
//!
//! kube's own watcher is not used, since it hides what we must know: it swallows bookmarks and restarts, so that a
//! quiet watch cannot be told from a dead one; it takes a connection that was cut for one that was ended; it goes on
//! with a version that the API server has refused; and it cannot list at the version that it has come to. The four
//! parts that it has are small: [`call`](super::call), [`sight`](super::sight), [`course`](super::course), and this.

use std::time::Duration;

use futures::{FutureExt, future::BoxFuture};
use kube::Client;
use rollcall_net::Jitter;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::{
    index::{Change, Index, Kind, Tally},
    kubernetes::{
        ages::{Drift, WatchAges},
        call::{self, Ahead, CallError, PageWanted},
        course::{Course, Ended, Failure, Step},
        doubt::is_doubtful,
        namespace::Namespaces,
        node::Nodes,
        pod::Pods,
        reading::Reading,
        registration::Registrations,
        service::Services,
        sight::{Event, Page, Sighting},
        slice::Slices,
        watched::Watched,
    },
    owner::{IndexHandle, OwnerGone, revision},
};

/// Follows one kind, by a name for people, until the process ends; one that ends by itself is a bug, or the owner is
/// gone.
pub(crate) type Task = (&'static str, BoxFuture<'static, Result<(), OwnerGone>>);

/// Follows one kind.
struct Follower {
    client: Client,
    index: IndexHandle,
    ages: WatchAges,
    drift: Drift,
    reading: Reading,
}

/// Says what a list came to that was told to its last object.
enum Listed {
    /// It is believed; and how many differences there were where there should have been none.
    Whole { version: String, differences: u64 },
    /// It lacks so much that it removes nothing before another one says the same.
    Doubtful(Tally),
}

/// The watches of all kinds. They list at the same time: each waits for its own answers, and for its turn to read them.
pub(crate) fn watch_all(client: &Client, index: &IndexHandle, ages: &WatchAges, drift: &Drift) -> Vec<Task> {
    let reading = Reading::default();
    let follower = || Follower {
        client: client.clone(),
        index: index.clone(),
        ages: ages.clone(),
        drift: drift.clone(),
        reading: reading.clone(),
    };
    // Each kind by its name: one that is added must not be forgotten here.
    let task = |kind| match kind {
        Kind::Pod => ("pod watch", follower().run::<Pods>().boxed()),
        Kind::Registration => ("registration watch", follower().run::<Registrations>().boxed()),
        Kind::Service => ("service watch", follower().run::<Services>().boxed()),
        Kind::Slice => ("slice watch", follower().run::<Slices>().boxed()),
        Kind::Namespace => ("namespace watch", follower().run::<Namespaces>().boxed()),
        Kind::Node => ("node watch", follower().run::<Nodes>().boxed()),
    };
    Kind::ALL.into_iter().map(task).collect()
}

// === impl Follower ===

impl Follower {
    async fn run<W: Watched>(self) -> Result<(), OwnerGone> {
        let mut course = Course::new(Jitter::from_entropy(), Instant::now());
        let mut absence_told = false;
        loop {
            let pause = match course.step(Instant::now()) {
                Step::Watch { from, seconds } => self.follow::<W>(&mut course, &from, seconds).await?,
                Step::List { at, page_objects } => {
                    match self.list::<W>(at.as_deref(), page_objects, !course.listed_once()).await? {
                        Ok(Listed::Whole { version, differences }) => {
                            if !course.listed_once() {
                                info!(kind = W::KIND.as_str(), version, "listed");
                            } else if course.is_in_doubt() {
                                info!(kind = W::KIND.as_str(), version, "listed anew, and believed");
                            }
                            course.listed(version, differences > 0, Instant::now());
                            self.ages.proven(W::KIND);
                            continue;
                        }
                        Ok(Listed::Doubtful(Tally { known, lacking, .. })) => {
                            let pause = course.doubted();
                            let kind = W::KIND.as_str();
                            warn!(
                                kind,
                                known,
                                lacking,
                                ?pause,
                                "a list lacks so much that it removes nothing before another says the same"
                            );
                            pause
                        }
                        Err(error) if error.is_absence() && W::ABSENT.is_some() && !course.listed_once() => {
                            if !absence_told {
                                let meanwhile = W::ABSENT.unwrap_or_default();
                                warn!(
                                    kind = W::KIND.as_str(),
                                    meanwhile, "its CRD is not installed, and is awaited"
                                );
                                absence_told = true;
                            }
                            self.absent::<W>().await?;
                            course.absent()
                        }
                        Err(error) => {
                            let pause = course.list_failed(error.failure());
                            warn!(kind = W::KIND.as_str(), %error, ?pause, "a list failed, and is begun anew");
                            pause
                        }
                    }
                }
            };
            sleep(pause).await;
        }
    }

    /// A kind that is not installed has no objects. That is believed only before its first list: later the same
    /// answer comes from an API server that is starting, and would take everything out.
    async fn absent<W: Watched>(&self) -> Result<(), OwnerGone> {
        self.index.apply(Change::ListBegins(W::KIND)).await?;
        self.index.apply(Change::ListEnds(W::KIND)).await?;
        // Nothing more can be known of it.
        self.ages.proven(W::KIND);
        Ok(())
    }

    /// What a complete list came to. One that breaks off, or is doubted, has removed nothing.
    async fn list<W: Watched>(
        &self,
        at: Option<&str>,
        objects_max: u32,
        is_first: bool,
    ) -> Result<Result<Listed, CallError>, OwnerGone> {
        let mut wanted = PageWanted { at: at.map(str::to_owned), further: None, objects_max };
        let (mut ahead, mut version, mut differences) = (None, None, 0);
        self.index.apply(Change::ListBegins(W::KIND)).await?;
        loop {
            let page = match self.page::<W>(ahead, &wanted).await {
                Ok((page, next)) => {
                    ahead = next;
                    page
                }
                Err(error) => return Ok(Err(error)),
            };
            let versions = page.sightings.iter().filter_map(|sighting| sighting.version.as_deref());
            if let Some(newest) = versions.filter_map(revision).max() {
                // Before they are applied: what is shown is never newer than what is known to have changed.
                self.index.found(W::KIND, newest).await?;
            }
            let changes = page.sightings.into_iter().filter_map(change::<W>);
            if at.is_some() {
                differences += self.compare(changes.collect()).await?;
            } else {
                for change in changes {
                    self.index.apply(change).await?;
                }
            }
            // All pages are of one version; should they not be, the first is the safe one.
            version = version.or(page.version);
            wanted.further = page.further;
            if wanted.further.is_none() {
                break;
            }
        }
        // Without it nothing can be followed, and the list is worth nothing.
        let Some(version) = version else { return Ok(Err(CallError::NoVersion)) };
        // What may be missing from a cluster is of no use as a sign of a wrong list.
        let expects_some = is_first && W::ABSENT.is_none();
        let (tally, is_doubtful) = self.weigh(W::KIND, expects_some).await?;
        if !is_doubtful {
            // Nobody else tells the index of this kind, so that what goes now is what was weighed.
            self.index.apply_at(Change::ListEnds(W::KIND), revision(&version)).await?;
            differences += u64::try_from(tally.lacking).unwrap_or(u64::MAX);
        }
        if at.is_none() {
            differences = 0;
        } else {
            self.drift.compared(W::KIND, differences);
        }
        if differences > 0 {
            let kind = W::KIND.as_str();
            warn!(kind, differences, "the watch had missed what a complete list showed; it is healed");
        }
        Ok(Ok(if is_doubtful { Listed::Doubtful(tally) } else { Listed::Whole { version, differences } }))
    }

    /// What the end of the list that is under way would come to, and whether it is doubted, so that it must not come.
    async fn weigh(&self, kind: Kind, expects_some: bool) -> Result<(Tally, bool), OwnerGone> {
        let weighed = move |index: &mut Index| {
            let tally = index.tally(kind);
            let is_doubtful = is_doubtful(&tally, expects_some);
            if is_doubtful {
                index.distrust(kind);
            }
            (tally, is_doubtful)
        };
        let (tally, is_doubtful) = self.index.ask(weighed).await?;
        if is_doubtful {
            self.drift.doubted(kind);
        }
        Ok((tally, is_doubtful))
    }

    /// A page, which may be on its way since the one before it came; and the next one, as it is asked for before this
    /// one is read: the API server makes it while we read, and the index takes in what was read.
    async fn page<W: Watched>(
        &self,
        ahead: Option<Ahead>,
        wanted: &PageWanted,
    ) -> Result<(Page, Option<Ahead>), CallError> {
        let text = match ahead.filter(|ahead| wanted.further.as_deref().is_some_and(|token| ahead.is(token)))
        {
            Some(ahead) => ahead.page().await?,
            None => call::fetch::<W>(&self.client, wanted.clone()).await?,
        };
        let next = Ahead::of::<W>(&text, &self.client, wanted);
        Ok((call::read::<W>(text, &self.reading).await?, next))
    }

    /// Tells the index, and how many of these were news to it.
    async fn compare(&self, changes: Vec<Change>) -> Result<u64, OwnerGone> {
        let news =
            move |index: &mut Index| changes.into_iter().map(|change| u64::from(index.apply(change))).sum();
        self.index.ask(news).await
    }

    /// Tells the index what one watch call brings; and the pause before the next step.
    async fn follow<W: Watched>(
        &self,
        course: &mut Course,
        from: &str,
        seconds: u32,
    ) -> Result<Duration, OwnerGone> {
        let begun = Instant::now();
        let error = match call::watch::<W>(&self.client, from, seconds).await {
            Ok(mut call) => loop {
                match call.next::<W>().await {
                    Ok(Some(Event::Sighted(mut sighting))) => {
                        let Some(version) = sighting.version.take() else { break CallError::NoVersion };
                        let revision = revision(&version);
                        match (change::<W>(sighting), revision) {
                            (Some(change), _) => self.index.apply_at(change, revision).await?,
                            (None, Some(revision)) => self.index.advanced(W::KIND, revision).await?,
                            (None, None) => {}
                        }
                        course.advanced(version);
                        self.ages.proven(W::KIND);
                    }
                    Ok(Some(Event::Bookmark(version))) => {
                        if let Some(revision) = version.as_deref().and_then(revision) {
                            self.index.advanced(W::KIND, revision).await?;
                        }
                        version.into_iter().for_each(|version| course.advanced(version));
                        self.ages.proven(W::KIND);
                    }
                    Ok(Some(Event::Refused(status))) => break CallError::Refused(status),
                    Ok(None) => {
                        let (ended, pause) = course.watch_ended(seconds, begun.elapsed());
                        match ended {
                            Ended::InTime => self.ages.proven(W::KIND),
                            Ended::Early => debug!(kind = W::KIND.as_str(), ?pause, "a watch ended early"),
                        }
                        return Ok(pause);
                    }
                    Err(error) => break error,
                }
            },
            Err(error) => error,
        };
        let pause = course.watch_failed(error.failure(), begun.elapsed());
        warn!(kind = W::KIND.as_str(), %error, ?pause, "a watch failed, and is begun anew");
        Ok(pause)
    }
}

// === impl CallError ===

impl CallError {
    fn failure(&self) -> Failure {
        match self {
            _ if self.is_gone() => Failure::Gone,
            Self::TooLarge(_) => Failure::TooLarge,
            _ => Failure::Other(self.retry_after()),
        }
    }
}

/// What the index is told, after people were told what is wrong with it.
fn change<W: Watched>(sighting: Sighting) -> Option<Change> {
    if let Some(problem) = sighting.problem {
        warn!(kind = W::KIND.as_str(), %problem, "an object cannot be read: what was known of it stays");
    }
    sighting.change
}

#[cfg(test)]
#[path = "watch_tests/mod.rs"]
mod tests;
