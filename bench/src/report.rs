//! What all measurements say alike: what they ran on, who took part, and delays.

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use rollcall_cluster::static_build;
use rollcall_results::{Program, Record, Run, Writer};

/// Holds how long each of many things took, in microseconds, to two digits.
pub(crate) struct Delays(Histogram<u64>);

/// What a record is told of its delays, beside all of them.
const SHARES: [(&str, f64); 4] = [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("p999_us", 0.999)];
/// Two digits.
const DIGITS: u8 = 2;
/// What `keep` and `generate` write is no change of what is measured.
const NOT_MEASURED: [&str; 4] = ["--", ".", ":(exclude)docs/benchmarks", ":(exclude)docs/benchmarks.md"];
/// A day has as many.
const DAY_S: u64 = 24 * 60 * 60;

/// Begins `target/bench/NAME.jsonl`, in the place of what an earlier run left there.
pub(crate) fn begin(bench: &str, programs: Vec<Program>) -> anyhow::Result<Writer> {
    let path = static_build::workspace().join("target/bench").join(format!("{bench}.jsonl"));
    Ok(Writer::create(&path, &run(bench, programs)?)?)
}

/// The first line of a file of results.
pub(crate) fn run(bench: &str, programs: Vec<Program>) -> anyhow::Result<Run> {
    // The program, and the name of the measurement; the rest is what somebody said behind `--`.
    let told: Vec<_> = env::args().skip(2).collect();
    let told = if told.is_empty() { String::new() } else { format!(" -- {}", without_folders(&told)) };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is not set")?;
    Ok(Run {
        bench: bench.to_owned(),
        command: format!("cargo xtask bench {bench}{told}"),
        commit: commit()?,
        date: date(now.as_secs() / DAY_S),
        machine: machine(&fs::read_to_string("/proc/cpuinfo")?, &fs::read_to_string("/proc/meminfo")?),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        programs,
    })
}

/// Who takes part, by the command line that its process really has.
pub(crate) fn program(name: &str, version: &str, pid: u32) -> anyhow::Result<Program> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).with_context(|| format!("{name} does not run"))?;
    let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    Ok(Program { name: name.to_owned(), version: version.to_owned(), command: without_folders(&words) })
}

/// Words of a command line, each file in them by its name alone: where it is says something of one machine only.
pub(crate) fn without_folders(words: &[String]) -> String {
    let parts = |word: &String| {
        word.split_inclusive(['=', ':', ',']).map(|part| without_folder(part).to_owned()).collect::<String>()
    };
    words.iter().map(parts).collect::<Vec<_>>().join(" ")
}

/// A part of a word, its separator included; an address of HTTP begins with two strokes.
fn without_folder(part: &str) -> &str {
    if !part.starts_with('/') || part.starts_with("//") {
        return part;
    }
    let end = part.trim_end_matches(['=', ':', ',']).trim_end_matches('/').rfind('/');
    end.and_then(|place| part.get(place + 1..)).unwrap_or(part)
}

