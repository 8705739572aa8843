//! What storefront asks, and what it is told.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context, Result};

use crate::{Stage, lookup::Lookup, names, report::Report, shop};

/// Enough for a mean that the next run has too.
const LOOKUPS: u64 = 200;

pub(super) fn play(stage: &Stage, report: &mut Report) -> Result<()> {
    let front = shop::storefront(stage)?;
    let orders = shop::lookup("orders");
    let ask = |path: &str| {
        let said = stage.run(&front, &format!("wget -qO- '{path}'"))?;
        Lookup::read(&said).with_context(|| said)
    };
    report.say("In storefront's pod:");
    report.command(&format!("wget -qO- '{orders}'"));
    let all = ask(&orders)?;
    for instance in &all.instances {
        let (version, pod) = (instance.version.as_deref(), instance.pod.as_deref());
        report.say(&format!(
            "  {:<15} {:<8} {}",
            instance.address,
            version.unwrap_or("-"),
            pod.unwrap_or("-")
        ));
    }
    let expected =
        shop::INSTANCES.iter().find(|(service, _)| *service == "orders").map_or(0, |(_, count)| *count);
    report.verdict(
        "a lookup by name has all instances, of both versions",
        doubt(all.instances.len() == expected && versions(&all).len() == 2, &all),
    );
    for (wanted, version) in [("^1.4", "1.4.2"), ("2.0.0", "2.0.0")] {
        report.command(&format!("wget -qO- '{orders}?version={wanted}'"));
        let some = ask(&format!("{orders}?version={wanted}"))?;
        report.verdict(
            &format!("version={wanted} has those of {version} and no others"),
            doubt(versions(&some) == [version].into() && some.instances.len() == expected / 2, &some),
        );
    }
    by_dns(stage, report, &front, &all)?;
    how_fast(stage, report, &front)
}

fn by_dns(stage: &Stage, report: &mut Report, front: &str, all: &Lookup) -> Result<()> {
    let of_version = |version: &str| {
        let ours =
            all.instances.iter().filter(|one| version.is_empty() || one.version.as_deref() == Some(version));
        ours.filter_map(|one| one.address.parse().ok()).collect::<BTreeSet<IpAddr>>()
    };
    for (name, version) in [("orders.rollcall", ""), ("2-0-0.orders.rollcall", "2.0.0")] {
        report.command(&format!("nslookup {name}"));
        let said = stage.run(front, &format!("echo $(nslookup -type=a {name} 127.0.0.1)"))?;
        let found: BTreeSet<_> = names::read(&said).with_context(|| said.clone())?.into_iter().collect();
        report.verdict(
            &format!("DNS has the same for {name}: {} addresses", found.len()),
            (found != of_version(version)).then_some(said),
        );
    }
    const PAGE: &str = "http://2-0-0.orders.rollcall:8080/";
    report.command(&format!("wget -qO- {PAGE}"));
    let page = stage.run(front, &format!("wget -qO- {PAGE}"))?;
    report.say(&format!("  {page}"));
    report.verdict(
        "a program that knows nothing but names reaches version 2.0.0",
        (!page.starts_with("orders 2.0.0")).then_some(page),
    );
    Ok(())
}

/// Each time a wget is started: the same for a bare file says how much of it that is.
fn how_fast(stage: &Stage, report: &mut Report, front: &str) -> Result<()> {
    let mut each_us = Vec::new();
    for url in [shop::lookup("orders"), "http://127.0.0.1:8080/".to_owned()] {
        let times = format!(
            "turn=0; while [ $turn -lt {LOOKUPS} ]; do turn=$((turn+1)); wget -qO- {url} >/dev/null || echo failed; done"
        );
        // The loop prints two lines, so that neither the start of kubectl nor its end counts.
        let stream = crate::stream::Stream::exec(stage, front, &format!("echo begin; {times}; echo end"))?;
        stream.says("all lookups", |line| line == "end")?;
        let lines = stream.end();
        let at_ms = |text: &str| lines.iter().find(|line| line.text == text).map(|line| line.at_ms);
        let (begin, end) = (at_ms("begin").context("no begin")?, at_ms("end").context("no end")?);
        let failed = lines.iter().filter(|line| line.text == "failed").count();
        each_us.push((end.saturating_sub(begin) * 1_000 / LOOKUPS, failed));
    }
    if let [(lookup_us, failed), (file_us, _)] = each_us[..] {
        report.say(&format!(
            "{LOOKUPS} lookups in a row, a new wget each: {}.{} ms each, {failed} failed; the same for a file of a web server on localhost: {}.{} ms.",
            lookup_us / 1_000, lookup_us % 1_000 / 100, file_us / 1_000, file_us % 1_000 / 100
        ));
    }
    Ok(())
}

fn versions(lookup: &Lookup) -> BTreeSet<&str> {
    lookup.instances.iter().filter_map(|instance| instance.version.as_deref()).collect()
}

fn doubt(holds: bool, lookup: &Lookup) -> Option<String> {
    (!holds).then(|| format!("{:?}", lookup.instances))
}
