//! The floor: a process that holds sets of names, and writes each new one to all who watch it. It promises nothing, and so shows
//! what sockets, the two processes and this harness cost.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use futures::{FutureExt, future::BoxFuture};
use rollcall_cluster::companion::Companion;
use rollcall_results::{Class, Configuration, Program};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Builder,
    sync::watch,
};

use crate::{
    local::{listening, measured},
    peers::{Client, Data, Peer, Registry, Watcher},
    report,
};

/// Holds the process, and connections over which nobody asks now.
pub(super) struct Floor {
    process: Companion,
    at: SocketAddr,
    idle: Mutex<Vec<Line>>,
}

/// Holds a connection on which lines go to and fro.
struct Line {
    say: OwnedWriteHalf,
    hear: Lines<BufReader<OwnedReadHalf>>,
}

/// Holds the sets by their names, each as those who watch it are to be told.
type Sets = Arc<Mutex<BTreeMap<String, watch::Sender<Arc<BTreeSet<String>>>>>>;

/// Serves `add SET NAME`, `remove SET NAME` and `watch SET`.
pub(crate) fn serve(port: u16, data: Data) -> anyhow::Result<()> {
    let sets = (0..data.services).map(|number| {
        let set: BTreeSet<_> = data.addresses(number).collect();
        (Data::service(number), watch::Sender::new(Arc::new(set)))
    });
    let sets: Sets = Arc::new(Mutex::new(sets.collect()));
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let sets = sets.clone();
            // Who hangs up is not served any more.
            tokio::spawn(async move { answer(Line::of(stream)?, &sets).await });
        }
    })
}

async fn answer(mut line: Line, sets: &Sets) -> anyhow::Result<()> {
    while let Some(words) = line.hear.next_line().await? {
        let words: Vec<_> = words.split(' ').collect();
        let (["add" | "remove", set, _] | ["watch", set]) = words.as_slice() else {
            bail!("{words:?}: nothing that could be done")
        };
        let set = sets.lock().unwrap_or_else(PoisonError::into_inner).get(*set).cloned();
        let set = set.context("no such set")?;
        match words.as_slice() {
            ["watch", _] => {
                let mut news = set.subscribe();
                news.mark_changed();
                while news.changed().await.is_ok() {
                    let now = news.borrow_and_update().clone();
                    line.say(&serde_json::to_string(&*now)?).await?;
                }
                return Ok(());
            }
            [verb, _, name] => {
                set.send_modify(|held| {
                    let held = Arc::make_mut(held);
                    if *verb == "add" {
                        held.insert((*name).to_owned())
                    } else {
                        held.remove(*name)
                    };
                });
                line.say("ok").await?;
            }
            _ => {}
        }
    }
    Ok(())
}

// === impl Line ===

impl Line {
    fn of(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        let (hear, say) = stream.into_split();
        Ok(Self { say, hear: BufReader::new(hear).lines() })
    }

    async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(self.say.write_all(format!("{line}\n").as_bytes()).await?)
    }

    async fn hear(&mut self) -> anyhow::Result<String> {
        self.hear.next_line().await?.context("the connection ended")
    }
}

// === impl Floor ===

impl Floor {
    pub(super) async fn start(port: u16, data: Data) -> anyhow::Result<Self> {
        let program = env::current_exe()?;
        let words = [
            "propagation-floor".to_owned(),
            format!("--port={port}"),
            format!("--services={}", data.services),
            format!("--instances={}", data.instances),
        ];
        let process = measured("starting the floor", Path::new(&program), move |floor: &mut Command| {
            floor.args(words);
        })?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        listening(at, &process).await?;
        Ok(Self { process, at, idle: Mutex::default() })
    }

    async fn connect(&self) -> anyhow::Result<Line> {
        Line::of(TcpStream::connect(self.at).await?)
    }

    async fn tell(&self, words: String) -> anyhow::Result<()> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut line = match idle {
            Some(line) => line,
            None => self.connect().await?,
        };
        line.say(&words).await?;
        ensure!(line.hear().await? == "ok", "{words}: not done");
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Ok(())
    }
}

impl Peer for Floor {
    fn name(&self) -> &str {
        "bare push"
    }

    fn class(&self) -> Class {
        Class::Floor
    }

    fn configuration(&self) -> Configuration {
        Configuration::Default
    }

    fn programs(&self) -> Vec<Program> {
        report::program("bare push", env!("CARGO_PKG_VERSION"), self.process.pid()).into_iter().collect()
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        async { bail!("nobody looks up here") }.boxed()
    }
}

impl Registry for Floor {
    fn register<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        self.tell(format!("add {service} {instance}")).boxed()
    }

    fn deregister<'a>(&'a self, service: &'a str, instance: &'a str) -> BoxFuture<'a, anyhow::Result<()>> {
        self.tell(format!("remove {service} {instance}")).boxed()
    }

    fn watch<'a>(&'a self, service: &'a str) -> BoxFuture<'a, anyhow::Result<Box<dyn Watcher>>> {
        async move {
            let mut line = self.connect().await?;
            line.say(&format!("watch {service}")).await?;
            Ok(Box::new(line) as Box<dyn Watcher>)
        }
        .boxed()
    }
}

impl Watcher for Line {
    fn next(&mut self) -> BoxFuture<'_, anyhow::Result<(Instant, Vec<String>)>> {
        async {
            let now = serde_json::from_str(&self.hear().await?)?;
            Ok((Instant::now(), now))
        }
        .boxed()
    }
}
