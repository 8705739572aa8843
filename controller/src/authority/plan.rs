//! What is to be believed, who signs, and which single write is due: a function of what is seen and what is held.
//!
//! A process that holds a state is right about what is missing or broken: it puts it back. The Secret is right about what
//! is new in it. Steps are such that replicas which do not know of each other take the same ones, one after the other.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    pair::{Authority, CaError},
    secret::{Reading, Seen},
    state::State,
    terms::Terms,
};

/// Holds what a process goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) state: State,
    /// Since it has told these authorities.
    pub(super) told_for: Duration,
    /// Since it last saw the Secret.
    pub(super) unseen_for: Duration,
}

/// Says what the Secret of somebody else has for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Nobody else's: we make our own.
    None,
    /// There is to be one, and it is not to be had.
    Missing,
    Gives(Arc<Authority>),
}

/// Holds all that decides.
pub(super) struct Situation<'a> {
    pub(super) seen: &'a Seen,
    pub(super) held: Option<&'a Held>,
    pub(super) source: &'a Source,
    pub(super) now: SystemTime,
    pub(super) terms: Terms,
    /// No other process is there that could put back what is missing, or all had the time to.
    pub(super) is_alone: bool,
}

/// Says what to go by from now on, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// None: nothing yet.
    pub(super) state: Option<State>,
    pub(super) due: Due,
}

/// Says which write is due. What is written is gone by once it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Write(State, Why),
    /// An authority that is to be made first.
    Make(Why),
    /// There is nothing to go by, and others may bring it.
    Wait(Awaited),
}

/// Says why a Secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There was none.
    Made,
    /// Another authority signs soon: a new one, or the source's.
    Announced,
    /// The one before it is believed no more.
    Retired,
    /// Somebody has put another authority there, which signs soon.
    Adopted,
    /// Something was missing or broken, or older than what is known.
    Repaired,
}

/// Says what a process without a state waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    ApiServer,
    Others,
    Source,
    /// Somebody to put it right.
    Person,
}

/// What is to be done now.
pub(super) fn plan(situation: &Situation<'_>) -> Plan {
    let held = situation.held.map(|held| held.state.clone());
    match taken(situation) {
        Taken::Nothing(due) => Plan { state: held, due },
        Taken::State(state, Some(why)) if !situation.seen.is(&state) => {
            Plan { state: Some(state.clone()), due: Due::Write(state, why) }
        }
        Taken::State(state, _) => {
            let due = match situation.seen {
                // Nothing is written onto what was not read.
                Seen::Unknown => Due::Nothing,
                _ => step(&state, situation),
            };
            Plan { state: Some(state), due }
        }
    }
}

/// Says what comes of what is seen.
enum Taken {
    Nothing(Due),
    State(State, Option<Why>),
}

fn taken(situation: &Situation<'_>) -> Taken {
    let Situation { seen, held, source, is_alone, .. } = situation;
    match (seen, held) {
        (Seen::Unknown, None) => Taken::Nothing(Due::Wait(Awaited::ApiServer)),
        (Seen::Unknown, Some(held)) => Taken::State(held.state.clone(), None),
        (Seen::Absent | Seen::There(Reading { state: None, .. }), Some(held)) => {
            Taken::State(held.state.clone(), Some(Why::Repaired))
        }
        (Seen::Absent, None) => Taken::Nothing(match source {
            _ if !is_alone => Due::Wait(Awaited::Others),
            Source::None => Due::Make(Why::Made),
            Source::Missing => Due::Wait(Awaited::Source),
            Source::Gives(given) => Due::Write(State::steady(given.clone()), Why::Made),
        }),
        (Seen::There(Reading { state: None, .. }), None) => Taken::Nothing(match source {
            Source::Gives(given) if *is_alone => Due::Write(State::steady(given.clone()), Why::Repaired),
            _ if *is_alone => Due::Wait(Awaited::Person),
            _ => Due::Wait(Awaited::Others),
        }),
        (Seen::There(Reading { state: Some(state), damage, is_settled }), None) => {
            // Somebody else's hand was in it: who holds the one before is to say so first.
            if !is_settled && !is_alone {
                return Taken::Nothing(Due::Wait(Awaited::Others));
            }
            Taken::State(state.clone(), repair(damage.as_ref(), *is_settled))
        }
        (Seen::There(Reading { state: Some(state), damage, is_settled }), Some(held)) => {
            merged(state, damage.as_ref(), *is_settled, held, situation)
        }
    }
}

fn repair(damage: Option<&CaError>, is_settled: bool) -> Option<Why> {
    (damage.is_some() || !is_settled).then_some(Why::Repaired)
}

