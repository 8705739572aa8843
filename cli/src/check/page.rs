//! The findings as people and as programs read them.

use serde::Serialize;

use super::finding::{Finding, Group, Level};
use crate::print::{Paint, Tone, counted, plain};

/// The column in which a finding begins.
const INDENT: usize = 8;

/// Holds the same for programs.
#[derive(Debug, Serialize)]
struct Body<'a> {
    ok: bool,
    findings: Vec<Told<'a>>,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    group: Group,
    check: &'static str,
    level: Level,
    says: &'a str,
    remedy: Option<&'a str>,
    docs: String,
}

pub(super) fn json(findings: &[Finding]) -> Vec<u8> {
    let told = findings.iter().map(|one| Told {
        group: one.topic.group(),
        check: one.topic.anchor(),
        level: one.level,
        says: &one.says,
        remedy: one.remedy.as_deref(),
        docs: one.topic.docs(),
    });
    let ok = findings.iter().all(|one| one.level != Level::Fail);
    // Text, which serde_json cannot fail to write.
    serde_json::to_vec(&Body { ok, findings: told.collect() }).unwrap_or_default()
}

/// In groups, each finding with its remedy below it.
pub(super) fn text(findings: &[Finding], paint: Paint) -> String {
    let mut text = String::new();
    let mut group = None;
    for finding in findings {
        let of = finding.topic.group();
        if group != Some(of) {
            let gap = if group.is_some() { "\n" } else { "" };
            text.push_str(&format!("{gap}{}\n", of.title()));
            group = Some(of);
        }
        let (tone, word) = match finding.level {
            Level::Ok => (Tone::Good, "ok  "),
            Level::Skipped => (Tone::Quiet, "skip"),
            Level::Warn => (Tone::Doubtful, "warn"),
            Level::Fail => (Tone::Bad, "fail"),
        };
        let says = paint.within(INDENT, &plain(&finding.says));
        text.push_str(&format!("  {}  {says}\n", paint.on(tone, word)));
        if let Some(remedy) = &finding.remedy {
            text.push_str(&format!("{:INDENT$}{}\n", "", paint.within(INDENT, &plain(remedy))));
            text.push_str(&format!("{:INDENT$}{}\n", "", paint.on(Tone::Quiet, &finding.topic.docs())));
        }
    }
    let number = |level: Level| findings.iter().filter(|one| one.level == level).count();
    let (failed, warned) = (number(Level::Fail), number(Level::Warn));
    let sum = match (failed, warned) {
        (0, 0) => paint.on(Tone::Good, "all is ok"),
        (0, warned) => paint.on(Tone::Doubtful, &format!("ok, with {}", counted(warned, "warning"))),
        (failed, warned) => paint
            .on(Tone::Bad, &format!("{} failed, {}", counted(failed, "check"), counted(warned, "warning"))),
    };
    text.push_str(&format!("\n{sum}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Topic;

    fn findings() -> [Finding; 4] {
        [
            Finding::ok(Topic::Reachable, "the API server answers"),
            Finding::skipped(
                Topic::NativeSidecars,
                "nodes: not looked at",
                "you need the right to list nodes",
            ),
            Finding::warn(Topic::Replicas, "1 of 2 controllers are ready", "look"),
            Finding::fail(Topic::Service, "there is no Service", "put it back"),
        ]
    }

    #[test]
    fn findings_are_told_in_groups_with_their_remedies() {
        let expected = "\
Kubernetes
  ok    the API server answers
  skip  nodes: not looked at
        you need the right to list nodes
        docs/checks.md#native-sidecars

Installation
  warn  1 of 2 controllers are ready
        look
        docs/checks.md#replicas
  fail  there is no Service
        put it back
        docs/checks.md#service

1 check failed, 1 warning
";
        assert_eq!(text(&findings(), Paint::new(false)), expected);
        assert!(text(&findings()[..1], Paint::new(false)).ends_with("\nall is ok\n"));
        assert!(text(&findings()[..3], Paint::new(false)).ends_with("\nok, with 1 warning\n"));
        assert!(text(&findings(), Paint::new(true)).contains("\u{1b}[31mfail\u{1b}[0m  there"));
    }

    #[test]
    fn what_a_registration_says_is_told_and_not_obeyed() {
        let forged = Finding::warn(Topic::Registrations, "a (\u{1b}[2J\n  ok    all)", "look\n  ok");
        let text = text(&[forged], Paint::new(false));
        assert!(!text.contains('\u{1b}') && !text.contains("\n  ok"), "{text:?}");
    }

    #[test]
    fn programs_are_told_the_same() {
        let body: serde_json::Value = serde_json::from_slice(&json(&findings())).unwrap();
        assert_eq!(body["ok"], false);
        assert_eq!(
            body["findings"][3],
            serde_json::json!({"group": "installation", "check": "service", "level": "fail",
                "says": "there is no Service", "remedy": "put it back", "docs": "docs/checks.md#service"})
        );
        let body: serde_json::Value = serde_json::from_slice(&json(&findings()[..3])).unwrap();
        assert_eq!((&body["ok"], &body["findings"][2]["level"]), (&true.into(), &"warn".into()));
    }
}
