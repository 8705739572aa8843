//! A path, and the one function whose instructions are counted.

use std::{env, hint::black_box, ops::Range};

use anyhow::{Context, bail, ensure};

/// Goes a path once, for the turn of this number; says whether it came to what it is to come to.
pub type Work = Box<dyn FnMut(usize) -> bool>;

/// Holds a path by its name: what is to be done before it can be gone, and how often it is gone.
pub struct Path {
    name: String,
    /// Of all rounds: so many that what differs from turn to turn is the same on the whole.
    turns: usize,
    make: Make,
}

/// Makes all that a path needs, given how many turns there are in a round.
type Make = Box<dyn Fn(usize) -> anyhow::Result<Work>>;

/// Turns of a round before those that are counted: buffers have their size then, and what is made once is there.
const WARM: usize = 16;
/// How often all is made anew, each time with the heap in another order: by the order alone a path that takes and gives back
/// much memory costs some percent more or less, and any change elsewhere is another order.
const ROUNDS: usize = 8;
/// By so many bytes the heap is moved from round to round.
const MOVED_BYTES: usize = 1_000;

/// The program of these paths: `list` names them, each with its turns; `run` goes one.
pub fn main(paths: &[Path]) -> anyhow::Result<()> {
    let words: Vec<_> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            paths.iter().for_each(|path| println!("{}\t{}", path.name, path.turns));
            Ok(())
        }
        ["run", name] => {
            let path = paths.iter().find(|path| path.name == name);
            path.with_context(|| format!("there is no path `{name}`; `list` says which there are"))?.go()
        }
        _ => bail!("say `list`, or `run` and the name of a path"),
    }
}

/// All that is counted. Valgrind is told of it by its name, and so it must stay a function.
#[inline(never)]
fn counted_turns(work: &mut Work, turns: Range<usize>) -> usize {
    turns.filter(|turn| work(*turn)).count()
}

// === impl Path ===

impl Path {
    /// `turns`: a multiple of eight.
    pub fn new(
        name: impl Into<String>,
        turns: usize,
        make: impl Fn(usize) -> anyhow::Result<Work> + 'static,
    ) -> Self {
        Self { name: name.into(), turns, make: Box::new(make) }
    }

    /// Goes it, in each round until it is warm and then so often as is counted.
    pub fn go(&self) -> anyhow::Result<()> {
        let turns = self.turns / ROUNDS;
        ensure!(
            turns * ROUNDS == self.turns,
            "{}: {} turns are not for {ROUNDS} rounds",
            self.name,
            self.turns
        );
        // Nothing is given back before the end: the next round would find the heap as this one did.
        let mut kept = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            let moved = black_box(vec![0_u8; MOVED_BYTES * (round + 1)]);
            let mut work = (self.make)(WARM + turns)?;
            let warm = (0..WARM).filter(|turn| work(*turn)).count();
            let counted = counted_turns(&mut work, WARM..WARM + turns);
            let (done, asked) = (warm + counted, WARM + turns);
            ensure!(done == asked, "{}: {done} of {asked} turns came to what they should", self.name);
            kept.push((moved, work));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    /// Turns that are counted in a round.
    const TURNS: usize = 2;

    #[test]
    fn each_turn_of_a_round_is_gone_once_and_one_that_comes_to_nothing_is_an_error() {
        let gone = Rc::new(RefCell::new(Vec::new()));
        let told = gone.clone();
        let path = |fails: Option<usize>| {
            let told = told.clone();
            Path::new("x", TURNS * ROUNDS, move |turns| {
                let told = told.clone();
                assert_eq!(turns, WARM + TURNS);
                Ok(Box::new(move |turn| {
                    told.borrow_mut().push(turn);
                    fails != Some(turn)
                }))
            })
        };
        path(None).go().unwrap();
        let rounds: Vec<_> = (0..ROUNDS).flat_map(|_| 0..WARM + TURNS).collect();
        assert_eq!(*gone.borrow(), rounds);
        for turn in [0, WARM + TURNS - 1] {
            assert!(path(Some(turn)).go().unwrap_err().to_string().contains("17 of 18"));
        }
        assert!(Path::new("x", ROUNDS + 1, |_| Ok(Box::new(|_| true))).go().is_err());
    }
}
