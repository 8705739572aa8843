//! What an answer of the controller holds, or says no with.

use serde::de::DeserializeOwned;

use super::{Answer, replicas::problem_of, unreachable};
use crate::failure::Failure;

/// The body of an answer that is one; its problem otherwise.
pub(crate) fn body(answer: &Answer) -> Result<&[u8], Failure> {
    match answer.status {
        _ if answer.is_ok() => Ok(&answer.body),
        404 => Err(Failure::Nothing(problem_of(answer))),
        400 | 422 => Err(Failure::Usage(problem_of(answer))),
        // It says nothing of what was asked, and a script must not take it for a no.
        _ => Err(unreachable("answer", &problem_of(answer), "`rollcall check` says what is wrong")),
    }
}

/// The same, read.
pub(crate) fn decoded<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(body(answer)?).map_err(|error| {
        unreachable(
            "answer",
            &format!("it cannot be read ({error})"),
            "use a `rollcall` of the controller's version",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_ends_the_command_as_its_kind_wants() {
        let answer = |status: u16, body: &str| Answer { status, body: body.as_bytes().to_vec() };
        let said = r#"{"detail":"no registration names `x`","hint":"look"}"#;
        for (status, code) in [(404, 1), (400, 2), (422, 2), (500, 3), (503, 3)] {
            let failure = body(&answer(status, said)).unwrap_err();
            assert_eq!(failure.code(), code, "{status}");
            assert!(failure.sentence().unwrap().contains("no registration names `x`; look"), "{failure}");
        }
        assert_eq!(decoded::<Vec<u8>>(&answer(200, "[1]")).unwrap(), [1]);
        let unread = decoded::<Vec<u8>>(&answer(200, "{}")).unwrap_err();
        assert!(unread.to_string().contains("controller's version"), "{unread}");
        assert_eq!(unread.code(), 3, "garbage is no answer");
        assert!(body(&answer(418, "tea")).unwrap_err().to_string().contains("418"));
    }
}
