use super::{super::dial::Dialer, net::Way, *};

const SECOND: Duration = Duration::from_secs(1);

fn is_open(note: &Note) -> bool {
    matches!(note.session, rollcall_wire::peer::SessionNote::Open { .. })
}

#[tokio::test(start_paused = true)]
async fn what_one_replica_hears_all_know_within_a_second() {
    let world = World::new();
    let [one, two, three] = world.fleet(3).await.try_into().ok().unwrap();
    let presence = one.session(1, "i").await;
    for other in [&two, &three] {
        assert!(other.hears(1, |note| is_open(note) && note.origin == one.epoch()).await <= SECOND);
    }
    drop(presence);
    for other in [&two, &three] {
        assert!(other.hears(1, |note| !is_open(note)).await <= SECOND);
    }
    // The sidecar's next session is elsewhere.
    let _presence = two.session(1, "i").await;
    for other in [&one, &three] {
        assert!(other.hears(1, |note| is_open(note) && note.origin == two.epoch()).await <= SECOND);
    }
    // One link between two each, and they stay.
    sleep(60 * SECOND).await;
    for replica in [&one, &two, &three] {
        assert_eq!(["linked", "missed", "lost"].map(|state| replica.count(state)), [2, 0, 0]);
    }
    one.peers.set_own(7, Standing::Leaving);
    let is_told = |fleet: &Fleet| {
        fleet.others.iter().any(|other| *other.replica == *"a" && !other.serves && other.sessions == 7)
    };
    assert!(two.knows(is_told).await <= SECOND);
    assert!(world.leases.lock().unwrap().held.is_empty(), "nobody was missed, and nothing is written");
}

#[tokio::test(start_paused = true)]
async fn one_that_begins_knows_what_was_said_before_and_waits_for_it() {
    let world = World::new();
    let one = world.replica("a", 1, 2, Callers { acked: 0, late: false }).await;
    // The other one that a flag names is not there.
    assert!(one.knows(|fleet| fleet.is_met).await >= 2 * SECOND);
    let _presence = one.session(1, "i").await;
    let two = world.replica("b", 2, 2, Callers { acked: 0, late: false }).await;
    assert!(two.knows(|fleet| fleet.is_met).await <= SECOND);
    assert!(two.index.ledger().get(&uid(1)).is_some(), "before it serves");
}

