//! Stories of chance: what goes wrong, and what people do meanwhile, drawn from a seed.

use std::time::Duration;

use crate::{
    Millis,
    history::Reader,
    network::{CutId, Way, Whom},
    world::{World, api_server_address, node_name},
};

/// From the end of a trouble until everything is as promised again: 9 s until a silence is noticed, and 30 s of back-off.
const OVER_AFTER_MS: Millis = 45_000;
/// What a kernel may wait before it sends again what was lost in a cut of so long: as long again.
const KERNEL_WAITS: Millis = 1;

/// Says what goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    ControllerKilled,
    ControllerStandsStill,
    CutFromApiServer,
    CutFromNode,
    CutFromOthers,
    OneWayFromApiServer,
    ApiServerAway,
    ApiServerSlow,
    WatchesShort,
    WayLong,
    SidecarsKilled,
}

/// Holds what goes wrong now, and how it is mended.
struct Going {
    what: Trouble,
    controller: usize,
    cuts: Vec<CutId>,
    from_ms: Millis,
}

impl Trouble {
    const ALL: [Self; 11] = [
        Self::ControllerKilled,
        Self::ControllerStandsStill,
        Self::CutFromApiServer,
        Self::CutFromNode,
        Self::CutFromOthers,
        Self::OneWayFromApiServer,
        Self::ApiServerAway,
        Self::ApiServerSlow,
        Self::WatchesShort,
        Self::WayLong,
        Self::SidecarsKilled,
    ];
}

// === impl World ===

impl World {
    /// So many troubles one after the other, or two at a time, while pods come and go.
    pub fn play_chances(&mut self, troubles: u32) {
        for _ in 0..troubles {
            let mut going = vec![self.begin_trouble()];
            if self.chance.percent(30) {
                going.push(self.begin_trouble());
            }
            let lasts_ms = self.chance.within(500..=40_000);
            self.live_for(lasts_ms);
            while !going.is_empty() {
                let place = self.chance.within(0..=going.len() as u64 - 1);
                let next = going.remove(usize::try_from(place).expect("there are two at most"));
                self.end_trouble(next);
                let pause_ms = self.chance.within(0..=5_000);
                self.live_for(pause_ms);
            }
            let calm_ms = self.chance.within(0..=20_000);
            self.live_for(calm_ms);
        }
    }

    /// Pods come and go for so long.
    fn live_for(&mut self, for_ms: Millis) {
        let until_ms = self.now_ms() + for_ms;
        while self.now_ms() < until_ms {
            let pause_ms = self.chance.within(500..=6_000).min(until_ms - self.now_ms());
            self.play(pause_ms);
            let names = self.pods_in_life();
            let Some(name) = self.chance.pick(&names).cloned() else { continue };
            match self.chance.within(0..=9) {
                0..=2 => {
                    let service = self.pods[&name].service;
                    self.create_pod(service);
                }
                3..=5 if names.len() > 4 => self.delete_pod(&name),
                6 | 7 => self.app_fails(&name, true),
                8 => self.kill_sidecar(&name),
                _ => self.app_fails(&name, false),
            }
        }
    }

    fn begin_trouble(&mut self) -> Going {
        let what = *self.chance.pick(&Trouble::ALL).expect("there are some");
        let controller =
            usize::try_from(self.chance.within(0..=self.controllers.len() as u64 - 1)).expect("few");
        let one = Whom::One(self.controllers[controller].address);
        let node = 1 + u8::try_from(self.chance.within(0..=u64::from(self.size.nodes) - 1)).expect("few");
        self.note(format!("trouble: {what:?} of controller {controller}, n{node}"));
        let mut cuts = Vec::new();
        match what {
            Trouble::ControllerKilled => self.kill_controller(controller),
            Trouble::ControllerStandsStill => self.freeze_controller(controller),
            Trouble::CutFromApiServer => cuts.extend(self.net.cut_both(&one, &api_server_address())),
            Trouble::CutFromNode => {
                self.pods_of_node_are_cut(node);
                cuts.extend(self.net.cut_both(&one, &Whom::Node(node_name(node).into())));
            }
            Trouble::CutFromOthers => {
                (1..=self.size.nodes).for_each(|node| self.pods_of_node_are_cut(node));
                cuts.extend(self.net.cut_both(&one, &Whom::All));
            }
            Trouble::OneWayFromApiServer => cuts.push(self.net.cut(api_server_address(), one)),
            Trouble::ApiServerAway => self.controllers.iter().for_each(|one| one.faults.away(true)),
            Trouble::ApiServerSlow => {
                let takes = Duration::from_millis(self.chance.within(200..=4_000));
                self.controllers.iter().for_each(|one| one.faults.every_call_takes(takes));
            }
            Trouble::WatchesShort => {
                let last = Some(Duration::from_secs(1));
                self.controllers.iter().for_each(|one| one.faults.watches_last(last));
            }
            Trouble::WayLong => {
                let latency_ms = self.chance.within(20..=400);
                self.net.set_way(one, Whom::All, Way { latency_ms, bytes_per_ms: Some(200) });
            }
            Trouble::SidecarsKilled => {
                for name in self.pods_in_life() {
                    if self.chance.percent(40) {
                        self.kill_sidecar(&name);
                    }
                }
            }
        }
        Going { what, controller, cuts, from_ms: self.now_ms() }
    }

    fn end_trouble(&mut self, going: Going) {
        let Going { what, controller, cuts, from_ms } = going;
        self.note(format!("trouble is over: {what:?} of controller {controller}"));
        self.net.heal(&cuts);
        match what {
            Trouble::ControllerStandsStill => self.wake_controller(controller),
            Trouble::ApiServerAway => self.controllers.iter().for_each(|one| one.faults.away(false)),
            Trouble::ApiServerSlow => {
                self.controllers.iter().for_each(|one| one.faults.every_call_takes(Duration::ZERO));
            }
            Trouble::WatchesShort => self.controllers.iter().for_each(|one| one.faults.watches_last(None)),
            Trouble::WayLong => self.net.set_way(Whom::All, Whom::All, Way::default()),
            Trouble::CutFromNode | Trouble::CutFromOthers => self.pods_are_reached_again(),
            _ => {}
        }
        let now_ms = self.now_ms();
        let lasted_ms = now_ms - from_ms;
        let until_ms = now_ms + OVER_AFTER_MS + lasted_ms * KERNEL_WAITS;
        // Every reader may have been concerned: the news came from whom it met.
        self.truth.trouble(None::<Vec<Reader>>, from_ms, until_ms);
    }
}
