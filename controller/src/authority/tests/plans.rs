use super::{
    super::{
        pair::CaError,
        plan::{Awaited, Due, Held, Plan, Situation, Source, Why, plan},
        secret::{Reading, Seen},
    },
    *,
};

struct Scene {
    now: SystemTime,
    old: Arc<Authority>,
    new: Arc<Authority>,
    stranger: Arc<Authority>,
}

impl Scene {
    fn new() -> Self {
        let now = begin();
        let [old, new, stranger] = [(); 3].map(|()| authority(SHORT.authority, now));
        Self { now, old, new, stranger }
    }

    fn steady(&self) -> State {
        State::steady(self.old.clone())
    }

    fn announced(&self) -> State {
        announced(&self.new, &self.old, self.now, SHORT.overlap)
    }

    /// The new one has signed for a moment.
    fn switched(&self) -> State {
        announced(&self.new, &self.old, self.now - SHORT.overlap - seconds(1), SHORT.overlap)
    }

    fn plan(&self, seen: &Seen, held: Option<&Held>, source: &Source, is_alone: bool) -> Plan {
        plan(&Situation { seen, held, source, now: self.now, terms: SHORT, is_alone })
    }

    /// What one does who holds this and looks now and then.
    fn holds(&self, held: &State, seen: &Seen) -> Plan {
        self.plan(seen, Some(&knows(held)), &Source::None, false)
    }
}

fn knows(state: &State) -> Held {
    Held { state: state.clone(), told_for: seconds(60), unseen_for: seconds(6) }
}

fn there(state: &State) -> Seen {
    Seen::There(Reading { state: Some(state.clone()), damage: None, is_settled: true })
}

fn broken() -> Seen {
    Seen::There(Reading { state: None, damage: Some(CaError::Apart("x".to_owned())), is_settled: false })
}

/// By a hand that knows nothing of bundles.
fn swapped(state: &State) -> Seen {
    Seen::There(Reading { state: Some(state.clone()), damage: None, is_settled: false })
}

fn goes_by(state: &State, due: Due) -> Plan {
    Plan { state: Some(state.clone()), due }
}

fn writes(state: &State, why: Why) -> Plan {
    goes_by(state, Due::Write(state.clone(), why))
}

#[test]
fn whoever_holds_a_state_puts_back_what_is_gone_or_broken() {
    let scene = Scene::new();
    for held in [scene.steady(), scene.announced(), scene.switched()] {
        for seen in [Seen::Absent, broken()] {
            assert_eq!(scene.holds(&held, &seen), writes(&held, Why::Repaired));
        }
        assert_eq!(scene.holds(&held, &there(&held)), goes_by(&held, Due::Nothing));
        assert_eq!(scene.holds(&held, &swapped(&held)), writes(&held, Why::Repaired), "the bundle");
        assert_eq!(scene.holds(&held, &Seen::Unknown), goes_by(&held, Due::Nothing));
    }
}

#[test]
fn whoever_starts_takes_what_is_there_and_makes_one_only_where_nobody_else_can_have_it() {
    let scene = Scene::new();
    let none = |seen: &Seen, source: &Source, is_alone| scene.plan(seen, None, source, is_alone);
    let waits = |awaited| Plan { state: None, due: Due::Wait(awaited) };
    for is_alone in [false, true] {
        for state in [scene.steady(), scene.announced(), scene.switched()] {
            assert_eq!(none(&there(&state), &Source::None, is_alone), goes_by(&state, Due::Nothing));
        }
        assert_eq!(none(&Seen::Unknown, &Source::None, is_alone), waits(Awaited::ApiServer));
    }
    let given = Source::Gives(scene.new.clone());
    for seen in [Seen::Absent, broken(), swapped(&scene.steady())] {
        assert_eq!(none(&seen, &Source::None, false), waits(Awaited::Others));
        assert_eq!(none(&seen, &given, false), waits(Awaited::Others));
    }
    assert_eq!(none(&Seen::Absent, &Source::None, true), Plan { state: None, due: Due::Make(Why::Made) });
    assert_eq!(none(&Seen::Absent, &Source::Missing, true), waits(Awaited::Source));
    let from_source = |why| Plan { state: None, due: Due::Write(State::steady(scene.new.clone()), why) };
    assert_eq!(none(&Seen::Absent, &given, true), from_source(Why::Made));
    assert_eq!(none(&broken(), &given, true), from_source(Why::Repaired));
    assert_eq!(none(&broken(), &Source::None, true), waits(Awaited::Person), "never overwritten by a guess");
    let old = scene.steady();
    assert_eq!(
        none(&swapped(&old), &Source::None, true),
        writes(&old, Why::Repaired),
        "as older versions wrote it"
    );
}

