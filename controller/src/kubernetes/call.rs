//! The calls to the API server: each has its own time, and what it may make us hold is limited.

use std::{str, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::{
    Client, Resource,
    api::{ListParams, Request as Path, VersionMatch, WatchParams},
    client::Body,
    core::Status,
};
use thiserror::Error;
use tokio::{
    task::{JoinError, JoinHandle},
    time::{Instant, timeout, timeout_at},
};

use crate::kubernetes::{
    reading::Reading,
    sight::{Event, Page, SightError, event, further, page},
    watched::Watched,
};

/// A page of 500 objects takes less than a second; whatever gives none for so long is stuck.
const PAGE_MAX: Duration = Duration::from_secs(30);
/// What is added to a watch call's own time before it counts as dead: the API server ends each in time, and the
/// answer may have a slow way. With the longest time of a call, a dead one is noticed within a minute.
const GRACE: Duration = Duration::from_secs(10);
/// 500 pods have about 5 MiB; with all six kinds at once this still leaves the process its memory.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A page that the next one may come beside: of each kind two are held then. Pages of usual size are smaller; larger
/// ones are held one at a time, so that all that is held grows by no more than a quarter.
const BESIDE_BYTES_MAX: usize = PAGE_BYTES_MAX / 4;
/// Kubernetes stores no object above 1.5 MiB, which its JSON may exceed some times over.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// An error's message, with room for all its details.
const STATUS_BYTES_MAX: usize = 64 * 1024;

/// Says why a call came to nothing.
#[derive(Debug, Error)]
pub(super) enum CallError {
    #[error("the API server refuses: {} ({} {})", .0.message, .0.code, .0.reason)]
    Refused(Box<Status>),
    #[error("no way to the API server, or the connection broke: {0}")]
    Broken(#[source] kube::Error),
    #[error("no request could be made: {0}")]
    NoRequest(#[source] kube::core::request::Error),
    #[error("silent for longer than {0:?}: counted as dead")]
    Silent(Duration),
    #[error("the reply has more than {0} bytes")]
    TooLarge(usize),
    #[error(transparent)]
    Unreadable(#[from] SightError),
    #[error("the API server gave no resourceVersion, without which nothing can be followed")]
    NoVersion,
    #[error("the task that had to fetch or read a page died: {0}")]
    Died(#[from] JoinError),
}

/// Says which page of which list is wanted.
#[derive(Debug, Clone)]
pub(super) struct PageWanted {
    /// The list as it was then; none: as it is.
    pub(super) at: Option<String>,
    pub(super) further: Option<String>,
    pub(super) objects_max: u32,
}

/// Holds the call for a page that comes while the one before it is read. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct Ahead {
    further: String,
    fetch: JoinHandle<Result<Bytes, CallError>>,
}

/// Holds a watch call that is under way.
#[derive(Debug)]
pub(super) struct WatchCall {
    body: Body,
    read: BytesMut,
    /// How much of it is known to hold no end of a line.
    searched: usize,
    lasts: Duration,
    dead_at: Instant,
}

/// One page of a list, as it comes.
pub(super) async fn fetch<W: Watched>(client: &Client, wanted: PageWanted) -> Result<Bytes, CallError> {
    let params = ListParams {
        limit: Some(wanted.objects_max),
        continue_token: wanted.further,
        version_match: wanted.at.as_ref().map(|_| VersionMatch::Exact),
        resource_version: wanted.at,
        ..ListParams::default()
    };
    let path = path::<W>();
    let request = if W::METADATA_ONLY { path.list_metadata(&params) } else { path.list(&params) };
    let whole = async {
        let response = send(client, request.map_err(CallError::NoRequest)?).await?;
        collect(response.into_body(), PAGE_BYTES_MAX).await
    };
    timeout(PAGE_MAX, whole).await.map_err(|_| CallError::Silent(PAGE_MAX))?
}

/// Reads a page. Meanwhile the runtime's own threads have the next one to bring, and sessions to serve.
pub(super) async fn read<W: Watched>(text: Bytes, reading: &Reading) -> Result<Page, CallError> {
    Ok(reading.turn(move || page::<W>(&text)).await??)
}

/// A call that brings what changes after this version, and that the API server ends after so many seconds.
pub(super) async fn watch<W: Watched>(
    client: &Client,
    version: &str,
    seconds: u32,
) -> Result<WatchCall, CallError> {
    let lasts = Duration::from_secs(seconds.into()) + GRACE;
    let dead_at = Instant::now() + lasts;
    let params = WatchParams { timeout: Some(seconds), ..WatchParams::default() };
    let path = path::<W>();
    let request =
        if W::METADATA_ONLY { path.watch_metadata(&params, version) } else { path.watch(&params, version) };
    let mut request = request.map_err(CallError::NoRequest)?;
    // Newer API servers compress each event for itself, which decoders of whole bodies take for garbage.
    request.headers_mut().insert(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static("identity"));
    let response =
        timeout_at(dead_at, send(client, request)).await.map_err(|_| CallError::Silent(lasts))??;
    Ok(WatchCall { body: response.into_body(), read: BytesMut::new(), searched: 0, lasts, dead_at })
}

fn path<W: Watched>() -> Path {
    Path::new(W::Object::url_path(&(), None))
}

/// The answer, if it is a good one.
async fn send(client: &Client, request: Request<Vec<u8>>) -> Result<Response<Body>, CallError> {
    let response = client.send(request.map(Body::from)).await.map_err(CallError::Broken)?;
    let code = response.status();
    if code.is_success() {
        return Ok(response);
    }
    let text = collect(response.into_body(), STATUS_BYTES_MAX).await?;
    // What stands between us and the API server speaks no Kubernetes.
    let foreign = || Status::failure(code.canonical_reason().unwrap_or_default(), "not by Kubernetes");
    let status = serde_json::from_slice(&text).unwrap_or_else(|_| foreign());
    Err(CallError::Refused(status.with_code(code.as_u16()).boxed()))
}

async fn collect(body: Body, bytes_max: usize) -> Result<Bytes, CallError> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(CallError::TooLarge(bytes_max)),
        Err(error) => Err(CallError::Broken(match error.downcast() {
            Ok(error) => *error,
            Err(error) => kube::Error::Service(error),
        })),
    }
}

// === impl CallError ===

impl CallError {
    /// The version that was asked for is forgotten: nothing but a list helps.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Refused(status) => status.code == 410,
            Self::NoVersion => true,
            _ => false,
        }
    }

    /// Such objects are not served here.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 404)
    }

    /// How long the API server asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let Self::Refused(status) = self else { return None };
        let seconds = status.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }
}

