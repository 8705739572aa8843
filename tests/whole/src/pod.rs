//! An app's pod: its sidecar as it is, and an app that looks up all the time and notes what it is told.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use clap::Parser;
use http::Response;
use rollcall_net::{Jitter, shutdown};
use rollcall_sidecar::{
    args::Args,
    embedded::{App, Embedded},
};
use serde::Deserialize;
use tokio::{sync::watch, time::sleep};

use crate::{
    chronicle::Clock,
    history::{Answer, Journal, Reader, Shown},
    kubernetes::APPS,
    network::Endpoint,
};

/// An app looks up each name so often, somewhere in this range.
const LOOKS_EVERY: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(250)];

/// Holds what a pod's processes are given.
#[derive(Debug, Clone)]
pub struct Setting {
    pub reader: Reader,
    /// Counts the processes of this sidecar.
    pub life: u32,
    pub endpoint: Endpoint,
    pub controllers: SocketAddr,
    /// Its token and its disk.
    pub folder: PathBuf,
    /// Where everybody finds the authority.
    pub authority: PathBuf,
    pub looks_up: Vec<Arc<str>>,
    pub journal: Journal,
    pub clock: Clock,
    /// Whether the app says that it is not well.
    pub fails: watch::Receiver<bool>,
}

/// Runs until the process is killed.
pub async fn run(setting: Setting) -> anyhow::Result<()> {
    let at = |name: &str| setting.folder.join(name).display().to_string();
    let args = Args::try_parse_from([
        "sidecar".to_owned(),
        format!("--controller={}", setting.controllers),
        format!("--ca-file={}", setting.authority.display()),
        format!("--token-file={}", at("token")),
        format!("--state-dir={}", at("state")),
        format!("--registrations-dir={}", at("none")),
        format!("--namespace={APPS}"),
    ])?;
    let sidecar = Embedded::new(args, Arc::new(setting.endpoint.clone()))?;
    let (_trigger, ear) = shutdown();
    tokio::spawn(look_up(sidecar.app(), setting.clone()));
    tokio::spawn(say_how_it_is(sidecar.app(), setting.fails));
    sidecar.run(ear).await
}

async fn say_how_it_is(app: App, mut fails: watch::Receiver<bool>) {
    // That it is well, nobody needs to be told by an app that never was anything else.
    while fails.changed().await.is_ok() {
        app.says(*fails.borrow_and_update());
    }
}

async fn look_up(app: App, setting: Setting) {
    let mut jitter = Jitter::from_entropy();
    let [least, most] = LOOKS_EVERY;
    loop {
        for service in &setting.looks_up {
            let answer = read(&app.lookup(service).await);
            setting.journal.note(setting.clock.now_ms(), &setting.reader, setting.life, service, answer);
        }
        setting.journal.note_step(setting.clock.now_ms(), &setting.reader, app.in_step());
        sleep(least + jitter.up_to(most - least)).await;
    }
}

/// What an app makes of an answer.
pub fn read(response: &Response<Bytes>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        revision: u64,
        instances: Vec<Instance>,
    }
    #[derive(Deserialize)]
    struct Instance {
        id: String,
        address: IpAddr,
    }
    match response.status().as_u16() {
        200 => {}
        404 => return Answer::Unknown,
        other => return Answer::Refused(other),
    }
    let body: Body = serde_json::from_slice(response.body()).expect("the sidecar's answers are JSON");
    let from_disk = response.headers().get("x-rollcall-source").is_some_and(|source| source == "disk");
    let mut shown: Vec<_> = body
        .instances
        .into_iter()
        .map(|Instance { id, address }| {
            let pod = id.rsplit_once('-').map_or(&*id, |(pod, _)| pod);
            Shown { pod: pod.into(), address }
        })
        .collect();
    shown.sort();
    Answer::Known { revision: body.revision, shown: shown.into(), from_disk }
}
