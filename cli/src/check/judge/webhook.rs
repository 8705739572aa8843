//! Whether pods that ask for a sidecar get one.

use super::unseen;
use crate::{
    check::{
        facts::{Authority, Entry, Facts, Webhook},
        finding::{Finding, Level, Topic},
    },
    print::first_of,
    reach::Seen,
};

/// Where the API server finds the controller.
const TARGET: &str = "rollcall-controller:7343";
const NAMED_MAX: usize = 2;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let injects = facts.installation.deployment.here().map(|deployment| deployment.injects);
    judged(&facts.webhook, injects, &facts.authority, &facts.system, facts.now_s)
}

/// Why no pod gets a sidecar, and what helps; none where pods get theirs, or nobody knows.
pub(crate) fn wrong(
    webhook: &Seen<Webhook>,
    injects: Option<bool>,
    authority: &Seen<Authority>,
    system: &str,
    now_s: i64,
) -> Option<(String, String)> {
    if *webhook == Seen::Missing && injects == Some(false) {
        let says = "injection is switched off (injection.enabled=false)".to_owned();
        return Some((says, "give the pod its sidecar by `rollcall inject`".to_owned()));
    }
    let findings = judged(webhook, injects, authority, system, now_s);
    let failed = findings.into_iter().find(|one| one.level == Level::Fail)?;
    Some((failed.says, failed.remedy.unwrap_or_default()))
}

fn judged(
    webhook: &Seen<Webhook>,
    injects: Option<bool>,
    secret: &Seen<Authority>,
    system: &str,
    now_s: i64,
) -> Vec<Finding> {
    let topic = Topic::Webhook;
    match webhook {
        Seen::Here(webhook) if webhook.entries.is_empty() => {
            vec![Finding::fail(topic, "the webhook's configuration is empty", upgrade())]
        }
        Seen::Here(webhook) => {
            let there = format!("pods are shown to the controller by {system}-injection");
            let mut findings = vec![Finding::ok(topic, there), target(webhook, system)];
            findings.push(authority(webhook, secret, now_s));
            findings.push(failure_policy(webhook));
            findings
        }
        Seen::Missing if injects == Some(false) => vec![Finding::ok(
            topic,
            "injection is switched off: pods have their sidecars from `rollcall inject`",
        )],
        Seen::Missing => vec![Finding::fail(
            topic,
            format!("there is no webhook {system}-injection: no pod gets a sidecar"),
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

/// The bundle is the controllers' to write, and is that of all who are to be believed: a next authority is believed before it
/// signs. Without whoever signs now no pod gets a sidecar.
fn authority(webhook: &Webhook, secret: &Seen<Authority>, now_s: i64) -> Finding {
    let topic = Topic::WebhookAuthority;
    let restart = "a controller that runs writes it within half a minute; its log says why it cannot";
    let empty = names(webhook.entries.iter().filter(|entry| entry.bundle.is_empty()));
    if !empty.is_empty() {
        let says =
            format!("the API server believes nobody there: no caBundle in {}", first_of(&empty, NAMED_MAX));
        return Finding::fail(topic, says, restart);
    }
    let read = secret.here().and_then(|authority| Some((authority, authority.signs(now_s)?)));
    let Some((Authority { signer, previous, .. }, signs)) = read else {
        let remedy = "you need the right to get the Secret rollcall-ca to compare it";
        return Finding::skipped(topic, "the API server believes somebody; whom, was not compared", remedy);
    };
    let wanted: Vec<_> = signer.iter().chain(previous).map(|one| &one.der).collect();
    let those = |is_wrong: &dyn Fn(&Entry) -> bool| {
        let wrong = names(webhook.entries.iter().filter(|entry| is_wrong(entry)));
        (!wrong.is_empty()).then(|| first_of(&wrong, NAMED_MAX))
    };
    if let Some(lacks) = those(&|entry| !entry.bundle.contains(&signs.der)) {
        let says =
            format!("the API server does not believe the authority of rollcall-ca that signs: {lacks}");
        return Finding::fail(topic, says, restart);
    }
    if let Some(lacks) = those(&|entry| wanted.iter().any(|one| !entry.bundle.contains(one))) {
        let says = format!("the API server does not believe all authorities of rollcall-ca: {lacks}");
        return Finding::warn(topic, says, restart);
    }
    if let Some(more) = those(&|entry| entry.bundle.iter().any(|one| !wanted.contains(&one))) {
        let says = format!("the API server believes somebody who is not in rollcall-ca: {more}");
        return Finding::warn(topic, says, restart);
    }
    Finding::ok(topic, "the API server believes the authorities of rollcall-ca, and nobody else")
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
    use crate::check::{
        facts::{Certificate, SignFrom},
        judge::sample,
    };

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
        let table: [(Change, Topic, Level); 10] = [
            (|facts| facts.webhook = Seen::Missing, Topic::Webhook, Level::Fail),
            (|facts| facts.webhook = Seen::Forbidden(String::new()), Topic::Webhook, Level::Skipped),
            (|facts| facts.webhook = Seen::Here(Webhook { entries: vec![] }), Topic::Webhook, Level::Fail),
            (|facts| entry(facts).service = Some("other/x:443".into()), Topic::WebhookTarget, Level::Fail),
            (|facts| entry(facts).service = None, Topic::WebhookTarget, Level::Fail),
            (|facts| entry(facts).bundle.clear(), Topic::WebhookAuthority, Level::Fail),
            (|facts| entry(facts).bundle = vec![vec![9]], Topic::WebhookAuthority, Level::Fail),
            (
                // Who may not read the Secret sees it all the same.
                |facts| {
                    facts.authority = Seen::Forbidden(String::new());
                    entry(facts).bundle.clear();
                },
                Topic::WebhookAuthority,
                Level::Fail,
            ),
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
    fn the_whole_bundle_is_believed_and_whoever_signs_above_all() {
        let one = |der: u8| Some(Certificate { der: vec![der], not_after_s: 300_000_000 });
        let steady = Authority { signer: one(1), ..Authority::default() };
        let announced =
            Authority { signer: one(2), previous: one(1), sign_from: SignFrom::At(10), bundle: None };
        let turned = Authority { sign_from: SignFrom::At(-10), ..announced.clone() };
        for (secret, bundle, level) in [
            (&steady, &[1][..], Level::Ok),
            (&steady, &[9, 1], Level::Warn),
            (&steady, &[9], Level::Fail),
            (&announced, &[2, 1], Level::Ok),
            (&announced, &[1, 2], Level::Ok),
            (&announced, &[1], Level::Warn),
            (&announced, &[2], Level::Fail),
            (&turned, &[2, 1], Level::Ok),
            (&turned, &[2], Level::Warn),
            (&turned, &[1], Level::Fail),
        ] {
            let found = levels(|facts| {
                facts.authority = Seen::Here(secret.clone());
                let Seen::Here(webhook) = &mut facts.webhook else { panic!("no webhook") };
                webhook
                    .entries
                    .iter_mut()
                    .for_each(|entry| entry.bundle = bundle.iter().map(|der| vec![*der]).collect());
            });
            assert!(found.contains(&(Topic::WebhookAuthority, level)), "{secret:?} {bundle:?}: {found:?}");
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
