//! Whether pods that ask for a sidecar get one.

use super::unseen;
use crate::{
    check::{
        facts::{Authority, Entry, Facts, Webhook},
        finding::{Finding, Topic},
    },
    print::first_of,
    reach::Seen,
};

/// Where the API server finds the controller.
const TARGET: &str = "rollcall-controller:7343";
const NAMED_MAX: usize = 2;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let topic = Topic::Webhook;
    let injects = facts.installation.deployment.here().map(|deployment| deployment.injects);
    match &facts.webhook {
        Seen::Here(webhook) if webhook.entries.is_empty() => {
            vec![Finding::fail(topic, "the webhook's configuration is empty", upgrade())]
        }
        Seen::Here(webhook) => {
            let there = format!("pods are shown to the controller by {}-injection", facts.system);
            let mut findings = vec![Finding::ok(topic, there), target(webhook, &facts.system)];
            findings.push(authority(webhook, &facts.authority));
            findings.push(failure_policy(webhook));
            findings
        }
        Seen::Missing if injects == Some(false) => vec![Finding::ok(
            topic,
            "injection is switched off: pods have their sidecars from `rollcall inject`",
        )],
        Seen::Missing => vec![Finding::fail(
            topic,
            format!("there is no webhook {}-injection: no pod gets a sidecar", facts.system),
            upgrade(),
        )],
        other => {
            unseen(topic, "the webhook", "get mutatingwebhookconfigurations", other).into_iter().collect()
        }
    }
}

fn upgrade() -> String {
    "upgrade the release by helm, which puts it back".to_owned()
}

fn names<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<&'a str> {
    entries.map(|entry| entry.name.as_str()).collect()
}

fn target(webhook: &Webhook, system: &str) -> Finding {
    let wanted = format!("{system}/{TARGET}");
    let astray = names(webhook.entries.iter().filter(|entry| entry.service.as_deref() != Some(&wanted)));
    if astray.is_empty() {
        return Finding::ok(Topic::WebhookTarget, format!("it leads to {wanted}"));
    }
    let says = format!("it does not lead to {wanted}: {}", first_of(&astray, NAMED_MAX));
    Finding::fail(Topic::WebhookTarget, says, upgrade())
}

/// The bundle is the controllers' to write; it must have the authority that signs now.
fn authority(webhook: &Webhook, secret: &Seen<Authority>) -> Finding {
    let topic = Topic::WebhookAuthority;
    let restart = "a controller that runs writes it within half a minute; its log says why it cannot";
    let empty = names(webhook.entries.iter().filter(|entry| entry.bundle.is_empty()));
    if !empty.is_empty() {
        let says =
            format!("the API server believes nobody there: no caBundle in {}", first_of(&empty, NAMED_MAX));
        return Finding::fail(topic, says, restart);
    }
    let Some(Authority { signer: Some(signer), .. }) = secret.here() else {
        let remedy = "you need the right to get the Secret rollcall-ca to compare it";
        return Finding::skipped(topic, "the API server believes somebody; whom, was not compared", remedy);
    };
    let lacks = names(webhook.entries.iter().filter(|entry| !entry.bundle.contains(&signer.der)));
    if lacks.is_empty() {
        return Finding::ok(topic, "the API server believes the authority of rollcall-ca");
    }
    let says = format!(
        "the API server does not believe the authority of rollcall-ca: {}",
        first_of(&lacks, NAMED_MAX)
    );
    Finding::fail(topic, says, restart)
}

fn failure_policy(webhook: &Webhook) -> Finding {
    let closed = names(webhook.entries.iter().filter(|entry| !entry.fails_open));
    if closed.is_empty() {
        return Finding::ok(Topic::FailurePolicy, "no pod waits for Rollcall to exist");
    }
    Finding::warn(
        Topic::FailurePolicy,
        format!("with the controllers away no pod that asks can be made: {}", first_of(&closed, NAMED_MAX)),
        "somebody set failurePolicy: Fail; upgrade the release by helm, which sets Ignore again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{finding::Level, judge::sample};

    fn levels(change: impl FnOnce(&mut Facts)) -> Vec<(Topic, Level)> {
        let mut facts = sample::facts();
        change(&mut facts);
        findings(&facts).iter().map(|one| (one.topic, one.level)).collect()
    }

    fn entry(facts: &mut Facts) -> &mut Entry {
        match &mut facts.webhook {
            Seen::Here(webhook) => &mut webhook.entries[1],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_with_the_webhook_is_told() {
        let well = levels(|_| {});
        assert!(well.iter().all(|(_, level)| *level == Level::Ok), "{well:?}");
        type Change = fn(&mut Facts);
        let table: [(Change, Topic, Level); 9] = [
            (|facts| facts.webhook = Seen::Missing, Topic::Webhook, Level::Fail),
            (|facts| facts.webhook = Seen::Forbidden(String::new()), Topic::Webhook, Level::Skipped),
            (|facts| facts.webhook = Seen::Here(Webhook { entries: vec![] }), Topic::Webhook, Level::Fail),
            (|facts| entry(facts).service = Some("other/x:443".into()), Topic::WebhookTarget, Level::Fail),
            (|facts| entry(facts).service = None, Topic::WebhookTarget, Level::Fail),
            (|facts| entry(facts).bundle.clear(), Topic::WebhookAuthority, Level::Fail),
            (|facts| entry(facts).bundle = vec![vec![9]], Topic::WebhookAuthority, Level::Fail),
            (
                |facts| facts.authority = Seen::Forbidden(String::new()),
                Topic::WebhookAuthority,
                Level::Skipped,
            ),
            (|facts| entry(facts).fails_open = false, Topic::FailurePolicy, Level::Warn),
        ];
        for (change, topic, level) in table {
            let found = levels(change);
            assert!(found.contains(&(topic, level)), "{topic:?}: {found:?}");
        }
    }

    #[test]
    fn without_injection_there_need_be_no_webhook() {
        let found = levels(|facts| {
            facts.webhook = Seen::Missing;
            if let Seen::Here(deployment) = &mut facts.installation.deployment {
                deployment.injects = false;
            }
        });
        assert_eq!(found, [(Topic::Webhook, Level::Ok)]);
    }
}
