//! Which services are asked for: the same one again and again, or all of them, some more often than others.

use std::sync::Arc;

use super::draws::Draws;

/// Says which of the services a load asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Choice {
    /// The first one.
    One,
    /// Each as often as any other.
    Uniform,
    /// By Zipf's law with the exponent 1: the first twice as often as the second, thrice as often as the third.
    Zipf,
}

/// Holds drawn services, by their numbers: a load goes round in them, so that it draws none while it measures.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Arc<[u32]>);

/// So many are drawn before they come again: enough that the rarest of 1,000 services come by Zipf's law as well.
const DRAWN: usize = 1 << 16;
/// How far apart two clients begin, as a share of all keys: the golden section, by which however many of them lie about evenly.
const APART: f64 = 0.618_033_988_749_894_9;

// === impl Choice ===

impl Choice {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        }
    }

    /// Draws of so many services.
    pub(crate) fn keys(self, services: u32, draws: &mut Draws) -> Keys {
        let drawn = match self {
            Self::One => vec![0],
            Self::Uniform => (0..DRAWN).map(|_| (draws.share() * f64::from(services)) as u32).collect(),
            Self::Zipf => {
                let reached: Vec<f64> = (1..=services)
                    .scan(0.0, |sum, rank| {
                        *sum += 1.0 / f64::from(rank);
                        Some(*sum)
                    })
                    .collect();
                let all = reached.last().copied().unwrap_or_default();
                let draw = |share: f64| reached.partition_point(|reached| *reached <= share * all) as u32;
                (0..DRAWN).map(|_| draw(draws.share()).min(services.saturating_sub(1))).collect()
            }
        };
        Keys(drawn.into())
    }
}

// === impl Keys ===

impl Keys {
    /// All of so many services, one after the other.
    pub(crate) fn in_turn(services: u32) -> Self {
        Self((0..services).collect())
    }

    /// The services that a client asks for, without end.
    pub(crate) fn of(&self, client: usize) -> impl Iterator<Item = u32> + Send + use<> {
        let keys = self.0.clone();
        let first = (client as f64 * APART).fract() * keys.len() as f64;
        (first as usize..).map_while(move |turn| keys.get(turn % keys.len().max(1)).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(choice: Choice, services: u32) -> Vec<usize> {
        let keys = choice.keys(services, &mut Draws::new(1));
        let mut times = vec![0; services as usize];
        keys.0.iter().for_each(|service| times[*service as usize] += 1);
        times
    }

    #[test]
    fn by_zipf_a_service_comes_as_often_as_its_rank_says() {
        let times = times(Choice::Zipf, 1_000);
        // The sum of 1/rank up to 1,000.
        let first = DRAWN as f64 / 7.485;
        for rank in [1, 2, 3, 10, 100] {
            let (expected, came) = (first / rank as f64, times[rank - 1] as f64);
            assert!((came - expected).abs() < 5.0 * expected.sqrt(), "{rank}: {came}, not {expected}");
        }
        assert!(times[900..].iter().sum::<usize>() > 500, "the rarest come as well");
    }

    #[test]
    fn uniformly_all_come_alike() {
        let times = times(Choice::Uniform, 100);
        assert!(times.iter().all(|times| (500..820).contains(times)), "{times:?}");
    }

    #[test]
    fn of_one_service_and_of_none_nothing_else_is_asked() {
        for choice in [Choice::One, Choice::Uniform, Choice::Zipf] {
            let keys = choice.keys(1, &mut Draws::new(1));
            assert_eq!(keys.of(3).take(4).collect::<Vec<_>>(), [0; 4], "{choice:?}");
        }
        assert_eq!(Keys::in_turn(0).of(0).next(), None);
    }

    #[test]
    fn clients_begin_at_places_of_their_own() {
        let keys = Keys::in_turn(1_000);
        assert_eq!(keys.of(0).take(3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(keys.of(1).take(3).collect::<Vec<_>>(), [618, 619, 620]);
        assert_eq!(keys.of(21).skip(20).take(3).collect::<Vec<_>>(), [998, 999, 0]);
        for clients in [2, 16, 64] {
            let mut begins: Vec<_> = (0..clients).filter_map(|client| keys.of(client).next()).collect();
            begins.sort_unstable();
            let nearest = begins.windows(2).map(|pair| pair[1] - pair[0]).min().expect("two");
            assert!(nearest as usize >= 1_000 / clients / 3, "{clients}: {begins:?}");
        }
    }
}
