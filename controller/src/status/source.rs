//! Where the writers learn what there is to be written.

use std::future::Future;

use crate::{
    index::{Index, Managed, Notice, Report},
    owner::{IndexHandle, OwnerGone},
};

/// Says what is to be written: the index in life, a script in tests. Before every kind was listed it says nothing,
/// since empty proves nothing then.
pub(crate) trait Source: Clone + Send + Sync + 'static {
    fn reports(&self, max: usize) -> impl Future<Output = Result<Vec<Report>, OwnerGone>> + Send;
    /// Everything is to be reported anew.
    fn report_all(&self) -> impl Future<Output = Result<(), OwnerGone>> + Send;
    /// None as long as what there is to be is not known.
    fn managed(&self) -> impl Future<Output = Result<Option<Managed>, OwnerGone>> + Send;
    fn notices(&self, max: usize) -> impl Future<Output = Result<Vec<Notice>, OwnerGone>> + Send;
    /// One more notice, of a pod without a sidecar. Whoever takes it must tell it.
    fn skipped(&self) -> impl Future<Output = Result<Option<Notice>, OwnerGone>> + Send;
    /// All pods without a sidecar are to be told of anew.
    fn tell_skipped_anew(&self) -> impl Future<Output = Result<(), OwnerGone>> + Send;
}

// === impl IndexHandle ===

impl Source for IndexHandle {
    async fn reports(&self, max: usize) -> Result<Vec<Report>, OwnerGone> {
        self.ask(move |index| if index.complete() { index.take_reports(max) } else { Vec::new() }).await
    }

    async fn report_all(&self) -> Result<(), OwnerGone> {
        self.ask(Index::report_all).await
    }

    async fn managed(&self) -> Result<Option<Managed>, OwnerGone> {
        self.ask(|index| index.complete().then(|| index.managed())).await
    }

    async fn notices(&self, max: usize) -> Result<Vec<Notice>, OwnerGone> {
        self.ask(move |index| index.take_notices(max)).await
    }

    async fn skipped(&self) -> Result<Option<Notice>, OwnerGone> {
        self.ask(Index::take_skipped).await
    }

    async fn tell_skipped_anew(&self) -> Result<(), OwnerGone> {
        self.ask(Index::tell_skipped_anew).await
    }
}
