//! `rollcall dev`: the registry of one machine, without a cluster. Controller and sidecar in one process, a folder of manifests
//! as the store.

mod hold;
mod news;
mod page;
mod printer;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use futures::future::{BoxFuture, FutureExt};
use rollcall_catalogue::{Namespace, Snapshot};
use rollcall_controller::{
    View,
    embedded::{self, Embedded, Residents, Shelf},
    operate::Beside,
};
use rollcall_net::{Shutdown, Trigger, init_logs_for_people, loopback, shutdown};
use rollcall_sidecar::{
    Servers,
    local::{self, Local, Pods},
};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use self::{hold::Hold, page::Page, printer::Printer};
use crate::failure::Failure;

/// Within the folder: what is ours, and no manifest.
const STATE: &str = "state";
/// All parts have ended by then, or are cut off.
const END_MAX: Duration = Duration::from_secs(3);
/// Two for those who look up, and what else there is waits for none of them.
const THREADS: usize = 2;

/// Holds what `rollcall dev` is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Dev {
    /// The namespace of names and manifests that name none.
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    namespace: Namespace,

    /// Where the manifests are, one or more a file: *.yaml, *.yml, *.json. What apps register is kept below it.
    #[arg(long, value_name = "FOLDER", default_value = ".rollcall")]
    dir: PathBuf,

    /// Where lookups and registrations are answered; loopback only.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback, default_value = "127.0.0.1:7300")]
    api_listen: SocketAddr,

    /// The same over IPv6; a machine without ::1 goes without.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback, default_value = "[::1]:7300")]
    api_listen_v6: SocketAddr,

    /// Where DNS answers, over UDP and TCP; loopback only.
    #[arg(long, value_name = "ADDRESSES", value_parser = loopback, value_delimiter = ',', default_value = "127.0.0.1:7353,[::1]:7353")]
    dns_listen: Vec<SocketAddr>,

    /// Who is asked for names of other zones, up to three, as 192.0.2.53; nobody by default.
    #[arg(long, value_name = "ADDRESSES", default_value = "", hide_default_value = true)]
    dns_forward: Servers,

    /// Where the catalogue can be read as a controller shows it; loopback only.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback, default_value = "127.0.0.1:7380")]
    read_listen: SocketAddr,

    /// The same over IPv6.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback, default_value = "[::1]:7380")]
    read_listen_v6: SocketAddr,

    /// Where /healthz, /readyz and /metrics answer; loopback only.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback, default_value = "127.0.0.1:7391")]
    health_listen: SocketAddr,
}

/// Makes residents of the addresses that apps register.
#[derive(Debug)]
struct Addresses(Residents);

// === impl Dev ===

impl Dev {
    /// Serves until it is ended by a signal.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
        let result = threads.map_err(anyhow::Error::from)?.block_on(self.serve());
        result.map_err(|error| Failure::Other(remedied(error)))
    }

    async fn serve(self) -> anyhow::Result<()> {
        let logs = init_logs_for_people()?;
        let state = self.dir.join(STATE);
        let _hold = Hold::take(&state)?;
        let controller = Embedded::bind(embedded::Setting {
            home: self.namespace.clone(),
            folder: self.dir.clone(),
            read_listen: self.read_listen,
            read_listen_v6: self.read_listen_v6,
            health_listen: self.health_listen,
            logs,
        })?;
        let sidecar = Local::bind(local::Setting {
            api: self.api_listen,
            api_v6: self.api_listen_v6,
            dns: self.dns_listen,
            dns_forward: self.dns_forward,
            namespace: self.namespace.clone(),
            state_dir: state,
            ca_pem: controller.ca_pem().to_owned(),
            network: controller.way(),
            pods: Arc::new(Addresses(controller.residents())),
        })?;
        let page = Page {
            namespace: self.namespace,
            folder: self.dir,
            api: first(sidecar.api_addresses()?)?,
            dns: sidecar.dns_addresses()?.into_iter().next(),
            read: first(controller.read_addresses()?)?,
            health: controller.health_address()?,
        };
        let metrics = sidecar.metrics();
        let mut printer = Printer::new().context("no thread to print by")?;
        printer.print(page.to_string().lines().map(str::to_owned).collect());
        // The sidecar ends first: its sessions have somebody to say goodbye to, and nobody is told that they are lost.
        let ((end_controller, controller_ear), (end_sidecar, sidecar_ear)) = (shutdown(), shutdown());
        let mut parts = JoinSet::new();
        parts.spawn(tell(controller.shelf(), controller.views(), printer, sidecar_ear.clone()));
        parts.spawn(controller.run(Beside::new(move || metrics.text()), controller_ear));
        let mut calling = JoinSet::new();
        calling.spawn(sidecar.run(sidecar_ear));
        let result = tokio::select! {
            signal = Trigger::signalled() => signal.map(drop).context("signals cannot be heard"),
            Some(ended) = parts.join_next() => ended?,
            Some(ended) = calling.join_next() => ended?,
        };
        let ends = async {
            end_sidecar.pull();
            while calling.join_next().await.is_some() {}
            end_controller.pull();
            while parts.join_next().await.is_some() {}
        };
        tokio::select! {
            // What is left then has said all that it has to say.
            _ = timeout(END_MAX, ends) => {}
            // Whoever asks twice does not want to wait.
            _ = Trigger::signalled() => {}
        }
        result
    }
}

/// Prints what changes in the folder and in the catalogue, until the process ends.
async fn tell(
    mut shelf: watch::Receiver<Arc<Shelf>>,
    mut views: watch::Receiver<Arc<View>>,
    mut printer: Printer,
    mut shutdown: Shutdown,
) -> anyhow::Result<()> {
    let (mut told_shelf, mut told_catalogue) = (Arc::<Shelf>::default(), Snapshot::default());
    loop {
        let changed = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            changed = shelf.changed() => changed,
            changed = views.changed() => changed,
        };
        if changed.is_err() {
            // They end with the controller, whose end is seen.
            shutdown.requested().await;
            return Ok(());
        }
        let next = shelf.borrow_and_update().clone();
        let mut lines = news::of_files(&told_shelf, &next);
        told_shelf = next;
        let next = views.borrow_and_update().catalogue.clone();
        lines.extend(news::of_catalogue(&told_catalogue, &next));
        told_catalogue = next;
        printer.print(lines);
    }
}

fn first(addresses: Vec<SocketAddr>) -> anyhow::Result<SocketAddr> {
    addresses.into_iter().next().context("no port is open; this is a bug")
}

/// The error, with what to do about a port that is taken.
fn remedied(error: anyhow::Error) -> anyhow::Error {
    let taken = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    match taken.map(io::Error::kind).any(|kind| kind == io::ErrorKind::AddrInUse) {
        true => anyhow::anyhow!(
            "{error}: another program has that port, perhaps another `rollcall dev`; end it, or choose another port with that flag"
        ),
        false => error,
    }
}

// === impl Addresses ===

impl Pods for Addresses {
    fn token_of(&self, address: IpAddr) -> BoxFuture<'_, anyhow::Result<String>> {
        async move { Ok(self.0.token_of(address).await?) }.boxed()
    }

    fn let_go(&self, address: IpAddr) -> BoxFuture<'_, ()> {
        self.0.let_go(address).boxed()
    }
}
