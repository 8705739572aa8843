//! Who is measured: the bare push, Rollcall, and all registries that are asked for.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Context;
use rollcall_results::{Configuration, Program};

use super::{Wish, case::Manner, floor::Floor};
use crate::{
    ours::{Rollcall, Wish as OurWish},
    peers::{ALL, Data, Heartbeat, Registry, Start, Started},
};

/// Pods whose coming and going is measured, in turn: one alone would say more than a session of ours may, and have a phase of
/// its own. They are in nobody's data.
const MEASURED_PODS: u32 = 8;
/// Pods that come to other services, and go, meanwhile, each to one.
pub(super) const BACKGROUND_PODS: u32 = 25;
/// The first of either.
const MEASURED: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 1);
const BACKGROUND: Ipv4Addr = Ipv4Addr::new(10, 250, 2, 1);
/// Sidecars at which apps watch, several at each: as many as fit beside all others.
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

/// Who comes and goes at this turn.
pub(super) fn measured_pod(turn: u32) -> String {
    Ipv4Addr::from(u32::from(MEASURED) + turn % MEASURED_PODS).to_string()
}

/// All who come and go in a case, each with its service.
pub(super) fn theirs(has_background: bool) -> impl Iterator<Item = (String, String)> {
    let measured = (0..MEASURED_PODS).map(|pod| (Data::service(0), measured_pod(pod)));
    let background = (0..BACKGROUND_PODS).map(|pod| (Data::service(1 + pod), background_pod(pod)));
    measured.chain(background.filter(move |_| has_background))
}

pub(super) fn background_pod(number: u32) -> String {
    Ipv4Addr::from(u32::from(BACKGROUND) + number).to_string()
}

// === impl Rows ===

impl Rows {
    pub(crate) async fn start(data: Data, wish: &Wish, port: u16, crowd: u32) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        if wish.means("floor") {
            rows.push(Row::of(Arc::new(Floor::start(port, data).await?)));
        }
        if wish.means("rollcall") {
            let measured = (0..MEASURED_PODS).map(measured_pod);
            let registrars = measured.chain((0..BACKGROUND_PODS).map(background_pod));
            let registrars = registrars.map(|pod| pod.parse::<Ipv4Addr>()).collect::<Result<_, _>>()?;
            // Each of the other services has a watcher too.
            let crowd = crowd + BACKGROUND_PODS;
            let ours =
                OurWish { data, registrars, guests: Vec::new(), watching: SIDECARS, crowd, port: port + 1 };
            for one in Rollcall::start(&ours).await.context("starting Rollcall")? {
                let watchers_max = one.watchers_max();
                rows.push(Row { watchers_max, ..Row::of(Arc::new(one)) });
            }
        }
        for peer in Self::peers(wish) {
            rows.extend(Self::of_peer(data, peer).await?);
        }
        Ok(Self(rows))
    }

    /// The registries of others, as they come and tuned, by their names.
    pub(crate) fn peers(wish: &Wish) -> impl Iterator<Item = (&'static str, Start, Configuration)> {
        let meant = ALL.iter().filter(|(name, _)| wish.means(name));
        meant.flat_map(|(name, start)| {
            [Configuration::Default, Configuration::Tuned].map(|configuration| (*name, *start, configuration))
        })
    }

    /// Starts one of them: all of its rows.
    pub(crate) async fn of_peer(
        data: Data,
        (name, start, configuration): (&str, Start, Configuration),
    ) -> anyhow::Result<Vec<Row>> {
        println!("starting {name}, {configuration:?}");
        let started = start(data, configuration).await.with_context(|| format!("starting {name}"))?;
        Ok(started.into_iter().filter_map(Row::of_peer).collect())
    }

    pub(super) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    /// Those who take turns.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn many_pods_come_and_go_each_at_one_service() {
        let [idle, loaded] = [false, true].map(|has_background| theirs(has_background).collect::<Vec<_>>());
        assert!(idle.iter().all(|(service, _)| *service == Data::service(0)));
        assert_eq!(loaded.len(), idle.len() + BACKGROUND_PODS as usize);
        let pods: BTreeSet<_> = loaded.iter().map(|(_, pod)| pod).collect();
        assert_eq!(pods.len(), loaded.len());
        let services: BTreeSet<_> = loaded.iter().map(|(service, _)| service).collect();
        assert_eq!(services.len(), 1 + BACKGROUND_PODS as usize);
    }
}
