//! Whether the installation's own authority lasts, and how its replacing stands.

use super::unseen;
use crate::{
    check::{
        facts::{Authority, Certificate, Facts, SignFrom},
        finding::{Finding, Topic},
    },
    print::ago,
};

const DAY_S: i64 = 24 * 60 * 60;
/// As the chart has it. Controllers announce the next authority at twice the overlap before the end of this one.
const OVERLAP_S: i64 = 30 * DAY_S;
/// What a controller does about a Secret that somebody had his hand in.
const PUT_BACK: &str = "a controller that runs puts back what it holds; its log says what it makes of it";

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let topic = Topic::Authority;
    let Some(authority) = facts.authority.here() else {
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
    let Some(signer) = &authority.signer else {
        let says = "the Secret rollcall-ca holds no certificate that can be read";
        return vec![Finding::fail(topic, says, PUT_BACK)];
    };
    let overlap_s = facts.installation.deployment.here().and_then(|deployment| deployment.overlap_s);
    vec![
        bundle(authority),
        term(signer.not_after_s - facts.now_s, overlap_s.unwrap_or(OVERLAP_S)),
        rotation(authority, facts.now_s),
    ]
}

/// What people mount is to be what sidecars are told.
fn bundle(authority: &Authority) -> Finding {
    let topic = Topic::Authority;
    let wanted = || authority.signer.iter().chain(&authority.previous).map(|one| &one.der);
    let Some(bundle) = &authority.bundle else {
        return Finding::warn(topic, "the Secret rollcall-ca has no ca.crt, which people mount", PUT_BACK);
    };
    if wanted().eq(bundle) {
        return Finding::ok(topic, "the Secret rollcall-ca holds the authority");
    }
    let says = "ca.crt of the Secret rollcall-ca is not the authorities that it holds";
    Finding::warn(topic, says, PUT_BACK)
}

fn term(left_s: i64, overlap_s: i64) -> Finding {
    let topic = Topic::AuthorityTerm;
    let renew = "restart the controllers, which make the next one; their log says what keeps them from it";
    match left_s {
        ..=0 => Finding::fail(topic, "the authority has expired", renew),
        left_s if left_s < overlap_s => Finding::warn(
            topic,
            format!("the authority ends in {}, and no other one is made", told(left_s)),
            renew,
        ),
        _ => Finding::ok(topic, format!("the authority lasts {} more", told(left_s))),
    }
}

fn rotation(authority: &Authority, now_s: i64) -> Finding {
    let topic = Topic::Rotation;
    let ended = |one: &Certificate| one.not_after_s <= now_s;
    let until = match authority.sign_from {
        SignFrom::Unread => {
            let says = "rollcall.dev/sign-from of the Secret rollcall-ca is no time";
            return Finding::warn(topic, says, PUT_BACK);
        }
        SignFrom::At(from_s) => Some(from_s).filter(|from_s| *from_s > now_s),
        SignFrom::Now => None,
    };
    match (until, &authority.previous) {
        (None, None) => Finding::ok(topic, "no authority is being replaced"),
        (Some(_), None) => Finding::fail(
            topic,
            "the next authority does not sign yet, and there is none before it",
            "a controller that runs puts back what it holds; otherwise remove the annotation rollcall.dev/sign-from of the Secret",
        ),
        // Sidecars believe it all the same, and API servers do not.
        (Some(from_s), Some(previous)) if previous.not_after_s < from_s => {
            let says = match ended(previous) {
                true => "the authority that signs has ended".to_owned(),
                false => format!("the authority that signs ends in {}", told(previous.not_after_s - now_s)),
            };
            let says = format!("{says}, and the next one signs in {}", told(from_s - now_s));
            let remedy = "until then the API server takes no sidecar from it: set rollcall.dev/sign-from of the Secret to an earlier time, and no earlier than 10 minutes from its announcement";
            if ended(previous) {
                Finding::fail(topic, says, remedy)
            } else {
                Finding::warn(topic, says, remedy)
            }
        }
        (Some(from_s), Some(_)) => Finding::ok(
            topic,
            format!("the next authority is told to all, and signs in {}", told(from_s - now_s)),
        ),
        (None, Some(previous)) if ended(previous) => Finding::warn(
            topic,
            "the authority before has ended, and is not retired",
            "a controller that runs retires it within seconds; its log says what keeps it from that",
        ),
        (None, Some(previous)) => Finding::ok(
            topic,
            format!(
                "the authority before is still believed; it ends in {}",
                told(previous.not_after_s - now_s)
            ),
        ),
    }
}

