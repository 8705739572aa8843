//! A sidecar in session with us, without a network.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Parser;
use http::Response;
use rollcall_net::Kernel;
use rollcall_sidecar::{
    args::Args,
    embedded::{App, Embedded},
};
use rollcall_wire::{Down, PROTOCOL, PodIdentity};
use tokio::runtime::Builder;

use rollcall_counts::shop;

/// Holds a sidecar, and the app beside it.
pub(crate) struct Alone {
    sidecar: Embedded,
    pub(crate) app: App,
}

/// The answer, which is there without waiting where the name is known.
pub(crate) fn looked_up(app: &App, name: &str) -> Option<Response<Bytes>> {
    match pin!(app.lookup(name)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

// === impl Alone ===

impl Alone {
    /// One that knows of these services, each with so many instances.
    pub(crate) fn new(services: usize, instances: usize) -> anyhow::Result<Self> {
        // Nobody is called, and nothing is on the disk.
        let args = ["sidecar", "--controller=127.0.0.1:1", "--namespace=shop"].map(str::to_owned);
        let nowhere = ["ca-file", "token-file", "state-dir", "registrations-dir"];
        let nowhere = nowhere.map(|flag| format!("--{flag}=/nonexistent/{flag}"));
        let args = Args::try_parse_from(args.into_iter().chain(nowhere))?;
        let sidecar = Embedded::new(args, Arc::new(Kernel))?;
        let mut sidecar = Self { app: sidecar.app(), sidecar };
        sidecar.wish(services)?;
        sidecar.hear(welcome()?)?;
        for number in 0..services {
            let key = shop::key(number)?;
            sidecar.hear(shop::whole(&key, &shop::service(&key, instances)?))?;
        }
        let asked = (0..services).map(shop::key).collect::<Result<_, _>>()?;
        let (position, changed) = Default::default();
        sidecar.hear(Down::Synced { cursor: 1, services: asked, summary: false, position, changed })?;
        anyhow::ensure!(sidecar.app.in_step(), "it is not in step though all was said");
        Ok(sidecar)
    }

    pub(crate) fn hear(&mut self, frame: Down) -> anyhow::Result<()> {
        Ok(self.sidecar.hear(frame)?)
    }

    /// The app asks for these, and will not wait for the answer: what it asks for is asked of the controller.
    fn wish(&self, services: usize) -> anyhow::Result<()> {
        let runtime = Builder::new_current_thread().enable_time().build().context("no runtime")?;
        let _entered = runtime.enter();
        for number in 0..services {
            let known = looked_up(&self.app, &shop::name(number));
            anyhow::ensure!(known.is_none(), "{} is known before it was told", shop::name(number));
        }
        Ok(())
    }
}

fn welcome() -> anyhow::Result<Down> {
    let (position, changed) = Default::default();
    Ok(Down::Welcome {
        protocol: PROTOCOL.to_owned(),
        replica: "controller-1".to_owned(),
        epoch: "epoch-1".to_owned(),
        replicas: Vec::new(),
        ca: None,
        controller: None,
        pod: PodIdentity {
            namespace: "shop".parse()?,
            name: "storefront-1".to_owned(),
            uid: shop::uid(0),
            node: Some("node-1".to_owned()),
            zone: Some("zone-1".to_owned()),
            addresses: Vec::new(),
        },
        position,
        changed,
    })
}
