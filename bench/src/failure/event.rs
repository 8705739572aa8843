//! What happens to an app, and so to who beats for it.

/// Says what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// SIGKILL of the app: the kernel closes its connections.
    Killed,
    /// The same of its sidecar as well, and nobody tells the API server: a kubelet, which would within a second or so, is not
    /// there.
    PodKilled,
    /// SIGSTOP of the app: its connections stay open, and nothing comes of it. Where the app beats itself, its beats end with
    /// that; a sidecar goes on to beat, and its probe finds the app.
    Hung,
    /// The same of its sidecar as well.
    Stopped,
    /// What is sent to it or by it is lost.
    Cut,
    /// It is to end, and all is done as it should be: Kubernetes has said that the pod ends, or the client begins to
    /// deregister.
    Deleted,
}

// === impl Event ===

impl Event {
    /// Of an app that beats by itself.
    pub(super) const OF_PROCESS: &[Self] = &[Self::Killed, Self::Hung, Self::Cut, Self::Deleted];
    /// Of an app beside a sidecar.
    pub(super) const OF_POD: &[Self] =
        &[Self::Killed, Self::PodKilled, Self::Hung, Self::Stopped, Self::Cut, Self::Deleted];
    /// Of those who take minutes to find who has failed, in a short try.
    pub(super) const QUICK: &[Self] = &[Self::Deleted];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Killed => "kill",
            Self::PodKilled => "pod killed, Kubernetes not told",
            Self::Hung => "hung",
            Self::Stopped => "pod stopped",
            Self::Cut => "cut",
            Self::Deleted => "deleted",
        }
    }
}