// === impl Ahead ===

impl Ahead {
    /// Asks for what follows this page, where the page says so before its objects and leaves room for it.
    pub(super) fn of<W: Watched>(text: &[u8], client: &Client, wanted: &PageWanted) -> Option<Self> {
        let further = further(text).filter(|_| text.len() <= BESIDE_BYTES_MAX)?;
        let wanted = PageWanted { further: Some(further.clone()), ..wanted.clone() };
        let client = client.clone();
        Some(Self { further, fetch: tokio::spawn(async move { fetch::<W>(&client, wanted).await }) })
    }

    /// Whether it is what this token asks for.
    pub(super) fn is(&self, further: &str) -> bool {
        self.further == further
    }

    pub(super) async fn page(mut self) -> Result<Bytes, CallError> {
        (&mut self.fetch).await?
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.fetch.abort();
    }
}

// === impl WatchCall ===

impl WatchCall {
    /// What it brings next; none when the API server has ended it. A connection that breaks is an error, not an end.
    pub(super) async fn next<W: Watched>(&mut self) -> Result<Option<Event>, CallError> {
        let line = timeout_at(self.dead_at, self.line()).await.map_err(|_| CallError::Silent(self.lasts))?;
        line?.map(|line| event::<W>(&line).map_err(CallError::from)).transpose()
    }

    async fn line(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            let unread = self.read.get(self.searched..).unwrap_or_default();
            if let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(self.searched + end).freeze();
                self.read.advance(1);
                self.searched = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.read.len();
            if self.searched > LINE_BYTES_MAX {
                return Err(CallError::TooLarge(LINE_BYTES_MAX));
            }
            match self.body.frame().await {
                // The rest is a line that was cut: whatever it was comes again with the next call.
                None => return Ok(None),
                Some(Err(error)) => return Err(CallError::Broken(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
