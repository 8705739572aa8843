//! All controllers are deleted at once, while pods look each other up.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{
    Stage,
    lookup::Steadiness,
    report::Report,
    shop,
    sight::in_words,
    stage::{Pod, SHOP, SYSTEM},
    stream::Stream,
    wait,
};

const CONTROLLERS: &str = "app.kubernetes.io/component=controller";
/// In step again 40 s after a controller is ready, at the latest; and that one is made anew first.
const BACK_WITHIN: Duration = Duration::from_secs(90);
/// A session that is lost is noticed within this, and so is what it takes from `Age`.
const AT_LEAST: Duration = Duration::from_secs(12);
/// Each of them is a client.
const CLIENTS: [&str; 3] = ["storefront", "payments", "catalogue"];

pub(super) fn play(stage: &Stage, report: &mut Report) -> Result<()> {
    report.say("Three pods look orders up each 20 ms, and read of each answer whom it names and how old it is (Age).");
    let well: Vec<_> = pods(stage, "orders")?.into_iter().map(|pod| pod.address).collect();
    let url = shop::lookup("orders");
    let turn = format!("echo $(wget -S -qO- {url} 2>&1); sleep 0.02");
    let mut streams = Vec::new();
    for service in CLIENTS {
        let pod = pods(stage, service)?.into_iter().next().with_context(|| format!("no pod of {service}"))?;
        let stream = Stream::turns(stage, &pod.name, &turn)?;
        stream.says("a first lookup", |line| line.contains("instances"))?;
        streams.push((pod.name, stream));
    }
    let old: Vec<_> = stage.pods(SYSTEM, CONTROLLERS)?.into_iter().map(|pod| pod.name).collect();
    let delete = ["delete", "pods", "-l", CONTROLLERS, "--force", "--grace-period=0"];
    report.command(&format!("kubectl -n {SYSTEM} {}", delete.join(" ")));
    let deleted_ms = stage.now_ms();
    stage.system(&[&delete[..], &["--wait=false"]].concat())?;
    wait::until("other controllers are ready, and all are in step", BACK_WITHIN, || {
        let now = stage.pods(SYSTEM, CONTROLLERS)?;
        let anew = now.len() == old.len() && now.iter().all(|pod| pod.is_ready && !old.contains(&pod.name));
        let in_step = streams
            .iter()
            .all(|(_, stream)| !Steadiness::of(&stream.lines(), deleted_ms, &well).is_out_of_step);
        let waited_ms = stage.now_ms().saturating_sub(deleted_ms);
        Ok(anew && in_step && Duration::from_millis(waited_ms) > AT_LEAST)
    })?;
    let ready = in_words(stage.now_ms().saturating_sub(deleted_ms));
    let mut rows = vec![
        ["", "lookups", "failed", "without one that is well", "longest Age", "in step again after"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut doubts = Vec::new();
    for (pod, stream) in streams {
        let all = Steadiness::of(&stream.end(), deleted_ms, &well);
        doubts.extend(all.doubt().map(|doubt| format!("{pod}: {doubt}")));
        let again = all.in_step_again_ms.map_or_else(
            || "never out of step".to_owned(),
            |at_ms| in_words(at_ms.saturating_sub(deleted_ms)),
        );
        rows.push(vec![
            pod,
            all.lookups.to_string(),
            all.failed.to_string(),
            all.lacking.to_string(),
            format!("{} s", all.longest_age_s),
            again,
        ]);
    }
    report.table(&rows);
    report.say(&format!("{} other controllers were ready, and all was watched, for {ready}.", old.len()));
    report.verdict(
        "no lookup fails, and nobody who is well is missing, while all controllers are gone",
        (!doubts.is_empty()).then(|| doubts.join("; ")),
    );
    Ok(())
}

fn pods(stage: &Stage, service: &str) -> Result<Vec<Pod>> {
    let all = stage.pods(SHOP, &format!("app.kubernetes.io/name={service}"))?;
    Ok(all.into_iter().filter(|pod| !pod.ends).collect())
}
