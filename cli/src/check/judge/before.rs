//! Whether an install would go through.

use super::unseen;
use crate::{
    check::{
        facts::Before,
        finding::{Finding, Topic},
    },
    print::first_of,
    reach::Seen,
};

/// As the README installs it.
const RELEASE: &str = "rollcall";
const NAMED_MAX: usize = 5;

pub(super) fn findings(facts: &Before) -> Vec<Finding> {
    vec![rights(facts), left_crd(facts), left_webhook(facts), namespace(facts)]
}

fn rights(facts: &Before) -> Finding {
    let topic = Topic::Rights;
    let of = |wanted: bool| -> Vec<&str> {
        facts
            .rights
            .iter()
            .filter(
                |(_, allowed)| if wanted { *allowed == Seen::Here(false) } else { allowed.here().is_none() },
            )
            .map(|(right, _)| right.as_str())
            .collect()
    };
    let (denied, unknown) = (of(true), of(false));
    if !denied.is_empty() {
        return Finding::fail(
            topic,
            format!("you may not {}", first_of(&denied, NAMED_MAX)),
            "let somebody with the role cluster-admin install it",
        );
    }
    if !unknown.is_empty() {
        return Finding::warn(
            topic,
            format!("whether you may {} was not told", first_of(&unknown, NAMED_MAX)),
            "try again; `kubectl auth can-i` asks the same",
        );
    }
    Finding::ok(topic, "you may do all that helm does")
}

/// A CRD outlives an uninstall; helm takes over only what it made itself, for the same release.
fn left_crd(facts: &Before) -> Finding {
    let topic = Topic::LeftCrd;
    let Some(crd) = facts.crd.here() else {
        return unseen(topic, "the CRD", "get customresourcedefinitions", &facts.crd)
            .unwrap_or_else(|| Finding::ok(topic, "no CRD of ServiceRegistration is left from before"));
    };
    let ours = (RELEASE.to_owned(), facts.system.clone());
    match &crd.release {
        Some(release) if *release == ours => {
            Finding::ok(topic, "the CRD of an install before is there, and this one takes it over")
        }
        Some((release, namespace)) => Finding::fail(
            topic,
            format!("the CRD belongs to the release {release} in {namespace}"),
            format!(
                "use that name and namespace, or install with `--set crds.enabled=false`; one CRD is for all of a cluster, and it is upgraded by {namespace}/{release}"
            ),
        ),
        None => Finding::fail(
            topic,
            "there is a CRD of ServiceRegistration that helm did not make, and will not take over",
            "install with `--set crds.enabled=false` and upgrade the CRD by `rollcall crd | kubectl apply --server-side --force-conflicts -f -`",
        ),
    }
}

fn left_webhook(facts: &Before) -> Finding {
    let topic = Topic::LeftWebhook;
    let Some(webhooks) = facts.webhooks.here() else {
        return unseen(topic, "webhooks", "list mutatingwebhookconfigurations", &facts.webhooks)
            .unwrap_or_else(|| Finding::ok(topic, "no webhook of Rollcall is left from before"));
    };
    let own = format!("{}-injection", facts.system);
    let installed = matches!(facts.deployment, Seen::Here(_));
    let others: Vec<_> =
        webhooks.iter().filter(|name| **name != own || !installed).map(String::as_str).collect();
    if others.is_empty() {
        return Finding::ok(topic, "no webhook of Rollcall is left from before");
    }
    let remedy = match others.contains(&own.as_str()) {
        true => format!("`kubectl delete mutatingwebhookconfiguration {own}`: it is of an install that is gone"),
        false => "pods would be shown to both installations: uninstall one, or give each its own namespaces by `injection.namespaces.only`".to_owned(),
    };
    Finding::warn(
        topic,
        format!("there is a webhook of Rollcall already: {}", first_of(&others, NAMED_MAX)),
        remedy,
    )
}

