//! All systems in turn, round by round, each under the same loads, whatever protocol they speak.

pub(crate) mod load;
mod table;
mod warm;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rollcall_results::{Class, Program, Record};
use tokio::time::sleep;

pub(crate) use self::warm::WarmUp;
use self::{load::Clients, warm::Warm};
use crate::{
    kept::Kept,
    local::{Choice, Keys, Measured, Rounds, Turns, cpu_of},
    peers::{ALL, Data, Peer, Start},
};

/// Holds what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Load {
    /// As much as so many connections can make.
    Closed { choice: Choice, connections: usize },
    /// So many lookups a second.
    Steady { a_second: u32 },
    /// So much of what the system could do in this round.
    Share { percent: u32 },
}

/// Holds a system, and who is its floor.
struct Contender {
    peer: Arc<dyn Peer>,
    /// Of an answer, its head included where it has one.
    bytes: usize,
    /// The place of the floor whose answers are as long, or nearly so.
    floor: usize,
    warm: Warm,
}

/// Holds how all are measured.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// What is asked for, where there is more than one kind.
    pub(crate) kind: Option<&'static str>,
    /// In this order in each turn.
    pub(crate) loads: Vec<Load>,
    /// By what a system could do under this one, its own shares are asked for. More connections add little to it.
    pub(crate) maximum_by: Load,
    /// Of loads that keep a pace: so many that a lookup seldom waits for one.
    pub(crate) open_connections: usize,
    pub(crate) rounds: u32,
    /// All loads on all systems together.
    pub(crate) loads_for: Duration,
    /// Before the first round, of every system. Java's are the reason, and Consul's first answer from its cache.
    pub(crate) warm_up: WarmUp,
}

/// Holds all who are measured with one amount of data, and what came of it.
pub(crate) struct Contest {
    data: Data,
    terms: Terms,
    contenders: Vec<Contender>,
    /// How long a load of the weight 1 lasts.
    lasts: Duration,
    results: BTreeMap<(usize, Load), Rounds>,
    keys: BTreeMap<Choice, Keys>,
}

/// Nobody can keep a pace that is nearly his own maximum: what is measured then is how long it lasts.
const KEPT_PERCENT_MAX: u32 = 90;
/// All systems together take no more than this of a processor when the first load begins, or it was waited for so long.
const QUIET_MAX: f64 = 0.03;
const QUIET_WITHIN: Duration = Duration::from_secs(60);
/// What collects garbage does so now and then.
const QUIET_FOR: Duration = Duration::from_secs(1);
/// In every system, before anything is measured: so many services are looked up and compared.
const SAMPLED: u32 = 7;

/// The systems of these names.
pub(crate) fn systems(wanted: &[String]) -> anyhow::Result<Vec<&'static (&'static str, Start)>> {
    let known = || ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let found = wanted.iter().map(|wanted| {
        let found = ALL.iter().find(|(name, _)| name == wanted);
        found.with_context(|| format!("there is no {wanted}: there are {}", known()))
    });
    found.collect()
}

/// Each once, though several rows share it.
pub(crate) fn distinct(programs: impl Iterator<Item = Program>) -> Vec<Program> {
    programs.fold(Vec::new(), |mut all, program| {
        if !all.contains(&program) {
            all.push(program);
        }
        all
    })
}

// === impl Load ===

impl Load {
    fn told(self) -> String {
        match self {
            Self::Closed { choice, connections } => format!("{connections}, {}", choice.name()),
            Self::Steady { a_second } => format!("{a_second}/s"),
            Self::Share { percent } => format!("{percent} % of own"),
        }
    }

    /// How much longer it lasts than others: one that keeps a pace makes fewer lookups, of which the slowest hundredth is told.
    fn weight(self) -> u32 {
        match self {
            Self::Closed { .. } => 1,
            Self::Steady { .. } | Self::Share { .. } => 2,
        }
    }

    /// Lookups a second by somebody who can do so many; none where he cannot keep it, or where there is no pace.
    fn pace(self, maximum: f64) -> Option<u32> {
        let most = (maximum * f64::from(KEPT_PERCENT_MAX) / 100.0) as u32;
        match self {
            Self::Closed { .. } => None,
            Self::Steady { a_second } => Some(a_second).filter(|a_second| *a_second <= most),
            Self::Share { percent } => {
                let a_second = (maximum * f64::from(percent) / 100.0) as u32;
                Some(a_second).filter(|a_second| *a_second > 0)
            }
        }
    }

    fn tell(self, record: Record, open_connections: usize) -> Record {
        let open = |record: Record| {
            let record = record.with_case("load", "open").with_case("keys", Choice::Zipf.name());
            record.with_case("connections", open_connections as u64)
        };
        match self {
            Self::Closed { choice, connections } => record
                .with_case("load", "closed")
                .with_case("keys", choice.name())
                .with_case("connections", connections as u64),
            Self::Steady { a_second } => open(record).with_case("asked_a_second", a_second),
            Self::Share { percent } => open(record).with_case("share_percent", percent),
        }
    }
}

