//! Who is measured: the bare push, Rollcall, and all registries that are asked for.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Context;
use rollcall_results::{Class, Configuration, Program, Record};

use super::{
    Wish,
    case::{MEASURED_SERVICES, Manner},
    floor::Floor,
};
use crate::{
    contest::distinct,
    ours::{Rollcall, Wish as OurWish},
    peers::{ALL, Data, Heartbeat, Registry, Started},
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
pub(super) struct Rows(Vec<Row>);

/// Holds who did not start, and why, which keeps nobody else from being measured.
pub(crate) type NotStarted = Vec<(Record, anyhow::Error)>;

/// Who comes and goes at this turn.
pub(super) fn measured_pod(turn: u32) -> String {
    Ipv4Addr::from(u32::from(MEASURED) + turn % MEASURED_PODS).to_string()
}

/// All who come and go in any case, each with its service.
pub(super) fn theirs(has_background: bool) -> impl Iterator<Item = (String, String)> {
    let of_service = |service| (0..MEASURED_PODS).map(move |pod| (Data::service(service), measured_pod(pod)));
    let measured = (0..MEASURED_SERVICES).flat_map(of_service);
    let background =
        (0..BACKGROUND_PODS).map(|pod| (Data::service(MEASURED_SERVICES + pod), background_pod(pod)));
    measured.chain(background.filter(move |_| has_background))
}

/// The registries of others, as they come and tuned: all rows of those that start.
pub(crate) async fn every_peer(wish: &Wish, not_started: &mut NotStarted) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, start) in ALL.iter().filter(|(name, _)| wish.means(name)) {
        for configuration in [Configuration::Default, Configuration::Tuned] {
            println!("starting {name}, {configuration:?}");
            match start(wish.data(), configuration).await {
                Ok(started) => rows.extend(started.into_iter().filter_map(Row::of_peer)),
                // Whatever rows it would have, each has a server behind it.
                Err(error) => not_started.push((Record::new(name, Class::C, configuration, 1), error)),
            }
        }
    }
    rows
}

pub(super) fn background_pod(number: u32) -> String {
    Ipv4Addr::from(u32::from(BACKGROUND) + number).to_string()
}

// === impl Rows ===

impl Rows {
    /// Without a floor there is nothing to compare with; all others may be missing.
    pub(super) async fn start(
        wish: &Wish,
        port: u16,
        crowd: u32,
        not_started: &mut NotStarted,
    ) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        if wish.means("floor") {
            rows.push(Row::of(Arc::new(Floor::start(port, wish.data()).await?)));
        }
        if wish.means("rollcall") {
            match Self::ours(wish.data(), port + 1, crowd).await {
                Ok(ours) => rows.extend(ours),
                Err(error) => {
                    not_started.push((Record::new("rollcall", Class::B, Configuration::Default, 1), error));
                }
            }
        }
        rows.extend(every_peer(wish, not_started).await);
        Ok(Self(rows))
    }

    async fn ours(data: Data, port: u16, crowd: u32) -> anyhow::Result<Vec<Row>> {
        let measured = (0..MEASURED_PODS).map(measured_pod);
        let registrars = measured.chain((0..BACKGROUND_PODS).map(background_pod));
        let registrars = registrars.map(|pod| pod.parse::<Ipv4Addr>()).collect::<Result<_, _>>()?;
        // Each of the other services has a watcher too.
        let crowd = crowd + BACKGROUND_PODS;
        let ours = OurWish { data, registrars, guests: Vec::new(), watching: SIDECARS, crowd, port };
        let started = Rollcall::start(&ours).await.context("starting Rollcall")?;
        let row = |one: Rollcall| Row { watchers_max: one.watchers_max(), ..Row::of(Arc::new(one)) };
        Ok(started.into_iter().map(row).collect())
    }

    pub(super) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    /// Those who take turns.
    pub(super) fn all(&self) -> &[Row] {
        &self.0
    }

    /// Each once: rows share their processes.
    pub(super) fn programs(&self) -> Vec<Program> {
        distinct(self.0.iter().flat_map(|row| row.registry.programs()))
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

    use super::{super::case::cases, *};

    #[test]
    fn many_pods_come_and_go_at_each_measured_service_and_one_at_each_of_the_others() {
        let [idle, loaded] = [false, true].map(|has_background| theirs(has_background).collect::<Vec<_>>());
        let services = |all: &[(String, String)]| {
            all.iter().map(|(service, _)| service.clone()).collect::<BTreeSet<_>>()
        };
        let measured: BTreeSet<_> =
            cases(false).into_iter().map(|case| Data::service(case.service())).collect();
        assert_eq!((measured.len(), &measured), (MEASURED_SERVICES as usize, &services(&idle)));
        assert_eq!(idle.len(), (MEASURED_SERVICES * MEASURED_PODS) as usize);
        assert_eq!(loaded.len(), idle.len() + BACKGROUND_PODS as usize);
        assert_eq!(services(&loaded).len(), services(&idle).len() + BACKGROUND_PODS as usize);
        let pods: BTreeSet<_> = loaded.iter().map(|(_, pod)| pod).collect();
        assert_eq!(pods.len() as u32, MEASURED_PODS + BACKGROUND_PODS);
    }
}
