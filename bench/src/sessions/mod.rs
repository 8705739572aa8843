//! The sessions: what a crowd of sidecars costs the controller, and how soon all of them know of a change.
//!
//! ```text
//!  controller (a process of its own) ══ TLS, HTTP/2 ══ crowd (this process): N clients of the wire
//!    changes carry the moment at which they were made ───► until the last of the crowd has applied it
//! ```

mod crowd;
mod link;
mod seen;
mod server;
mod told;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use crowd::Crowd;
use tokio::{runtime::Runtime, time::sleep};

pub(crate) use link::{News, converse};
pub(crate) use server::serve;

/// Services that each session holds, one of which all hold.
const HELD: u32 = 20;
/// The service, by its number, that all hold.
const ALL_HOLD: u32 = 0;
/// How long changes are made and measured.
const MEASURED_FOR: Duration = Duration::from_secs(15);
/// Changes a second.
const CHANGES_A_SECOND: u32 = 20;
/// Changes of the other services may be under way still when this is over after the last one; nobody counts them.
const TAIL_MIN: Duration = Duration::from_secs(1);
/// What was not told by then, after the last change, never comes.
const TAIL_MAX: Duration = Duration::from_secs(10);
/// What first answers took is given back by and by: after this it is.
const SETTLED: Duration = Duration::from_secs(5);
/// What takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Holds the controller's process, and the lines that go to and fro.
struct Server {
    process: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

pub(crate) fn run(instances: u32, sizes: &[usize], shared: u32) -> anyhow::Result<()> {
    println!(
        "{instances} instances, {} services, each session holds {HELD}; {CHANGES_A_SECOND} changes/s, one of {shared} of a service that all hold",
        instances / crate::fleet::INSTANCES
    );
    println!(
        "never came: deliveries of that service's changes, to each session, that are missing {} s after the last; where a pod changed again before it was told, the first change counts as one, and has no delay",
        TAIL_MAX.as_secs()
    );
    println!("bytes/ideal: of the frames, TLS and HTTP/2 left out, by the changed instances alone as JSON");
    println!(
        "storms: all leave and come at once; warm: the same, with tickets and all that they held; cold: new ones, with neither; peak/before: of the controller's memory, before both storms"
    );
    println!(
        "sessions  opened s  controller MiB  KiB/session  all told p50 ms  p99 ms  each p50 ms  p99 ms    never came  CPU %  bytes/ideal  warm s  peak/before  cold s  peak/before"
    );
    for sessions in sizes {
        Runtime::new()?.block_on(measure(instances, *sessions, shared))?;
    }
    println!(
        "goals: all told p99 ≤ 50 ms at 100 and ≤ 250 ms at 2,000 sessions; ≤ 64 KiB/session; ≤ 192 MiB; bytes ≤ 1.5; storms ≤ 5 s, peaks < 2"
    );
    Ok(())
}

async fn measure(instances: u32, sessions: usize, shared: u32) -> anyhow::Result<()> {
    let mut server = Server::start(instances)?;
    let (address, authority) = (server.listening.parse()?, server.authority.clone());
    let server = &mut server.server;
    let empty = server.memory()?;
    let crowd = Crowd::new("crowd", address, &authority, instances, sessions)?;
    let begin = Instant::now();
    crowd.connect();
    crowd.in_step(PATIENCE).await.context("not all are in step")?;
    let opened = begin.elapsed();
    sleep(SETTLED).await;
    let full = server.memory()?;

    crowd.measure(true);
    let before_ms = server.cpu_ms()?;
    let change = format!("change {CHANGES_A_SECOND} {} {shared}", MEASURED_FOR.as_secs());
    let changes_of_all: usize = server.ask(&change)?.parse()?;
    let busy_ms = server.cpu_ms()? - before_ms;
    tokio::join!(sleep(TAIL_MIN), crowd.told_of_all(changes_of_all, TAIL_MAX));
    crowd.measure(false);
    let told = crowd.told();
    let deliveries = changes_of_all * sessions;
    let never_came = format!("{}/{deliveries}", deliveries.saturating_sub(told.of_all()));

    let warm = storm(server, &crowd, &crowd).await?;
    sleep(SETTLED).await;
    let new = Crowd::new("new", address, &authority, instances, sessions)?;
    let cold = storm(server, &crowd, &new).await?;

    let (all, each) = (told.all(), told.each());
    println!(
        "{sessions:>8}  {:>8.1}  {:>14.1}  {:>11.1}  {:>15.1}  {:>6.1}  {:>11.1}  {:>6.1}  {never_came:>12}  {:>5.0}  {:>11.2}  {:>6.2}  {:>11.2}  {:>6.2}  {:>11.2}",
        opened.as_secs_f64(),
        full as f64 / 1_024.0,
        full.saturating_sub(empty) as f64 / sessions as f64,
        all.0,
        all.1,
        each.0,
        each.1,
        busy_ms as f64 / MEASURED_FOR.as_millis() as f64 * 100.0,
        told.bytes_by_ideal(),
        warm.took.as_secs_f64(),
        warm.peak as f64 / full as f64,
        cold.took.as_secs_f64(),
        cold.peak as f64 / full as f64,
    );
    new.disconnect().await;
    Ok(())
}

/// All that are there leave at once, and as many come.
async fn storm(server: &mut Server, leaving: &Crowd, coming: &Crowd) -> anyhow::Result<Storm> {
    server.ask("forget-peak")?;
    let begin = Instant::now();
    leaving.disconnect().await;
    coming.connect();
    coming.in_step(PATIENCE).await.context("not all came")?;
    Ok(Storm { took: begin.elapsed(), peak: server.peak()? })
}

/// Holds what a storm took: the time until all were in step, and the most KiB that were resident meanwhile.
struct Storm {
    took: Duration,
    peak: u64,
}

/// Holds a server that listens.
struct Listening {
    server: Server,
    listening: String,
    authority: String,
}

// === impl Server ===

impl Server {
    fn start(instances: u32) -> anyhow::Result<Listening> {
        let me = env::current_exe().context("where this program is")?;
        let mut process = Command::new(me)
            .args(["sessions-server", &instances.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let say = process.stdin.take().context("no way in")?;
        let hear = BufReader::new(process.stdout.take().context("no way out")?);
        let mut server = Self { process, say, hear };
        let listening = server.line()?;
        let authority = server.line()?.replace("\\n", "\n");
        Ok(Listening { server, listening, authority })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.hear.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the controller's process ended");
        Ok(line.trim_end().to_owned())
    }

    /// Returns when it is done.
    fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        writeln!(self.say, "{question}")?;
        self.line()
    }

    /// What the controller's process has computed.
    fn cpu_ms(&mut self) -> anyhow::Result<u64> {
        Ok(self.ask("cpu")?.parse()?)
    }

    /// Resident, in KiB.
    fn memory(&mut self) -> anyhow::Result<u64> {
        Ok(self.ask("memory")?.parse()?)
    }

    /// The most that was resident since it was told to forget.
    fn peak(&mut self) -> anyhow::Result<u64> {
        Ok(self.ask("peak")?.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it is gone already there is nothing left to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