// === impl Contest ===

impl Contest {
    /// Of these, who must have answers alike, but for the floors, which come first. All are warm then; who is not takes no
    /// part, which is kept with the reason.
    pub(crate) async fn begin(
        data: Data,
        peers: Vec<Arc<dyn Peer>>,
        terms: Terms,
        turns: &mut Turns,
        kept: &Kept,
    ) -> anyhow::Result<Self> {
        let mut contenders: Vec<Contender> = Vec::new();
        for peer in peers {
            match Contender::admitted(peer.clone(), data, &terms).await {
                Ok(contender) => contenders.push(contender),
                // Without a floor there is nothing to compare with.
                Err(error) if peer.class() == Class::Floor => {
                    return Err(error.context(peer.name().to_owned()));
                }
                Err(error) => kept.miss(of(&*peer, data, &terms, 1), &error)?,
            }
        }
        let floors: Vec<_> =
            contenders.iter().map(|one| (one.peer.class() == Class::Floor, one.bytes)).collect();
        for one in &mut contenders {
            one.floor = nearest(&floors, one.bytes).context("there is no floor")?;
        }
        quiet(&contenders).await?;
        let choices = [Choice::One, Choice::Uniform, Choice::Zipf];
        let keys = choices.map(|choice| (choice, choice.keys(data.services, turns.draws()))).into();
        let weights: u32 = terms.loads.iter().map(|load| load.weight()).sum();
        let many = u32::try_from(contenders.len())? * weights * terms.rounds;
        let lasts = terms.loads_for / many.max(1);
        Ok(Self { data, terms, contenders, lasts, results: BTreeMap::new(), keys })
    }

    /// A turn that fails is kept with the reason, and the others go on.
    pub(crate) async fn run(&mut self, turns: &mut Turns, kept: &Kept) -> anyhow::Result<()> {
        for contender in &self.contenders {
            let mut record = self.of(contender, 1).with_case("load", "warm-up");
            contender.warm.tell(&mut record);
            kept.push(&record)?;
        }
        for round in 1..=self.terms.rounds {
            for place in turns.order(self.contenders.len()) {
                let contender = self.contenders.get(place).context("no such contender")?;
                let (turn, stolen_percent) =
                    match turns.undisturbed(async || self.turn(contender).await).await {
                        Ok(turn) => turn,
                        Err(error) => {
                            kept.miss(self.of(contender, round), &error)?;
                            continue;
                        }
                    };
                for (load, mut measured, others_percent) in turn {
                    measured.stolen_percent = stolen_percent;
                    let record = self.record(contender, load, &measured, round);
                    kept.push(&record.with_value("others_busy_percent", others_percent))?;
                    self.results.entry((place, load)).or_default().push(measured);
                }
            }
        }
        Ok(())
    }

    /// One system under all loads that it can bear; beside each, the share of a processor that all others took, who should
    /// have nothing to do.
    async fn turn(&self, contender: &Contender) -> anyhow::Result<Vec<(Load, Measured, f64)>> {
        let pids = contender.peer.pids();
        let others: Vec<_> = self
            .contenders
            .iter()
            .flat_map(|one| one.peer.pids())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|pid| !pids.contains(pid))
            .collect();
        let mut measured = Vec::new();
        let mut maximum = 0.0;
        for load in self.terms.loads.iter().copied() {
            let keys = |choice| self.keys.get(&choice).context("no keys");
            let (connections, pace) = match load {
                Load::Closed { connections, .. } => (connections, None),
                Load::Steady { .. } | Load::Share { .. } => {
                    let Some(a_second) = load.pace(maximum) else { continue };
                    (self.terms.open_connections, Some(a_second))
                }
            };
            let lasts = self.lasts * load.weight();
            let mut clients = Clients::connect(&*contender.peer, connections).await?;
            let (before, others_before) = (cpu_of(&pids)?, cpu_of(&others)?);
            let outcome = match (load, pace) {
                (Load::Closed { choice, .. }, _) => load::closed(&mut clients, keys(choice)?, lasts).await?,
                (_, Some(a_second)) => load::open(&mut clients, keys(Choice::Zipf)?, a_second, lasts).await?,
                (_, None) => continue,
            };
            let (cpu, others_cpu) = (cpu_of(&pids)? - before, cpu_of(&others)? - others_before);
            if load == self.terms.maximum_by {
                maximum = outcome.a_second();
            }
            let others_percent = others_cpu.as_secs_f64() / outcome.took.as_secs_f64() * 100.0;
            measured.push((load, Measured::of(outcome, cpu, 0.0), others_percent));
        }
        Ok(measured)
    }

    fn of(&self, contender: &Contender, round: u32) -> Record {
        of(&*contender.peer, self.data, &self.terms, round)
    }

    fn record(&self, contender: &Contender, load: Load, measured: &Measured, round: u32) -> Record {
        let record = self.of(contender, round).with_value("bytes", contender.bytes as f64);
        let mut record = load.tell(record, self.terms.open_connections);
        measured.tell(&mut record);
        record
    }
}