/// What comes of a state that is seen, for one who holds another.
fn merged(
    seen: &State,
    damage: Option<&CaError>,
    is_settled: bool,
    held: &Held,
    situation: &Situation<'_>,
) -> Taken {
    let Situation { source, now, terms, .. } = situation;
    let ours = &held.state;
    let as_it_is = || Taken::State(seen.clone(), repair(damage, is_settled));
    let put_back = || Taken::State(ours.clone(), Some(Why::Repaired));
    let handing_over =
        |why| Taken::State(ours.announcing(seen.current.clone(), *now, terms.hand_over()), Some(why));
    let signer = ours.signer(*now);
    let is_given = matches!(source, Source::Gives(given) if *given == seen.current);
    // It would be over before everyone had gone over to it, and from it to the next.
    let left = seen.current.left(*now);
    let ends_sooner = !is_given && left < terms.hand_over() * 2 && left < ours.current.left(*now);
    if seen.is_of(&ours.current) {
        return if of_the_same(seen, damage, is_settled, held, situation) { as_it_is() } else { put_back() };
    }
    if let Some(outgoing) = &seen.outgoing
        && [&ours.current, signer].contains(&&outgoing.authority)
    {
        // Nobody announces with so little time: it comes from another day, and who was told of it then knows it no more.
        let is_sudden = outgoing.signs_until < *now + terms.heard_within();
        let why = if is_given { Why::Announced } else { Why::Adopted };
        return match is_sudden && held.unseen_for < terms.heard_within() {
            true if ends_sooner => put_back(),
            true => handing_over(why),
            false => as_it_is(),
        };
    }
    if ours.lets_go_of(&seen.current) && !is_given {
        return put_back();
    }
    // An authority that we do not know. Whoever has not looked for as long as a rotation takes knows nothing better.
    if held.unseen_for >= terms.overlap {
        return as_it_is();
    }
    match source {
        _ if !seen.current.is_of(*now) || ends_sooner => put_back(),
        Source::None => handing_over(Why::Adopted),
        _ if is_given => handing_over(Why::Announced),
        _ => put_back(),
    }
}

/// Whether a Secret with the authority that we hold is right about the one on its way out; if not, we are.
fn of_the_same(
    seen: &State,
    damage: Option<&CaError>,
    is_settled: bool,
    held: &Held,
    situation: &Situation<'_>,
) -> bool {
    let Situation { now, terms, .. } = situation;
    let ours = &held.state;
    let was_told = held.told_for >= terms.heard_within();
    match (&seen.outgoing, &ours.outgoing) {
        (None, None) => true,
        // Who was retired is believed by nobody any more. But whoever signs still was not: another replica knows it, which we
        // began without, and all of its sidecars.
        (Some(theirs), None) => damage.is_none() && is_settled && *now < theirs.signs_until,
        // The time of the one before is over, or somebody wants it to be: once everyone was told of its successor.
        (None, Some(_)) => damage.is_none() && (was_told || ours.signer(*now) == &ours.current),
        (Some(theirs), Some(own)) if theirs.authority == own.authority => damage.is_none(),
        // Two that took over the same authority at once, from different ones.
        (Some(_), Some(_)) => damage.is_none() && !was_told,
    }
}

/// What is due of a state that is as it should be.
fn step(state: &State, situation: &Situation<'_>) -> Due {
    let Situation { source, now, terms, .. } = situation;
    let is_handing_over =
        state.outgoing.as_ref().is_some_and(|outgoing| *now < outgoing.settled(&state.current, *terms));
    match source {
        Source::Gives(given) if !state.is_of(given) => {
            let next = state.announcing(given.clone(), *now, state.run_up(*now, *terms));
            return Due::Write(next, Why::Announced);
        }
        Source::None => {
            let ends_soon = state.current.left(*now) < terms.overlap * 2 && !is_handing_over;
            let of_another_time = !state.current.is_of(*now) && state.current.left(*now) > Duration::ZERO;
            if ends_soon || of_another_time {
                return Due::Make(Why::Announced);
            }
        }
        _ => {}
    }
    let Some(outgoing) = &state.outgoing else { return Due::Nothing };
    let has_ended = outgoing.authority.ends <= *now;
    let is_over = *now >= outgoing.signs_until + terms.overlap
        || has_ended && *now >= outgoing.settled(&state.current, *terms);
    if is_over { Due::Write(State::steady(state.current.clone()), Why::Retired) } else { Due::Nothing }
}

// === impl Why ===

impl Why {
    pub const ALL: [Self; 5] = [Self::Made, Self::Announced, Self::Retired, Self::Adopted, Self::Repaired];

    /// The word in `authority_writes_total{reason}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Announced => "announced",
            Self::Retired => "retired",
            Self::Adopted => "adopted",
            Self::Repaired => "repaired",
        }
    }
}
