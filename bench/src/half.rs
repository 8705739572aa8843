//! A controller's half as a process: its real owner and session server, fed by lines instead of Kubernetes.

use std::{
    fs,
    io::{self, BufRead, Write},
    net::SocketAddr,
    path::Path,
};

use anyhow::bail;
use rcgen::generate_simple_self_signed;
use rollcall_catalogue::PodUid;
use rollcall_controller::{
    IndexHandle,
    auth::{AuthError, Review, Reviewer},
    index::{Change, Index},
    operate::Metrics,
    owner,
    sessions::Sessions,
};
use rollcall_net::{TLS_NAME, bind, server_config, shutdown};
use tokio::{
    sync::mpsc,
    time::{Duration, sleep},
};

/// A watch that has proved nothing for two minutes would keep lost sessions from counting.
const PROOF_EVERY: Duration = Duration::from_secs(10);

/// Holds whom its sessions know it by: a certificate that signs for itself, and its key, in PEM.
pub(crate) struct Identity {
    certificate: String,
    key: String,
}

/// Believes that everyone is the pod that the token names.
struct Believer;

/// Serves what these lists tell, and what `obey` makes of it, until that ends. Says its address and its authority first,
/// each on a line.
pub(crate) async fn serve<F>(
    lists: impl Iterator<Item = Change>,
    listen: SocketAddr,
    obey: impl FnOnce(IndexHandle) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    serve_as(&Identity::made()?, lists, listen, obey).await
}

/// The same for one who is known already.
pub(crate) async fn serve_as<F>(
    identity: &Identity,
    lists: impl Iterator<Item = Change>,
    listen: SocketAddr,
    obey: impl FnOnce(IndexHandle) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let metrics = Metrics::new();
    let (owner, index) = owner(Index::default(), metrics.clone());
    let (_trigger, ear) = shutdown();
    let owning = tokio::spawn(owner.run(ear.clone()));
    for change in lists {
        index.apply(change).await?;
    }
    index.view().wait_for(|view| view.complete).await?;
    let tls = server_config(identity.certificate.as_bytes(), identity.key.as_bytes())?;
    let listener = bind(listen)?;
    say(&listener.local_addr()?.to_string())?;
    say(&identity.certificate.replace('\n', "\\n"))?;
    let sessions = Sessions::new("bench".to_owned(), index.clone(), Believer, metrics.clone());
    let serving = tokio::spawn(sessions.serve(listener, tls, ear));
    tokio::select! {
        result = obey(index) => result,
        () = prove(metrics) => Ok(()),
        _ = owning => bail!("the owner ended"),
        result = serving => bail!("the server ended: {result:?}"),
    }
}

/// What is told by lines is never late.
async fn prove(metrics: Metrics) {
    loop {
        metrics.watches_work();
        sleep(PROOF_EVERY).await;
    }
}

/// The lines of this process' standard input; over when that is.
pub(crate) fn questions() -> mpsc::Receiver<String> {
    let (lines, questions) = mpsc::channel(1);
    // Ends with its standard input, and so with whoever asks.
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    questions
}

pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

// === impl Identity ===

impl Identity {
    fn made() -> anyhow::Result<Self> {
        let made = generate_simple_self_signed([TLS_NAME.to_owned()])?;
        Ok(Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() })
    }

    /// The one in this folder, where the process before has left it; or else a new one, which is left there.
    pub(crate) fn kept(folder: &Path) -> anyhow::Result<Self> {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        if key.exists() {
            return Ok(Self { certificate: fs::read_to_string(certificate)?, key: fs::read_to_string(key)? });
        }
        let made = Self::made()?;
        fs::write(certificate, &made.certificate)?;
        fs::write(key, &made.key)?;
        Ok(made)
    }
}

// === impl Believer ===

impl Reviewer for Believer {
    async fn review(&self, token: &str) -> Result<Review, AuthError> {
        Ok(Review { pod: PodUid::from(token) })
    }
}
