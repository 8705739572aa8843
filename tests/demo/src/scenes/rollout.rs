//! All pods of a service are replaced while storefront calls it all the time, with the preStop hooks and without.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;

use crate::{Stage, load::Load, report::Report, shop, sight::in_words, stage::SHOP, wait};

const DEPLOYMENTS: [&str; 2] = ["deployment/orders", "deployment/orders-next"];
const PODS: &str = "app.kubernetes.io/name=orders";
/// What is on its way when the first pod ends, and after the last has.
const MARGIN: Duration = Duration::from_secs(2);
/// kubectl itself is ended after 120 s.
const ROLLED_WITHIN: &str = "--timeout=110s";
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// Holds what became of the requests of one roll-out.
struct Rolled {
    by_pick: Load,
    by_service: Load,
    lasted_ms: u64,
    /// Pods that were there before and are there still: then it was no roll-out.
    stayed: Vec<String>,
}

pub(super) fn play(stage: &Stage, report: &mut Report) -> Result<()> {
    report.say("storefront calls orders all the time: it asks its sidecar for one of the instances, and sends it a GET. Beside it a second loop calls the Service's ClusterIP. Meanwhile all four pods are replaced; the app itself ends at once when it is told to.");
    // The annotation that goes with a roll-out is of the pods that it makes: those that it ends are of before.
    let with = roll(stage, report, Some("false"))?;
    let without = roll(stage, report, None)?;
    let row = |what: &str, load: &Load, rolled: &Rolled| {
        vec![
            what.to_owned(),
            in_words(rolled.lasted_ms),
            load.sent.to_string(),
            load.per_second().to_string(),
            load.failed.to_string(),
        ]
    };
    report.table(&[
        ["", "roll-out", "requests", "a second", "failed"].map(str::to_owned).to_vec(),
        row("with preStop, found by Rollcall", &with.by_pick, &with),
        row("with preStop, by ClusterIP", &with.by_service, &with),
        row("without preStop, found by Rollcall", &without.by_pick, &without),
        row("without preStop, by ClusterIP", &without.by_service, &without),
    ]);
    report.say("Without the hooks, and by the ClusterIP, nothing is promised: that is what was seen. The hooks wait for those who look up, and not for the rules of kube-proxy.");
    for example in &without.by_pick.examples {
        report.say(&format!("without preStop: {example}"));
    }
    report.verdict("no request fails in a rolling update (with preStop, found by Rollcall)", doubt(&with));
    Ok(())
}

fn doubt(rolled: &Rolled) -> Option<String> {
    if !rolled.stayed.is_empty() {
        return Some(format!("it was none: {:?} stayed", rolled.stayed));
    }
    rolled.by_pick.doubt()
}

/// Replaces all pods; the new ones have this annotation, or none.
fn roll(stage: &Stage, report: &mut Report, prestop: Option<&str>) -> Result<Rolled> {
    let value = prestop.map_or_else(|| "null".to_owned(), |value| format!("{value:?}"));
    let patch = format!(
        r#"{{"spec":{{"template":{{"metadata":{{"annotations":{{"rollcall.dev/prestop":{value}}}}}}}}}}}"#
    );
    let before = names(stage)?;
    let by_pick = shop::requests_by_pick(stage, "orders")?;
    let by_service = shop::requests_by_cluster_ip(stage, "orders", "0.02")?;
    for stream in [&by_pick, &by_service] {
        stream.says("a first request", |line| line.starts_with("ok "))?;
    }
    let from_ms = stage.now_ms();
    wait::pause(MARGIN)?;
    let begun_ms = stage.now_ms();
    for deployment in DEPLOYMENTS {
        report.command(&format!("kubectl -n {SHOP} patch {deployment} -p '{patch}'"));
        stage.shop(&["patch", deployment, "-p", &patch])?;
    }
    for deployment in DEPLOYMENTS {
        stage.shop(&["rollout", "status", deployment, ROLLED_WITHIN])?;
    }
    wait::until("the old pods have ended", ENDED_WITHIN, || {
        Ok(!stage.pods(SHOP, PODS)?.iter().any(|pod| pod.ends))
    })?;
    let lasted_ms = stage.now_ms().saturating_sub(begun_ms);
    wait::pause(MARGIN)?;
    let to_ms = stage.now_ms();
    let stayed = names(stage)?.intersection(&before).cloned().collect();
    Ok(Rolled {
        by_pick: Load::between(&by_pick.end(), from_ms, to_ms),
        by_service: Load::between(&by_service.end(), from_ms, to_ms),
        lasted_ms,
        stayed,
    })
}

fn names(stage: &Stage) -> Result<BTreeSet<String>> {
    Ok(stage.pods(SHOP, PODS)?.into_iter().map(|pod| pod.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Line;

    fn rolled(lie: Option<&str>, stayed: &[&str]) -> Rolled {
        let text = |number: u64| lie.filter(|_| number == 250).unwrap_or("ok orders 1.4.2 a").to_owned();
        let lines: Vec<_> = (0..500).map(|number| Line { at_ms: number * 20, text: text(number) }).collect();
        let load = Load::between(&lines, 0, 10_000);
        let stayed = stayed.iter().map(|&name| name.to_owned()).collect();
        Rolled { by_pick: load.clone(), by_service: load, lasted_ms: 10_000, stayed }
    }

    #[test]
    fn a_failed_request_or_a_pod_that_stayed_is_no_roll_out_without_failures() {
        assert_eq!(doubt(&rolled(None, &[])), None);
        assert!(doubt(&rolled(Some("fail 10.0.0.1 refused"), &[])).unwrap().contains("1 of 500 failed"));
        assert!(doubt(&rolled(None, &["orders-1"])).unwrap().contains("orders-1"));
    }
}