#[test]
fn another_authority_is_announced_before_the_one_that_is_there_ends() {
    let scene = Scene::new();
    let at = |after: u64| {
        let now = scene.now + seconds(after);
        let (held, seen) = (knows(&scene.steady()), there(&scene.steady()));
        plan(&Situation {
            seen: &seen,
            held: Some(&held),
            source: &Source::None,
            now,
            terms: SHORT,
            is_alone: false,
        })
        .due
    };
    for (after, due) in [
        (0, Due::Nothing),
        (600, Due::Nothing),
        (601, Due::Make(Why::Announced)),
        (799, Due::Make(Why::Announced)),
        // Ended long ago: sidecars believe it all the same until they know the next.
        (5_000, Due::Make(Why::Announced)),
    ] {
        assert_eq!(at(after), due, "after {after} s");
    }
    // One that was taken over late in its life: not before the one that signed until now does so at nobody's clock.
    let taken = |lasts: u64, after: u64| {
        let current = authority(seconds(lasts), scene.now);
        let state = announced(&current, &scene.old, scene.now, SHORT.hand_over());
        let (held, seen) = (knows(&state), there(&state));
        let now = scene.now + seconds(after);
        plan(&Situation {
            seen: &seen,
            held: Some(&held),
            source: &Source::None,
            now,
            terms: SHORT,
            is_alone: false,
        })
        .due
    };
    for (lasts, after, due) in [
        (290, 100, Due::Nothing),
        (290, 193, Due::Nothing),
        (290, 195, Due::Make(Why::Announced)),
        (120, 109, Due::Nothing),
        (120, 111, Due::Make(Why::Announced)),
        (90, 100, Due::Make(Why::Announced)),
    ] {
        assert_eq!(taken(lasts, after), due, "one that lasts {lasts} s, after {after} s");
    }
    // From another time: a clock was years ahead.
    let future = authority(SHORT.authority, scene.now + 400 * seconds(86_400));
    let state = State::steady(future);
    assert_eq!(scene.holds(&state, &there(&state)).due, Due::Make(Why::Announced));
}

#[test]
fn the_signer_changes_by_time_alone_and_the_one_before_is_believed_as_long_again() {
    let scene = Scene::new();
    let state = scene.announced();
    assert_eq!(state.signer(scene.now + seconds(99)), &scene.old);
    assert_eq!(state.signer(scene.now + seconds(100)), &scene.new);
    for (after, retires) in [(0, false), (100, false), (199, false), (200, true), (10_000, true)] {
        let now = scene.now + seconds(after);
        let (held, seen) = (knows(&state), there(&state));
        let made = plan(&Situation {
            seen: &seen,
            held: Some(&held),
            source: &Source::Missing,
            now,
            terms: SHORT,
            is_alone: false,
        });
        let steady = State::steady(scene.new.clone());
        let due = if retires { Due::Write(steady, Why::Retired) } else { Due::Nothing };
        assert_eq!(made, goes_by(&state, due), "after {after} s");
    }
}

#[test]
fn steps_of_others_are_taken_as_they_are() {
    let scene = Scene::new();
    let (steady, announced, switched) = (scene.steady(), scene.announced(), scene.switched());
    let retired = State::steady(scene.new.clone());
    for (held, seen) in [(&steady, &announced), (&switched, &retired), (&announced, &retired)] {
        assert_eq!(scene.holds(held, &there(seen)), goes_by(seen, Due::Nothing), "{held:?}");
    }
    // Another replica has announced another one than we did, and was faster.
    let theirs = super::announced(&scene.stranger, &scene.old, scene.now, SHORT.overlap);
    assert_eq!(scene.holds(&announced, &there(&theirs)), goes_by(&theirs, Due::Nothing));
    // One that was away for long comes back after the turn.
    let away = Held { unseen_for: seconds(99), ..knows(&steady) };
    let made = scene.plan(&there(&switched), Some(&away), &Source::None, false);
    assert_eq!(made, goes_by(&switched, Due::Nothing));
}

#[test]
fn what_is_older_than_what_is_known_is_written_over() {
    let scene = Scene::new();
    let (steady, announced, switched) = (scene.steady(), scene.announced(), scene.switched());
    let retired = State::steady(scene.new.clone());
    for (held, seen) in [(&announced, &steady), (&switched, &steady), (&retired, &switched)] {
        assert_eq!(scene.holds(held, &there(seen)), writes(held, Why::Repaired), "{seen:?}");
    }
    // Nor is one taken away that not everyone has been told of the successor of.
    let early = Held { told_for: seconds(1), ..knows(&announced) };
    let made = scene.plan(&there(&retired), Some(&early), &Source::None, false);
    assert_eq!(made, writes(&announced, Why::Repaired));
}

