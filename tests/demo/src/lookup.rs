//! What a sidecar's answer says, as a loop in a pod prints it: on one line, after the head where that was asked for.

use serde::Deserialize;

/// Holds what is read of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// `Age`: 0 in step, and only then. None where heads were not asked for.
    pub(crate) age_s: Option<u64>,
    pub(crate) instances: Vec<Instance>,
}

/// Holds what is read of an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Instance {
    pub(crate) address: String,
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) pod: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    instances: Vec<Instance>,
}

// === impl Lookup ===

impl Lookup {
    /// None where it is no answer with instances: the lookup has failed.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let (head, body) = line.split_at_checked(line.find('{')?)?;
        let body: Body = serde_json::from_str(body).ok()?;
        Some(Self { age_s: age_s(head), instances: body.instances })
    }

    pub(crate) fn has(&self, address: &str) -> bool {
        self.instances.iter().any(|instance| instance.address == address)
    }
}

fn age_s(head: &str) -> Option<u64> {
    let mut words = head.split_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("age:"))?;
    words.next()?.parse().ok()
}

/// Holds lookups of a service that stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steadiness {
    pub(crate) lookups: usize,
    pub(crate) failed: usize,
    /// Answers without one of those that are well all the time.
    pub(crate) lacking: usize,
    pub(crate) longest_age_s: u64,
    /// When an answer was in step again, after the last one that was not; none where none was out of step.
    pub(crate) in_step_again_ms: Option<u64>,
    /// The last answer was out of step, or there was none.
    pub(crate) is_out_of_step: bool,
}

// === impl Steadiness ===

impl Steadiness {
    /// Of what a loop printed from a moment on, and of whom each answer must name.
    pub(crate) fn of(lines: &[crate::Line], from_ms: u64, well: &[String]) -> Self {
        let mut all = Self { is_out_of_step: true, ..Self::default() };
        let mut was_out = false;
        for line in lines.iter().filter(|line| line.at_ms >= from_ms) {
            all.lookups += 1;
            let read = Lookup::read(&line.text).and_then(|lookup| Some((lookup.age_s?, lookup)));
            let Some((age_s, lookup)) = read else {
                all.failed += 1;
                continue;
            };
            all.lacking += usize::from(!well.iter().all(|one| lookup.has(one)));
            all.longest_age_s = all.longest_age_s.max(age_s);
            all.is_out_of_step = age_s > 0;
            if was_out && age_s == 0 {
                all.in_step_again_ms = Some(line.at_ms);
            }
            was_out = age_s > 0;
        }
        all
    }

    /// What was not kept, in words.
    pub(crate) fn doubt(&self) -> Option<String> {
        if self.lookups == 0 {
            return Some("nobody looked".to_owned());
        }
        if self.failed > 0 {
            return Some(format!("{} of {} lookups failed", self.failed, self.lookups));
        }
        if self.lacking > 0 {
            return Some(format!("{} of {} lacked one that was well", self.lacking, self.lookups));
        }
        self.is_out_of_step.then(|| "not in step again".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Line;

    const BODY: &str = r#"{"service":"orders","revision":7,"instances":[{"id":"x","address":"10.1.2.30","version":"1.4.2","pod":"orders-1"},{"address":"10.1.2.4"}]}"#;

    #[test]
    fn an_answer_is_read_with_its_head_and_without() {
        let lookup = Lookup::read(&format!("HTTP/1.1 200 OK age: 12 etag: \"7\" {BODY}")).unwrap();
        assert_eq!((lookup.age_s, lookup.instances.len()), (Some(12), 2));
        assert!(lookup.has("10.1.2.4") && !lookup.has("10.1.2.3"));
        assert_eq!(lookup.instances[0].version.as_deref(), Some("1.4.2"));
        assert_eq!(Lookup::read(BODY).unwrap().age_s, None);
        for failed in
            ["", "wget: server returned error: HTTP/1.1 503", "{", r#"{"type":"urn:rollcall:problem:x"}"#]
        {
            assert_eq!(Lookup::read(failed), None, "{failed}");
        }
    }

    fn steadiness(ages: &[&str], well: &[&str]) -> Steadiness {
        let line =
            |(at_ms, age): (u64, &&str)| Line { at_ms, text: format!("HTTP/1.1 200 OK Age: {age} {BODY}") };
        let lines: Vec<_> = (0..).map(|number| number * 100).zip(ages).map(line).collect();
        let well: Vec<_> = well.iter().map(|&one| one.to_owned()).collect();
        Steadiness::of(&lines, 100, &well)
    }

    #[test]
    fn lookups_that_grew_old_and_young_again_are_steady() {
        let all = steadiness(&["9", "0", "1", "2", "0", "0"], &["10.1.2.4"]);
        assert_eq!((all.lookups, all.longest_age_s, all.in_step_again_ms), (5, 2, Some(400)));
        assert_eq!(all.doubt(), None);
        assert_eq!(steadiness(&["0", "0", "0"], &[]).in_step_again_ms, None);
    }

    #[test]
    fn each_lie_is_doubted() {
        for (ages, well, doubt) in [
            (&["0", "0", "x", "0"][..], &[][..], "1 of 3 lookups failed"),
            (&["0", "0", "0"], &["10.1.2.5"], "2 of 2 lacked one"),
            (&["0", "0", "3"], &[], "not in step again"),
            (&["0"], &[], "nobody looked"),
        ] {
            let said = steadiness(ages, well).doubt().unwrap();
            assert!(said.starts_with(doubt), "{said}");
        }
    }
}