fn namespace(facts: &Before) -> Finding {
    let topic = Topic::Namespace;
    let system = &facts.system;
    let Some(labels) = facts.namespace.here() else {
        return unseen(topic, "the namespace", &format!("get the namespace {system}"), &facts.namespace)
            .unwrap_or_else(|| Finding::ok(topic, format!("{system} is made by `--create-namespace`")));
    };
    if labels.terminating {
        let remedy =
            format!("wait until it is gone; `kubectl get namespace {system} -o yaml` says what holds it");
        return Finding::fail(topic, format!("the namespace {system} is being deleted"), remedy);
    }
    if matches!(facts.deployment, Seen::Here(_)) {
        return Finding::warn(
            topic,
            format!("Rollcall is installed in {system} already"),
            "use `helm upgrade`, and `rollcall check` without --pre",
        );
    }
    // Whatever level is enforced there: the controller asks for less than the strictest one allows.
    let level = labels.enforce.as_deref().unwrap_or("privileged");
    Finding::ok(topic, format!("{system} is there, and its Pod Security level {level} takes the controller"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        facts::{Crd, Kubernetes, NamespaceLabels},
        finding::Level,
        judge::sample,
    };

    fn empty() -> Before {
        Before {
            system: "rollcall-system".to_owned(),
            kubernetes: Kubernetes {
                version: Seen::Here("v1.33.4".to_owned()),
                nodes: Seen::Here(Vec::new()),
            },
            rights: vec![("create deployments.apps".to_owned(), Seen::Here(true))],
            crd: Seen::Missing,
            webhooks: Seen::Here(Vec::new()),
            deployment: Seen::Missing,
            namespace: Seen::Missing,
        }
    }

    fn crd_of(release: Option<(&str, &str)>) -> Seen<Crd> {
        let release = release.map(|(name, namespace)| (name.to_owned(), namespace.to_owned()));
        Seen::Here(Crd { release, ..Crd::default() })
    }

    fn labels(terminating: bool) -> Seen<NamespaceLabels> {
        Seen::Here(NamespaceLabels { enforce: Some("restricted".to_owned()), terminating })
    }

    #[test]
    fn what_would_stop_an_install_is_told_before() {
        assert!(findings(&empty()).iter().all(|one| one.level == Level::Ok));
        type Change = fn(&mut Before);
        let table: [(Change, Topic, Level); 13] = [
            (|facts| facts.rights[0].1 = Seen::Here(false), Topic::Rights, Level::Fail),
            (|facts| facts.rights[0].1 = Seen::Unknown(String::new()), Topic::Rights, Level::Warn),
            (|facts| facts.crd = crd_of(Some(("rollcall", "rollcall-system"))), Topic::LeftCrd, Level::Ok),
            (|facts| facts.crd = crd_of(Some(("other", "rollcall-system"))), Topic::LeftCrd, Level::Fail),
            (|facts| facts.crd = crd_of(None), Topic::LeftCrd, Level::Fail),
            (|facts| facts.crd = Seen::Forbidden(String::new()), Topic::LeftCrd, Level::Skipped),
            (
                |facts| facts.webhooks = Seen::Here(vec!["rollcall-system-injection".into()]),
                Topic::LeftWebhook,
                Level::Warn,
            ),
            (
                |facts| facts.webhooks = Seen::Here(vec!["other-injection".into()]),
                Topic::LeftWebhook,
                Level::Warn,
            ),
            (|facts| facts.webhooks = Seen::Unknown(String::new()), Topic::LeftWebhook, Level::Warn),
            (|facts| facts.namespace = labels(false), Topic::Namespace, Level::Ok),
            (|facts| facts.namespace = labels(true), Topic::Namespace, Level::Fail),
            (
                |facts| {
                    facts.namespace = labels(false);
                    facts.deployment = sample::facts().installation.deployment;
                },
                Topic::Namespace,
                Level::Warn,
            ),
            (|facts| facts.namespace = Seen::Forbidden(String::new()), Topic::Namespace, Level::Skipped),
        ];
        for (change, topic, level) in table {
            let mut facts = empty();
            change(&mut facts);
            let found: Vec<_> = findings(&facts).iter().map(|one| (one.topic, one.level)).collect();
            assert!(found.contains(&(topic, level)), "{topic:?}: {found:?}");
        }
    }
}
