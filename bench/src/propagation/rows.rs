//! Who is measured: the bare push, Rollcall, and all registries that are asked for.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Context;
use rollcall_results::{Configuration, Program};

use super::{Wish, case::Manner, floor::Floor};
use crate::{
    ours::{Rollcall, Wish as OurWish},
    peers::{ALL, Data, Heartbeat, Registry, Started},
};

/// Whose coming and going is measured. He is in nobody's data.
pub(crate) const MEASURED: &str = "10.250.0.1";
/// Who comes to other services, and goes, meanwhile.
pub(crate) const BACKGROUND: &str = "10.250.0.2";
/// Sidecars at which apps watch: as many as fit beside all others.
const SIDECARS: u8 = 10;
/// What nobody limits.
const WATCHERS_MAX: usize = 1_000;

/// Holds one system as it is measured here.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) heartbeat: Option<Arc<dyn Heartbeat>>,
    pub(super) manner: Manner,
    pub(super) watchers_max: usize,
}

/// Holds all that run.
pub(crate) struct Rows(Vec<Row>);

// === impl Rows ===

impl Rows {
    pub(crate) async fn start(data: Data, wish: &Wish, port: u16, crowd: u32) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        if wish.means("floor") {
            rows.push(Row::of(Arc::new(Floor::start(port, data).await?)));
        }
        if wish.means("rollcall") {
            let registrars = vec![MEASURED.parse::<Ipv4Addr>()?, BACKGROUND.parse()?];
            let ours =
                OurWish { data, registrars, guests: Vec::new(), watching: SIDECARS, crowd, port: port + 1 };
            for one in Rollcall::start(&ours).await.context("starting Rollcall")? {
                let watchers_max = one.watchers_max();
                rows.push(Row { watchers_max, ..Row::of(Arc::new(one)) });
            }
        }
        rows.extend(Self::peers(data, wish).await?);
        Ok(Self(rows))
    }

    /// The registries of others, as they come and tuned.
    pub(crate) async fn peers(data: Data, wish: &Wish) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (name, start) in ALL.iter().filter(|(name, _)| wish.means(name)) {
            for configuration in [Configuration::Default, Configuration::Tuned] {
                println!("starting {name}, {configuration:?}");
                let started = start(data, configuration).await.with_context(|| format!("starting {name}"))?;
                rows.extend(started.into_iter().filter_map(Row::of_peer));
            }
        }
        Ok(rows)
    }

    pub(super) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(crate) fn all(&self) -> &[Row] {
        &self.0
    }

    /// Each once: rows share their processes.
    pub(crate) fn programs(&self) -> Vec<Program> {
        let mut programs: Vec<Program> = Vec::new();
        for program in self.0.iter().flat_map(|row| row.registry.programs()) {
            if !programs.contains(&program) {
                programs.push(program);
            }
        }
        programs
    }
}

// === impl Row ===

impl Row {
    pub(crate) fn of(registry: Arc<dyn Registry>) -> Self {
        let manner = Manner::of(registry.name(), registry.configuration());
        Self { registry, heartbeat: None, manner, watchers_max: WATCHERS_MAX }
    }

    /// None of one at which nothing registers.
    fn of_peer(started: Started) -> Option<Self> {
        Some(Self { heartbeat: started.heartbeat, ..Self::of(started.registry?) })
    }
}