/// One began without a Secret while another was out of its sight, which has announced that one's authority since.
#[test]
fn whoever_began_alone_gives_way_to_an_announcement_of_its_own_authority() {
    let scene = Scene::new();
    let (made, theirs) = (State::steady(scene.new.clone()), scene.announced());
    assert_eq!(scene.holds(&made, &there(&theirs)), goes_by(&theirs, Due::Nothing));
    assert_eq!(scene.holds(&made, &swapped(&theirs)), writes(&made, Why::Repaired), "by no controller");
    assert_eq!(scene.holds(&made, &there(&scene.switched())), writes(&made, Why::Repaired), "of before");
}

#[test]
fn an_authority_that_somebody_put_there_signs_after_everyone_was_told() {
    let scene = Scene::new();
    let seen = swapped(&State::steady(scene.stranger.clone()));
    for (held, signer) in
        [(scene.steady(), &scene.old), (scene.announced(), &scene.old), (scene.switched(), &scene.new)]
    {
        let expected = announced(&scene.stranger, signer, scene.now, SHORT.hand_over());
        assert_eq!(scene.holds(&held, &seen), writes(&expected, Why::Adopted));
    }
    // One from a backup, with a date that was over long ago.
    let sudden = there(&scene.switched());
    let expected = announced(&scene.new, &scene.old, scene.now, SHORT.hand_over());
    assert_eq!(scene.holds(&scene.steady(), &sudden), writes(&expected, Why::Adopted));
    // One that has ended is no authority.
    let ended = State::steady(authority(seconds(10), scene.now - seconds(20)));
    assert_eq!(scene.holds(&scene.steady(), &swapped(&ended)), writes(&scene.steady(), Why::Repaired));
    // One that would be over before everyone had gone over to it is none either, unless ours ends still sooner.
    for (lasts, ours, is_taken) in [(199, 800, false), (201, 800, true), (199, 150, true)] {
        let held = State::steady(authority(seconds(ours), scene.now));
        let short = State::steady(authority(seconds(lasts), scene.now));
        let made = scene.holds(&held, &swapped(&short));
        let expected = if is_taken {
            writes(&announced(&short.current, &held.current, scene.now, SHORT.hand_over()), Why::Adopted)
        } else {
            writes(&held, Why::Repaired)
        };
        assert_eq!(made, expected, "{lasts} s, beside {ours} s");
    }
    // Who did not look for longer than a rotation takes knows nothing better.
    let strange = State::steady(scene.stranger.clone());
    let away = Held { unseen_for: SHORT.overlap, ..knows(&scene.steady()) };
    let made = scene.plan(&there(&strange), Some(&away), &Source::None, false);
    assert_eq!(made, goes_by(&strange, Due::Nothing));
}

#[test]
fn the_source_decides_where_there_is_one() {
    let scene = Scene::new();
    let (steady, given) = (scene.steady(), Source::Gives(scene.new.clone()));
    let plan_of =
        |held: &State, seen: &Seen, source: &Source| scene.plan(seen, Some(&knows(held)), source, false);
    let next = announced(&scene.new, &scene.old, scene.now, SHORT.overlap);
    assert_eq!(plan_of(&steady, &there(&steady), &given), goes_by(&steady, Due::Write(next, Why::Announced)));
    let announced = scene.announced();
    assert_eq!(plan_of(&announced, &there(&announced), &given), goes_by(&announced, Due::Nothing));
    // Whatever else somebody puts into our Secret is damage.
    let strange = swapped(&State::steady(scene.stranger.clone()));
    for source in [&given, &Source::Missing] {
        assert_eq!(plan_of(&announced, &strange, source), writes(&announced, Why::Repaired));
    }
    // It changes its mind before the turn: who signs all the while just goes on.
    let back = Source::Gives(scene.old.clone());
    assert_eq!(
        plan_of(&announced, &there(&announced), &back),
        goes_by(&announced, Due::Write(steady.clone(), Why::Announced))
    );
    assert_eq!(
        plan_of(&announced, &there(&steady), &back),
        goes_by(&steady, Due::Nothing),
        "by another replica"
    );
    // Without it nothing is made, however soon the end is.
    let last = State::steady(authority(seconds(20), scene.now));
    assert_eq!(plan_of(&last, &there(&last), &Source::Missing), goes_by(&last, Due::Nothing));
    // What is left decides how long it is announced: API servers believe no authority that has ended.
    let Due::Write(next, Why::Announced) = plan_of(&last, &there(&last), &given).due else {
        panic!("nothing is due")
    };
    assert_eq!(next.outgoing.unwrap().signs_until, scene.now + SHORT.hand_over());
}
