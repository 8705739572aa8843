//! Whether the installation's own authority lasts.

use super::unseen;
use crate::check::{
    facts::{Authority, Facts},
    finding::{Finding, Topic},
};

const DAY_S: i64 = 24 * 60 * 60;
/// Controllers make the next authority 60 days before the end of this one, as the chart has it: later none is under way.
const SOON_S: i64 = 30 * DAY_S;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let topic = Topic::Authority;
    let Some(Authority { signer, previous, sign_from_s }) = facts.authority.here() else {
        let missing = || {
            Finding::fail(
                topic,
                format!("there is no Secret rollcall-ca in {}", facts.system),
                "a controller that runs puts back what it holds; where none does, the next one makes another authority, and pods of before must be made anew",
            )
        };
        let right = format!("get the Secret rollcall-ca in {}", facts.system);
        return vec![unseen(topic, "the authority", &right, &facts.authority).unwrap_or_else(missing)];
    };
    let Some(signer) = signer else {
        return vec![Finding::fail(
            topic,
            "the Secret rollcall-ca holds no certificate that can be read",
            "a controller that runs puts back what it holds; its log says what it makes of it",
        )];
    };
    let mut findings = vec![Finding::ok(topic, "the Secret rollcall-ca holds the authority")];
    let left_s = signer.not_after_s - facts.now_s;
    let renew = "restart the controllers, which make the next one; their log says what keeps them from it";
    findings.push(match left_s {
        ..=0 => Finding::fail(Topic::AuthorityTerm, "the authority has expired", renew),
        1..SOON_S => Finding::warn(
            Topic::AuthorityTerm,
            format!("the authority ends in {} days, and no other one is made", left_s / DAY_S),
            renew,
        ),
        _ => Finding::ok(Topic::AuthorityTerm, format!("the authority lasts {} more days", left_s / DAY_S)),
    });
    findings.push(rotation(
        sign_from_s.filter(|from_s| *from_s > facts.now_s),
        previous.is_some(),
        facts.now_s,
    ));
    findings
}

fn rotation(signs_from_s: Option<i64>, has_previous: bool, now_s: i64) -> Finding {
    let topic = Topic::Rotation;
    match signs_from_s {
        Some(_) if !has_previous => Finding::fail(
            topic,
            "the next authority does not sign yet, and there is none before it",
            "a controller that runs puts back what it holds; otherwise remove the annotation rollcall.dev/sign-from of the Secret",
        ),
        Some(from_s) => Finding::ok(
            topic,
            format!("the next authority is told to all, and signs in {} hours", (from_s - now_s) / 3_600),
        ),
        None if has_previous => Finding::ok(topic, "the authority before is still believed"),
        None => Finding::ok(topic, "no authority is being replaced"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{facts::Certificate, finding::Level, judge::sample},
        reach::Seen,
    };

    fn found(authority: Seen<Authority>) -> Vec<(Topic, Level)> {
        let facts = Facts { authority, now_s: 1_000 * DAY_S, ..sample::facts() };
        findings(&facts).iter().map(|one| (one.topic, one.level)).collect()
    }

    fn ends(day: i64) -> Option<Certificate> {
        Some(Certificate { der: vec![1], not_after_s: day * DAY_S })
    }

    #[test]
    fn an_authority_is_to_be_there_and_to_last() {
        let with = |signer, previous, sign_from_s: Option<i64>| {
            Seen::Here(Authority { signer, previous, sign_from_s: sign_from_s.map(|day| day * DAY_S) })
        };
        for (authority, topic, level) in [
            (Seen::Missing, Topic::Authority, Level::Fail),
            (Seen::Forbidden(String::new()), Topic::Authority, Level::Skipped),
            (Seen::Unknown(String::new()), Topic::Authority, Level::Warn),
            (with(None, None, None), Topic::Authority, Level::Fail),
            (with(ends(1_031), None, None), Topic::AuthorityTerm, Level::Ok),
            (with(ends(1_029), None, None), Topic::AuthorityTerm, Level::Warn),
            (with(ends(1_000), None, None), Topic::AuthorityTerm, Level::Fail),
            (with(ends(4_000), ends(1_020), Some(1_001)), Topic::Rotation, Level::Ok),
            (with(ends(4_000), ends(1_020), Some(999)), Topic::Rotation, Level::Ok),
            (with(ends(4_000), None, Some(1_001)), Topic::Rotation, Level::Fail),
            (with(ends(4_000), None, Some(999)), Topic::Rotation, Level::Ok),
        ] {
            let found = found(authority.clone());
            assert!(found.contains(&(topic, level)), "{authority:?}: {found:?}");
        }
    }
}