/// What is checked out; `-dirty` behind it where something differs from that.
fn commit() -> anyhow::Result<String> {
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let differs = !git(&[&["status", "--porcelain"][..], &NOT_MEASURED].concat())?.is_empty();
    Ok(commit + if differs { "-dirty" } else { "" })
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let workspace: &Path = &static_build::workspace();
    let said = Command::new("git").arg("-C").arg(workspace).args(arguments).output();
    let said = said.context("results name a commit: git is needed")?;
    if !said.status.success() {
        bail!(
            "results name a commit: git {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&said.stderr).trim()
        );
    }
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

/// The day that is so many days after the first one of 1970, as `2026-11-22`.
fn date(mut days: u64) -> String {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

/// From `/proc/cpuinfo` and `/proc/meminfo`: `2 × AMD EPYC, 23 GiB`.
fn machine(processors: &str, memory: &str) -> String {
    let processors = processors.lines().filter_map(|line| line.split_once(':'));
    let named: Vec<_> = processors.filter(|(name, _)| name.trim() == "model name").collect();
    // Not every family of processors says what it is.
    let (many, name) = match named.first() {
        Some((_, name)) => (named.len(), name.trim()),
        None => (thread::available_parallelism().map_or(1, usize::from), env::consts::ARCH),
    };
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total_kib = total.and_then(|total| total.trim().trim_end_matches(" kB").parse::<u64>().ok());
    format!("{many} × {name}, {} GiB", total_kib.unwrap_or(0) / 1_048_576)
}

// === impl Delays ===

impl Delays {
    pub(crate) fn new() -> anyhow::Result<Self> {
        // It grows with what is put in.
        Ok(Self(Histogram::new(DIGITS)?))
    }

    pub(crate) fn push(&mut self, delay: Duration) {
        self.0 += u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Takes those of another one in.
    pub(crate) fn join(&mut self, other: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// What this share of them (0.99) did not exceed.
    pub(crate) fn at(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// Tells a record all of them, and `p50_us`, `p90_us`, `p99_us`, `p999_us` and `max_us`.
    pub(crate) fn tell(&self, record: &mut Record) {
        record.delays_us = self.counts();
        if self.0.is_empty() {
            return;
        }
        let values: BTreeMap<_, _> = SHARES
            .iter()
            .map(|(name, share)| ((*name).to_owned(), self.at(*share).as_micros() as f64))
            .collect();
        record.values.extend(values);
        record.values.insert("max_us".to_owned(), self.0.max() as f64);
    }

    /// Each delay and how often it came.
    pub(crate) fn counts(&self) -> Vec<(u64, u64)> {
        self.0.iter_recorded().map(|one| (one.value_iterated_to(), one.count_at_value())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_results::{Class, Configuration, delay_us};

    #[test]
    fn days_have_dates() {
        let cases = [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (789, "1972-02-29"),
            (11_016, "2000-02-29"),
            (20_779, "2026-11-22"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ];
        for (days, expected) in cases {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn command_lines_are_told_without_the_folders_of_a_machine() {
        let cases = [
            ("/opt/go/bin/consul agent -data-dir=/var/x/data -dev", "consul agent -data-dir=data -dev"),
            ("java -cp /opt/a.jar:/opt/b.jar Main", "java -cp a.jar:b.jar Main"),
            (
                "etcd --urls http://127.0.0.1:1/a,http://127.0.0.1:2",
                "etcd --urls http://127.0.0.1:1/a,http://127.0.0.1:2",
            ),
            ("x / docs/a.md", "x / docs/a.md"),
        ];
        for (line, expected) in cases {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(without_folders(&words), expected);
        }
    }

    #[test]
    fn a_machine_is_told_by_its_processors_and_memory() {
        let one = "processor\t: 0\nmodel name\t: AMD EPYC\nflags : a\n\n";
        let memory = "MemTotal:       24554888 kB\nMemFree: 1 kB\n";
        assert_eq!(machine(&one.repeat(2), memory), "2 × AMD EPYC, 23 GiB");
        assert!(machine("BogoMIPS : 50\n", memory).ends_with(&format!("× {}, 23 GiB", env::consts::ARCH)));
    }

    #[test]
    fn a_record_is_told_all_delays_from_which_the_same_shares_are_read() {
        let (mut delays, mut others) = (Delays::new().expect("new"), Delays::new().expect("new"));
        (1..=90).for_each(|micros| delays.push(Duration::from_micros(micros)));
        (1..=10).for_each(|millis| others.push(Duration::from_millis(millis)));
        delays.join(&others).expect("joined");
        let mut record = Record::new("sidecar", Class::B, Configuration::Default, 1);
        delays.tell(&mut record);
        assert_eq!(delays.len(), 100);
        assert_eq!(record.delays_us.iter().map(|(_, times)| times).sum::<u64>(), 100);
        for (name, share) in SHARES {
            let read = delay_us(&record.delays_us, share).expect("measured") as f64;
            assert_eq!(record.values.get(name), Some(&read), "{name}");
        }
        assert_eq!(record.values.get("p50_us"), Some(&50.0));
        let max = record.values.get("max_us").copied().unwrap_or_default();
        assert!((10_000.0..10_100.0).contains(&max), "{max}");
    }

    #[test]
    fn who_takes_part_is_told_as_its_process_was_started() {
        let told = program("this", "1", std::process::id()).expect("it runs");
        assert!(told.command.starts_with("rollcall_bench-"), "{}", told.command);
    }

    #[test]
    fn what_was_not_measured_makes_no_delay() {
        let mut record = Record::new("sidecar", Class::B, Configuration::Default, 1);
        Delays::new().expect("new").tell(&mut record);
        assert!(record.values.is_empty() && record.delays_us.is_empty());
    }
}
