use std::sync::atomic::{AtomicBool, Ordering};

use rollcall_catalogue::{ProbeCheck, ProbeSpec};
use rollcall_net::probe::Fault;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::{sleep, timeout},
};

use self::bench::{Bench, ENOUGH, address, bench, noted, target};
use super::*;
use crate::outside::{
    dialer::Dialer,
    lanes::{IN_FLIGHT_MAX, IN_FLIGHT_OF_NAMESPACE_MAX},
    peer::ATTEMPT_MS_MAX,
};

#[path = "prober_bench.rs"]
mod bench;

#[tokio::test(start_paused = true)]
async fn only_changes_are_told() {
    let mut bench = bench(1, &[target("shop", 1)]);
    bench.network.set(1, Outcome::Passing);
    bench.hold(true);
    assert_eq!(bench.word().await, (address(1), ProbeWitness::Passing));
    bench.rounds(10).await;
    // A view with the same list, and one with the same Arc of it.
    bench.publish(&[target("shop", 1)]);
    bench.view.send_modify(|view| *view = Arc::new(View { generation: 9, ..View::clone(view) }));
    bench.rounds(10).await;
    bench.network.set(1, Outcome::Refused);
    let began = Instant::now();
    assert_eq!(bench.word().await, (address(1), ProbeWitness::Dead));
    assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
    bench.network.set(1, Fault::Status(500).into());
    assert_eq!(bench.word().await, (address(1), ProbeWitness::Unwell));
    // Nothing is learned from a fault of our own.
    bench.network.set(1, Outcome::Unasked { why: std::io::ErrorKind::AddrNotAvailable });
    bench.rounds(10).await;
    bench.network.set(1, Outcome::Passing);
    assert_eq!(bench.word().await, (address(1), ProbeWitness::Passing));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_was_gone_and_is_back_is_told_anew() {
    let mut bench = bench(1, &[target("shop", 1)]);
    bench.network.set(1, Outcome::Passing);
    bench.hold(true);
    assert_eq!(bench.word().await, (address(1), ProbeWitness::Passing));
    // The list without it was never seen.
    bench.publish(&[]);
    bench.publish(&[OutsideTarget { epoch: 1, ..target("shop", 1) }]);
    assert_eq!(bench.word().await, (address(1), ProbeWitness::Passing));
}

#[tokio::test(start_paused = true)]
async fn without_the_lease_nobody_is_asked_and_each_term_asks_anew() {
    // 1 answers, 2 does not.
    let mut bench = bench(1, &[target("shop", 1), target("shop", 2)]);
    bench.network.set(1, Outcome::Passing);
    sleep(ENOUGH).await;
    assert_eq!(bench.network.asked(), 0);

    for term in 0..2 {
        assert_eq!(*bench.terms.borrow(), [true, false].repeat(term));
        // What was known of 1 is told anew by each term.
        bench.hold(true);
        assert_eq!(bench.word().await, (address(1), ProbeWitness::Passing));
        while bench.network.in_flight() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        bench.hold(false);
        while bench.network.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
        let asked = bench.network.asked();
        // Views come as before, and change nothing.
        bench.publish(&[target("shop", 1), target("shop", 2)]);
        sleep(ENOUGH).await;
        assert_eq!((bench.network.asked(), bench.network.in_flight()), (asked, 0));
        assert!(bench.told.is_empty());
        // The index is told once that others may know better from now on.
        assert_eq!(*bench.terms.borrow(), [true, false].repeat(term + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_is_broken_off() {
    let slow = ProbeSpec { timeout_ms: 300_000, ..target("shop", 1).probe };
    let mut bench = bench(1, &[OutsideTarget { probe: slow, ..target("shop", 1) }]);
    bench.hold(true);
    bench.rounds(1).await;
    bench.network.set(2, Outcome::Passing);
    let began = Instant::now();
    bench.publish(&[target("shop", 2)]);
    assert_eq!(bench.word().await, (address(2), ProbeWitness::Passing));
    assert!(began.elapsed() < Duration::from_secs(1));
    bench.publish(&[]);
    while bench.network.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() < Duration::from_secs(1), "nobody waited for the limit of an attempt");
}

#[tokio::test(start_paused = true)]
async fn attempts_under_way_are_bounded_and_all_have_their_turn() {
    let targets: Vec<_> = (0..=255).map(|n| target(&format!("ns{}", n % 64), n)).collect();
    let bench = bench(1, &targets);
    bench.hold(true);
    let asked_all = || bench.network.with(|peers| peers.asked.len()) == targets.len();
    while !asked_all() {
        sleep(Duration::from_millis(1)).await;
        assert!(bench.network.in_flight() <= IN_FLIGHT_MAX);
    }
    assert_eq!(bench.network.with(|peers| peers.in_flight_most), IN_FLIGHT_MAX);
    // In the order in which they are due: nobody has had three turns while another has had none.
    assert!(bench.network.with(|peers| peers.asked.values().all(|count| *count <= 3)));
}

#[tokio::test(start_paused = true)]
async fn addresses_that_swallow_everything_do_not_delay_the_others() {
    let mut targets: Vec<_> = (0..200).map(|n| target("hole", n)).collect();
    for target in &mut targets {
        target.probe.timeout_ms = 300_000;
    }
    targets.push(target("shop", 201));
    let mut bench = bench(1, &targets);
    bench.network.set(201, Outcome::Passing);
    bench.hold(true);
    assert_eq!(bench.word().await, (address(201), ProbeWitness::Passing));
    bench.network.set(201, Outcome::Refused);
    let began = Instant::now();
    assert_eq!(bench.word().await, (address(201), ProbeWitness::Dead));
    assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
    assert!(bench.network.with(|peers| peers.in_flight_most) <= IN_FLIGHT_OF_NAMESPACE_MAX + 1);
}

#[tokio::test(start_paused = true)]
async fn namespaces_full_of_such_addresses_do_not_delay_the_others_either() {
    let spread = IN_FLIGHT_MAX / IN_FLIGHT_OF_NAMESPACE_MAX;
    let mut targets: Vec<_> =
        (0..200).map(|n| target(&format!("hole{}", usize::from(n) % spread), n)).collect();
    for target in &mut targets {
        target.probe.timeout_ms = 300_000;
    }
    let mut bench = bench(1, &targets);
    bench.network.set(201, Outcome::Passing);
    bench.hold(true);
    // All that they can take is taken.
    sleep(Duration::from_secs(1)).await;
    targets.push(target("shop", 201));
    bench.publish(&targets);
    let began = Instant::now();
    assert_eq!(bench.word().await, (address(201), ProbeWitness::Passing));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn more_such_namespaces_than_places_delay_the_others_by_one_attempt() {
    let mut targets: Vec<_> = (0..200).map(|n| target(&format!("hole{n}"), n)).collect();
    for target in &mut targets {
        target.probe.timeout_ms = 300_000;
    }
    targets.truncate(IN_FLIGHT_MAX);
    let mut bench = bench(1, &targets);
    bench.network.set(201, Outcome::Passing);
    bench.hold(true);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.network.in_flight(), IN_FLIGHT_MAX);
    targets.push(target("shop", 201));
    bench.publish(&targets);
    let began = Instant::now();
    assert_eq!(bench.word().await, (address(201), ProbeWitness::Passing));
    assert!(began.elapsed() <= Duration::from_millis(ATTEMPT_MS_MAX.into()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_slow_to_listen_hears_the_last_word() {
    let mut bench = bench(1, &[target("shop", 1), target("shop", 2)]);
    bench.network.set(1, Outcome::Passing);
    bench.hold(true);
    // One word is in the channel unread, the next waits for room in it, and the probing goes on.
    bench.rounds(5).await;
    bench.network.set(1, Outcome::Refused);
    bench.rounds(5).await;
    bench.network.set(1, Outcome::Passing);
    bench.rounds(10).await;
    bench.network.set(1, Outcome::Refused);
    bench.rounds(10).await;
    let mut last = Words::new();
    while let Ok(words) = bench.told.try_recv() {
        assert!(words.len() <= 2);
        last.extend(words);
        tokio::task::yield_now().await;
        sleep(Duration::from_millis(1)).await;
    }
    let last: Vec<_> = last.into_iter().map(|(id, witness)| (id.address, witness)).collect();
    assert_eq!(last, [(address(1), ProbeWitness::Dead), (address(2), ProbeWitness::Unwell)]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_nobody_speaks_for_is_not_held() {
    let Bench { view: _view, lease, mut told, terms, network, prober } = bench(1, &[target("shop", 1)]);
    network.set(1, Outcome::Passing);
    lease.send_replace(true);
    assert!(told.recv().await.is_some());
    drop(lease);
    sleep(Duration::from_millis(1)).await;
    let asked = network.asked();
    // It rests, too: a loop that does not would keep this clock from moving.
    sleep(ENOUGH).await;
    assert_eq!(network.asked(), asked);
    assert!(!prober.is_finished());
    assert_eq!(*terms.borrow(), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_gone_ends_it() {
    let Bench { view, lease: _lease, told: _told, prober, .. } = {
        let bench = bench(1, &[]);
        bench.hold(true);
        bench
    };
    drop(view);
    assert_eq!(prober.await.unwrap(), Err(OwnerGone));

    let Bench { view: _view, lease: _lease, told, network, prober, .. } = {
        let bench = bench(1, &[target("shop", 1)]);
        bench.hold(true);
        bench
    };
    network.set(1, Outcome::Passing);
    drop(told);
    assert_eq!(prober.await.unwrap(), Err(OwnerGone));
}

/// All of it over real sockets: a server is asked by HEAD, falls ill, and recovers.
#[tokio::test]
async fn a_real_server_is_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    let well = Arc::new(AtomicBool::new(true));
    let is_well = well.clone();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 4_096];
            let length = stream.read(&mut seen).await.unwrap();
            assert!(seen[..length].starts_with(b"HEAD /up HTTP/1.1\r\n"));
            let status = if is_well.load(Ordering::Acquire) { "301 Moved" } else { "503 Ill" };
            stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await.unwrap();
        }
    });
    let id = OutsideId { service: "orders.shop".parse().unwrap(), address: here.ip() };
    let check = ProbeCheck::Http { path: "/up".into(), port: None };
    let probe = ProbeSpec { interval_ms: 100, failure_threshold: 2, ..ProbeSpec::new(check) };
    let target = OutsideTarget { id: id.clone(), probe, port: here.port(), epoch: 0 };

    let (_view, view) = watch::channel(Arc::new(View { outside: [target].into(), ..View::default() }));
    let (_lease, holds_lease) = watch::channel(true);
    let (sender, mut told) = mpsc::channel(1);
    let tell = move |words: Words| {
        let sender = sender.clone();
        async move { sender.send(words).await.map_err(|_| OwnerGone) }
    };
    let begin_or_end = noted(watch::channel(Vec::new()).0);
    let prober = Prober { view, ask: Dialer::unguarded(), tell, begin_or_end };
    let prober = tokio::spawn(prober.run(holds_lease));
    for expected in [ProbeWitness::Passing, ProbeWitness::Unwell, ProbeWitness::Passing] {
        let words = timeout(ENOUGH, told.recv()).await.unwrap().unwrap();
        assert_eq!(words, Words::from([(id.clone(), expected)]));
        well.fetch_not(Ordering::AcqRel);
    }
    assert!(!server.is_finished() && !prober.is_finished());
}
