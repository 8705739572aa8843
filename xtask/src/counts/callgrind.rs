//! Counting: one path after the other under valgrind, which says how many instructions one function took, with all that it
//! called.

use super::budgets::Count;
use anyhow::{Context, Result, bail};
use rollcall_cluster::{Step, interrupt, output_of};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What is counted begins and ends with this function of `bench/counts`, whatever stands around its name.
const COUNTED: &str = "--toggle-collect=*counted_turns*";
/// All that is in the environment of what is counted: what others have in theirs moves the stack, and is read by the sidecar.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Holds where it is kept what was counted of each path.
pub(super) struct Counter {
    folder: PathBuf,
}

/// Holds a path, how often it is gone, and the program that goes it.
#[derive(Debug, PartialEq, Eq)]
struct Gone<'a> {
    program: &'a Path,
    name: String,
    turns: u64,
}

// === impl Counter ===

impl Counter {
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// All paths of these programs in their order. As many are counted at once as there are processors: none hears the other.
    pub(super) fn all(&self, programs: &[PathBuf]) -> Result<Vec<Count>> {
        let step = Step::start("counting instructions");
        let mut paths = Vec::new();
        for program in programs {
            let text = output_of("listing the paths", Command::new(program).arg("list"))?;
            paths.extend(listed(program, &text)?);
        }
        let (next, counts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || -> Result<()> {
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                interrupt::check()?;
                let count = self.one(path)?;
                counts.lock().unwrap_or_else(PoisonError::into_inner).push(count);
            }
            Ok(())
        };
        let workers = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().unwrap_or_else(|_| bail!("a thread that counts has ended by itself"))
            })
        })?;
        step.done();
        let mut counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        counts.sort_by_key(|count| paths.iter().position(|path| path.name == count.path));
        Ok(counts)
    }

    fn one(&self, path: &Gone<'_>) -> Result<Count> {
        let file = self.folder.join(format!("{}.callgrind", path.name.replace(['/', ' '], "-")));
        let mut valgrind = Command::new("valgrind");
        valgrind.env_clear().env("PATH", PATH).args(["--tool=callgrind", COUNTED]);
        valgrind.arg(format!("--callgrind-out-file={}", file.display()));
        // By its name alone, wherever the checkout is: how long its path is would move the heap.
        let (folder, name) = (path.program.parent(), path.program.file_name());
        let (folder, name) =
            folder.zip(name).with_context(|| format!("{} is no file", path.program.display()))?;
        valgrind.current_dir(folder).arg(Path::new(".").join(name)).args(["run", &path.name]);
        output_of(&format!("counting {}", path.name), &mut valgrind)?;
        let instructions = in_all(&file)?;
        Ok(Count { path: path.name.clone(), count: (instructions + path.turns / 2) / path.turns })
    }
}

/// The paths that the program lists, a line each: its name, a tab, its turns.
fn listed<'a>(program: &'a Path, text: &str) -> Result<Vec<Gone<'a>>> {
    let path = |line: &str| {
        let (name, turns) = line.split_once('\t')?;
        let turns = turns.parse().ok().filter(|turns| *turns > 0)?;
        Some(Gone { program, name: name.to_owned(), turns })
    };
    let paths: Option<Vec<_>> = text.lines().map(path).collect();
    paths.filter(|paths| !paths.is_empty()).with_context(|| format!("no list of paths: {text}"))
}

/// The instructions that callgrind's file has in all.
fn in_all(file: &Path) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    match total {
        Some(total) if total > 0 => Ok(total),
        _ => bail!("{}: nothing was counted; is the counted function still one?", file.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_and_anything_else_is_none() {
        let program = Path::new("counts");
        let gone = |name: &str, turns| Gone { program, name: name.to_owned(), turns };
        assert_eq!(listed(program, "a/b c\t16\nd\t2\n").unwrap(), [gone("a/b c", 16), gone("d", 2)]);
        for other in ["", "a", "a\tmany", "a\t0"] {
            assert!(listed(program, other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn what_was_counted_in_all_is_found_and_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.callgrind");
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            in_all(&file)
        };
        assert_eq!(read("events: Ir\nsummary: 7\n\ntotals: 120\n").unwrap(), 120);
        assert!(read("events: Ir\n\ntotals: 0\n").is_err());
        assert!(read("").is_err());
    }
}