// === impl Contender ===

impl Contender {
    /// Warm, and with the same answers as all others.
    async fn admitted(peer: Arc<dyn Peer>, data: Data, terms: &Terms) -> anyhow::Result<Self> {
        if peer.class() != Class::Floor {
            alike(&*peer, data).await?;
        }
        let bytes = peer.client().await?.lookup(0).await?;
        let warm = terms.warm_up.warm(&*peer, data.services).await.context("it does not get warm")?;
        Ok(Self { peer, bytes, floor: 0, warm })
    }
}

/// Of whom, and of what data.
fn of(peer: &dyn Peer, data: Data, terms: &Terms, round: u32) -> Record {
    let record = Record::new(peer.name(), peer.class(), peer.configuration(), round)
        .with_case("services", data.services)
        .with_case("instances", data.instances);
    match terms.kind {
        Some(kind) => record.with_case("kind", kind),
        None => record,
    }
}

/// Returns when nobody has much left to do of what the warm-up began: all share a processor. Who is never quiet is told of.
async fn quiet(contenders: &[Contender]) -> anyhow::Result<()> {
    let pids: BTreeSet<_> = contenders.iter().flat_map(|one| one.peer.pids()).collect();
    let pids: Vec<_> = pids.into_iter().collect();
    let begin = Instant::now();
    loop {
        let before = cpu_of(&pids)?;
        sleep(QUIET_FOR).await;
        let busy = (cpu_of(&pids)? - before).as_secs_f64() / QUIET_FOR.as_secs_f64();
        if busy <= QUIET_MAX {
            return Ok(());
        }
        if begin.elapsed() > QUIET_WITHIN {
            println!("together they still take {:.0} % of a processor while nobody asks them", busy * 100.0);
            return Ok(());
        }
    }
}

/// Fails where a system does not find what the data has.
async fn alike(peer: &dyn Peer, data: Data) -> anyhow::Result<()> {
    let mut client = peer.client().await?;
    for service in sample(data.services) {
        let mut expected: Vec<_> = data.addresses(service).collect();
        expected.sort();
        let mut found = client.instances(service).await?;
        found.sort();
        ensure!(
            found == expected,
            "service {service} has {} instances, not the {} of the data: {found:?}",
            found.len(),
            expected.len()
        );
    }
    Ok(())
}

/// Services from the first to the last one.
fn sample(services: u32) -> BTreeSet<u32> {
    (0..SAMPLED).map(|part| services.saturating_sub(1) * part / (SAMPLED - 1)).collect()
}

/// The place of the floor with nearly so many bytes, of all contenders: whether each is a floor, and its bytes.
fn nearest(contenders: &[(bool, usize)], bytes: usize) -> Option<usize> {
    let floors = contenders.iter().enumerate().filter(|(_, (is_floor, _))| *is_floor);
    floors.min_by_key(|(_, (_, of_floor))| of_floor.abs_diff(bytes)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_that_cannot_be_kept_is_not_asked_for() {
        let pace = |load: Load, maximum| load.pace(maximum);
        let closed = Load::Closed { choice: Choice::One, connections: 1 };
        for (load, maximum, expected) in [
            (Load::Steady { a_second: 1_000 }, 2_000.0, Some(1_000)),
            (Load::Steady { a_second: 1_000 }, 1_112.0, Some(1_000)),
            (Load::Steady { a_second: 1_000 }, 1_100.0, None),
            (Load::Share { percent: 80 }, 1_001.0, Some(800)),
            (Load::Share { percent: 10 }, 5.0, None),
            (closed, 1_000.0, None),
        ] {
            assert_eq!(pace(load, maximum), expected, "{load:?} {maximum}");
        }
    }

    #[test]
    fn systems_that_nobody_knows_are_refused() {
        assert!(systems(&["nobody".to_owned()]).is_err());
        let all: Vec<_> = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(systems(&all).expect("known").len(), ALL.len());
    }

    #[test]
    fn a_program_of_several_rows_is_told_once() {
        let program =
            |name: &str| Program { name: name.to_owned(), version: String::new(), command: String::new() };
        let told = distinct([program("a"), program("b"), program("a")].into_iter());
        assert_eq!(told, [program("a"), program("b")]);
    }

    #[test]
    fn a_sample_goes_from_the_first_to_the_last() {
        assert_eq!(sample(1_000).into_iter().collect::<Vec<_>>(), [0, 166, 333, 499, 666, 832, 999]);
        assert_eq!(sample(1).into_iter().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn the_floor_is_the_one_whose_answers_are_as_long() {
        let contenders = [(true, 2_000), (true, 9_700), (false, 9_000)];
        for (bytes, expected) in [(2_100, 0), (9_000, 1), (90_000, 1), (0, 0)] {
            assert_eq!(nearest(&contenders, bytes), Some(expected), "{bytes}");
        }
        assert_eq!(nearest(&[(false, 1)], 1), None);
    }
}