#[tokio::test(start_paused = true)]
async fn what_had_to_be_dropped_before_its_pod_came_is_told_again() {
    let world = World::new();
    let [one, two] = world.fleet(2).await.try_into().ok().unwrap();
    one.index.apply(Change::Pod(Box::new(pod(50).into()))).await.unwrap();
    let presence = one.session(50, "i").await;
    sleep(SECOND).await;
    // More than there is room for come before the other one's own watch has brought any.
    let note = one.index.ledger().get(&uid(50)).unwrap();
    let early = |number: u32| Note { pod: format!("e{number}").as_str().into(), ..Note::clone(&note) };
    two.index.hear_notes((0..16_384).map(|number| Arc::new(early(number))).collect()).await.unwrap();
    two.index.apply(Change::Pod(Box::new(pod(50).into()))).await.unwrap();
    // What is said of a session that has fallen silent would come by itself.
    let speaks = async {
        loop {
            presence.heard();
            sleep(3 * SECOND).await;
        }
    };
    let told_after = tokio::select! {
        told_after = two.hears(50, is_open) => told_after,
        () = speaks => unreachable!("it has no end"),
    };
    assert!(told_after <= 61 * SECOND, "{told_after:?}");
    for replica in [&one, &two] {
        assert!(replica.counts(1, 0, 0).await <= SECOND, "they have a link again");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_killed_is_lost_and_one_that_comes_back_is_met() {
    let world = World::new();
    let [one, two, three] = world.fleet(3).await.try_into().ok().unwrap();
    let _presence = three.session(1, "i").await;
    one.hears(1, is_open).await;
    three.kill();
    let killed_at = Instant::now();
    for other in [&one, &two] {
        other.counts(1, 0, 1).await;
        let took = killed_at.elapsed();
        assert!((2 * SECOND..=4 * SECOND).contains(&took), "{took:?}");
    }
    let three = world.replica("c", 3, 3, Callers { acked: 0, late: false }).await;
    for replica in [&one, &two, &three] {
        assert!(replica.counts(2, 0, 0).await <= 3 * SECOND, "the one before is replaced");
    }
    assert!(three.index.ledger().get(&uid(1)).is_some(), "what its earlier life said came back to it");
}

#[tokio::test(start_paused = true)]
async fn two_that_are_cut_from_each_other_are_not_lost_while_a_third_one_hears_both() {
    let world = World::new();
    let [one, two, three] = world.fleet(3).await.try_into().ok().unwrap();
    world.ether.turn(ip(1), ip(2), Way::Silent);
    for replica in [&one, &two] {
        assert!(replica.counts(1, 1, 0).await <= 4 * SECOND, "silence is noticed");
    }
    sleep(60 * SECOND).await;
    let _presence = one.session(1, "i").await;
    assert!(two.hears(1, is_open).await <= SECOND, "by the third");
    for replica in [&one, &two] {
        assert_eq!(replica.count("lost"), 0);
    }
    assert_eq!(three.count("linked"), 2);
    world.ether.turn(ip(1), ip(2), Way::Open);
    for replica in [&one, &two] {
        assert!(replica.counts(2, 0, 0).await <= 5 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_see_each_others_signs_of_life_lose_nobody() {
    for way in [Way::Silent, Way::Closed] {
        let world = World::new();
        let [one, two] = world.fleet(2).await.try_into().ok().unwrap();
        world.ether.turn(ip(1), ip(2), way);
        for replica in [&one, &two] {
            replica.counts(0, 1, 0).await;
        }
        for _ in 0..120 {
            sleep(SECOND / 2).await;
            assert_eq!((one.count("lost"), two.count("lost")), (0, 0), "{way:?}");
        }
        assert!(one.peers.fleet().borrow().cut_from.is_empty());
        assert_eq!(world.leases.lock().unwrap().held.len(), 2);
        world.ether.turn(ip(1), ip(2), Way::Open);
        for replica in [&one, &two] {
            replica.counts(1, 0, 0).await;
        }
        let written = world.leases.lock().unwrap().version;
        sleep(60 * SECOND).await;
        assert!(world.leases.lock().unwrap().version <= written + 2, "nothing is written any more");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_from_all_is_lost_and_knows_that_it_is_the_one() {
    let world = World::new();
    let [one, two] = world.fleet(2).await.try_into().ok().unwrap();
    one.api.store(false, Ordering::Relaxed);
    world.ether.turn(ip(1), ip(2), Way::Silent);
    let took = two.counts(0, 0, 1).await;
    assert!((5 * SECOND..=8 * SECOND).contains(&took), "{took:?}");
    assert!(two.peers.fleet().borrow().cut_from.is_empty(), "it hears the API server");
    one.knows(|fleet| fleet.cut_from == [two.address]).await;
    assert_eq!(one.count("lost"), 0, "it cannot know");
    world.ether.turn(ip(1), ip(2), Way::Open);
    for replica in [&one, &two] {
        replica.counts(1, 0, 0).await;
        replica.knows(|fleet| fleet.cut_from.is_empty() && fleet.others.len() == 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_api_server_away_nobody_is_lost() {
    let world = World::new();
    let [one, two, three] = world.fleet(3).await.try_into().ok().unwrap();
    for replica in [&one, &two] {
        replica.api.store(false, Ordering::Relaxed);
    }
    three.kill();
    one.counts(1, 1, 0).await;
    sleep(60 * SECOND).await;
    assert_eq!((one.count("lost"), two.count("lost")), (0, 0));
    one.api.store(true, Ordering::Relaxed);
    let known_after = one.counts(1, 0, 1).await;
    assert!(known_after >= 7 * SECOND, "first whoever lives has time to say so");
    assert!(known_after <= 14 * SECOND, "now it is known");
    assert_eq!(two.count("lost"), 0);
}

#[tokio::test(start_paused = true)]
async fn who_calls_a_pod_is_asked_of_all_and_who_does_not_answer_is_late() {
    let world = World::new();
    let [one, two, three] = world.fleet(3).await.try_into().ok().unwrap();
    let services: Vec<ServiceKey> = vec!["orders.shop".parse().unwrap()];
    let ask = |within: Duration| {
        let (peers, services) = (one.peers.clone(), services.clone());
        async move { peers.drained(uid(1), None, services, Instant::now() + within).await }
    };
    // Nobody ends it: they have not heard of it, and say how they stand at the deadline.
    let outcome = ask(2 * SECOND).await;
    assert_eq!((outcome.acked, outcome.subscribers), (4, 5), "{outcome:?}");
    assert_eq!(outcome.late, ["shop/late"]);
    world.ether.turn(ip(1), ip(2), Way::Silent);
    let outcome = ask(SECOND).await;
    assert!(outcome.late.contains(&"replica b".to_owned()), "{outcome:?}");
    assert_eq!(outcome.subscribers, 4, "and the third has answered");
    drop((two, three));
}

#[tokio::test(start_paused = true)]
async fn nobody_but_a_replica_gets_a_link() {
    let world = World::new();
    let one = world.replica("a", 1, 0, Callers { acked: 0, late: false }).await;
    for (token, status) in [("token-of-u1", 403), ("away", 503)] {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(token.as_bytes()).unwrap();
        let network: Machine = world.ether.machine(ip(9));
        let dialer = Dialer {
            network: Arc::new(network),
            tls: watch::channel(world.client.clone()).1,
            token_file: file.path().to_owned(),
        };
        let refused = dialer.dial(one.address).await.err().unwrap().to_string();
        assert!(refused.contains(&format!("refused the link with {status}")), "{refused}");
    }
    // Its own claim says for what it was made.
    let claims = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, r#"{"aud":"rollcall"}"#);
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(format!("x.{claims}.y").as_bytes()).unwrap();
    let network = Arc::new(world.ether.machine(ip(9)));
    let tls = watch::channel(world.client.clone()).1;
    let dialer = Dialer { network, tls, token_file: file.path().to_owned() };
    let refused = dialer.dial(one.address).await.err().unwrap().to_string();
    assert!(refused.contains("403"), "{refused}");
    assert_eq!(one.count("linked"), 0);
    one.trigger.pull();
}

#[tokio::test(start_paused = true)]
async fn a_link_comes_back_by_a_renewed_token_while_nobody_is_reviewed() {
    for looks in [true, false] {
        let world = World::new();
        let [one, two] = world.fleet(2).await.try_into().ok().unwrap();
        if !looks {
            world.reviews.store(false, Ordering::Relaxed);
        }
        std::fs::write(world.token.path(), "replica-renewed").unwrap();
        // The file is looked at each 30 s, and its token is told so long after the one before.
        sleep(rollcall_wire::limits::TOKEN_SHOWN_EVERY + 35 * SECOND).await;
        world.reviews.store(false, Ordering::Relaxed);
        world.ether.turn(ip(1), ip(2), Way::Closed);
        for replica in [&one, &two] {
            replica.counts(0, 1, 0).await;
        }
        world.ether.turn(ip(1), ip(2), Way::Open);
        if looks {
            for replica in [&one, &two] {
                assert!(replica.counts(1, 0, 0).await <= 5 * SECOND);
            }
        } else {
            sleep(60 * SECOND).await;
            assert_eq!(one.count("linked"), 0, "a token that nobody has reviewed opens nothing");
            world.reviews.store(true, Ordering::Relaxed);
            one.counts(1, 0, 0).await;
        }
    }
}

/// It hears the others, and reads nothing.
#[tokio::test(start_paused = true)]
async fn one_that_reads_nothing_any_more_is_behind_and_gives_way_to_one_that_does() {
    let world = World::new();
    let [one, two, three] = world.fleet(3).await.try_into().ok().unwrap();
    let is_well = |fleet: &Fleet| !fleet.is_behind && fleet.others.iter().all(|other| other.serves);
    let serve = |fleet: &Fleet| fleet.others.iter().filter(|other| other.serves).count();
    for replica in [&one, &two, &three] {
        replica.reads(10).await;
        replica.knows(is_well).await;
    }
    let began = Instant::now();
    two.reads(11).await;
    three.reads(11).await;
    one.knows(|fleet| fleet.gives_way && serve(fleet) == 2).await;
    assert!((4 * SECOND..=6 * SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
    two.knows(|fleet| !fleet.is_behind && serve(fleet) == 1).await;
    // Of those who are behind, none gives way to another.
    three.reads(12).await;
    two.knows(|fleet| fleet.gives_way && serve(fleet) == 1).await;
    drop(three);
    for replica in [&one, &two] {
        replica.knows(|fleet| fleet.is_behind && !fleet.gives_way && serve(fleet) == 1).await;
    }
    one.reads(12).await;
    let began = Instant::now();
    two.reads(12).await;
    for replica in [&one, &two] {
        replica.knows(is_well).await;
    }
    assert!(began.elapsed() <= 15 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_reads_each_change_within_a_second_or_two_is_never_behind() {
    let world = World::new();
    let [one, two] = world.fleet(2).await.try_into().ok().unwrap();
    for revision in 10..40 {
        one.reads(revision).await;
        sleep(3 * SECOND / 2).await;
        two.reads(revision).await;
        assert!(!one.peers.fleet().borrow().is_behind && !two.peers.fleet().borrow().is_behind);
    }
}
