//! A controller that dies with a crowd in session: how soon all of them are in step with the next one, which is started as soon
//! as all have noticed, and what that one holds at most meanwhile. It is the worst case: where there are two, the other one has
//! no start before it.

use anyhow::{Context, Result};
use rollcall_cluster::interrupt;
use rollcall_results::{Class, Configuration, Record};
use tokio::{runtime::Runtime, time::Instant};

use crate::{
    kept::Kept,
    local::Ticks,
    resident::peak_mib,
    rest::Rest,
    sessions::{Crowd, PATIENCE, PORT, Place, Server, tokens},
};

pub(crate) fn run(instances: u32, sizes: &[usize], rounds: u32) -> Result<()> {
    println!("{instances} instances; killed, and the next one started once all have noticed");
    println!("sessions  round  listens again s  all in step s  MiB before  most MiB of the next one");
    interrupt::listen()?;
    let kept = Kept::begin("recovery", Vec::new())?;
    for round in 1..=rounds {
        for sessions in sizes {
            let unmeasured = record(instances, *sessions, round);
            let measured = Runtime::new()?.block_on(measure(instances, *sessions, round));
            let Some(record) = kept.keep(unmeasured, measured)? else { continue };
            let value = |name: &str| record.values.get(name).copied().unwrap_or_default();
            println!(
                "{sessions:>8}  {round:>5}  {:>15.2}  {:>13.2}  {:>10.1}  {:>24.1}",
                value("listens_s"),
                value("recovered_s"),
                value("before_rss_mib"),
                value("peak_mib"),
            );
        }
    }
    kept.end()
}

fn record(instances: u32, sessions: usize, round: u32) -> Record {
    Record::new("rollcall controller's half", Class::C, Configuration::Default, round)
        .with_case("instances", instances)
        .with_case("sessions", sessions as u64)
}

async fn measure(instances: u32, sessions: usize, round: u32) -> Result<Record> {
    let place = Place::new(PORT)?;
    let server = Server::start(instances, &place)?;
    let crowd = Crowd::new("crowd", &server.door, instances, &tokens(sessions)?)?;
    crowd.connect();
    crowd.in_step(PATIENCE).await.context("not all are in step")?;
    let before = Rest::of(&[server.pid()]).await?.resident;
    let (begin, ticks) = (Instant::now(), Ticks::now()?);
    server.kill();
    crowd.all_lost(PATIENCE).await?;
    let noticed = begin.elapsed();
    let next = Server::start(instances, &place)?;
    let listens = begin.elapsed();
    crowd.in_step(PATIENCE).await.context("not all came back")?;
    let (recovered, stolen_percent) = (begin.elapsed(), Ticks::now()?.stolen_percent_since(ticks));
    let record = record(instances, sessions, round)
        .with_value("noticed_s", noticed.as_secs_f64())
        .with_value("listens_s", listens.as_secs_f64())
        .with_value("recovered_s", recovered.as_secs_f64())
        .with_value("stolen_percent", stolen_percent)
        .with_value("before_rss_mib", before.rss_mib)
        .with_value("peak_mib", peak_mib(next.pid())?);
    crowd.disconnect().await;
    Ok(record)
}