fn told(seconds: i64) -> String {
    ago(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{finding::Level, judge::sample},
        reach::Seen,
    };

    const TODAY: i64 = 1_000;

    fn found(authority: Seen<Authority>, overlap_s: Option<i64>) -> Vec<(Topic, Level)> {
        let mut facts = Facts { authority, now_s: TODAY * DAY_S, ..sample::facts() };
        if let Seen::Here(deployment) = &mut facts.installation.deployment {
            deployment.overlap_s = overlap_s;
        }
        findings(&facts).iter().map(|one| (one.topic, one.level)).collect()
    }

    /// Who ends on this day.
    fn ends(day: i64) -> Option<Certificate> {
        Some(Certificate { der: day.to_le_bytes().to_vec(), not_after_s: day * DAY_S })
    }

    /// A Secret as a controller writes it: the newer one, the one before, and the day from which on the newer one signs.
    fn secret(signer: Option<Certificate>, previous: Option<Certificate>, from: SignFrom) -> Authority {
        let bundle = signer.iter().chain(&previous).map(|one| one.der.clone()).collect();
        let sign_from = if let SignFrom::At(day) = from { SignFrom::At(day * DAY_S) } else { from };
        Authority { signer, previous, sign_from, bundle: Some(bundle) }
    }

    #[test]
    fn an_authority_is_to_be_there_and_to_last() {
        let steady = |day| Seen::Here(secret(ends(day), None, SignFrom::Now));
        for (authority, overlap_days, topic, level) in [
            (Seen::Missing, None, Topic::Authority, Level::Fail),
            (Seen::Forbidden(String::new()), None, Topic::Authority, Level::Skipped),
            (Seen::Unknown(String::new()), None, Topic::Authority, Level::Warn),
            (Seen::Here(secret(None, None, SignFrom::Now)), None, Topic::Authority, Level::Fail),
            (steady(1_031), None, Topic::Authority, Level::Ok),
            (steady(1_031), None, Topic::AuthorityTerm, Level::Ok),
            (steady(1_029), None, Topic::AuthorityTerm, Level::Warn),
            (steady(1_029), Some(7), Topic::AuthorityTerm, Level::Ok),
            (steady(1_006), Some(7), Topic::AuthorityTerm, Level::Warn),
            (steady(1_000), None, Topic::AuthorityTerm, Level::Fail),
        ] {
            let found = found(authority.clone(), overlap_days.map(|days: i64| days * DAY_S));
            assert!(found.contains(&(topic, level)), "{authority:?}: {found:?}");
        }
    }

    #[test]
    fn each_state_of_a_rotation_is_told() {
        let new = || ends(4_000);
        for (previous, from, level) in [
            (None, SignFrom::Now, Level::Ok),
            (None, SignFrom::At(999), Level::Ok),
            (None, SignFrom::At(1_001), Level::Fail),
            (None, SignFrom::Unread, Level::Warn),
            (ends(1_020), SignFrom::At(1_001), Level::Ok),
            (ends(1_002), SignFrom::At(1_003), Level::Warn),
            (ends(1_000), SignFrom::At(1_003), Level::Fail),
            (ends(1_020), SignFrom::At(999), Level::Ok),
            (ends(1_000), SignFrom::At(999), Level::Warn),
            (ends(1_020), SignFrom::Now, Level::Ok),
            (ends(1_020), SignFrom::Unread, Level::Warn),
        ] {
            let found = found(Seen::Here(secret(new(), previous.clone(), from)), None);
            assert!(found.contains(&(Topic::Rotation, level)), "{previous:?} {from:?}: {found:?}");
        }
    }

    #[test]
    fn what_people_mount_is_what_is_to_be_believed() {
        let whole = secret(ends(4_000), ends(1_020), SignFrom::At(1_001));
        let only_new = Some(ends(4_000).into_iter().map(|one| one.der).collect());
        for (bundle, level) in
            [(whole.bundle.clone(), Level::Ok), (only_new, Level::Warn), (None, Level::Warn)]
        {
            let found = found(Seen::Here(Authority { bundle, ..whole.clone() }), None);
            assert!(found.contains(&(Topic::Authority, level)), "{found:?}");
        }
    }
}
