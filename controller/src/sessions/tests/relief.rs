use http::{Method, header};
use rollcall_catalogue::Reason;
use rollcall_wire::{Down, SERVING};
use tokio::time::{Duration, Instant, sleep};

use super::house::{House, key, pod};
use crate::serving::Role;

fn standby() -> Role {
    Role::Standby { serving: ([10, 0, 0, 2], 7310).into() }
}

#[tokio::test(start_paused = true)]
async fn whoever_stands_by_says_who_serves_and_asks_nothing_about_tokens() {
    let house = House::with(vec![pod(1, None)]).await;
    let mut dialled = house.dial(1 << 20).await;
    let table = [(standby(), Some("10.0.0.2:7310")), (Role::NotKnown, None)];
    for (role, serving) in table {
        house.role.send_replace(role);
        // More than may be under review or no good: none of them is looked at.
        for number in 0..40 {
            let token = ["token-of-u1".to_owned(), format!("bad{number}")][number % 2].clone();
            let (_up, response) = dialled.request(Method::POST, "/v1/session", &token).await;
            assert_eq!(response.status(), 503, "{token}");
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header(SERVING), serving);
            let after: u64 = header(header::RETRY_AFTER.as_str()).unwrap().parse().unwrap();
            assert!((1..=2).contains(&after), "{after}");
        }
        let (_up, response) = dialled.request(Method::POST, "/v1/other", "").await;
        assert_eq!(response.status(), 404);
    }
    house.role.send_replace(Role::Serving);
    let mut peer = dialled.open("u1").await;
    peer.say(&super::house::hello("i", 1)).await;
    assert!(matches!(peer.hear().await, Some(Down::Welcome { .. })), "the same connection will do");
}

#[tokio::test(start_paused = true)]
async fn who_no_longer_serves_sends_everybody_away_within_a_second_and_one_by_one() {
    let pods = (1..=40).map(|number| pod(number, (number <= 2).then_some("orders")));
    let house = House::with(pods.collect()).await;
    let mut peers = Vec::new();
    for number in 1..=40 {
        peers.push(house.session(&format!("u{number}")).await);
    }
    house.role.send_replace(standby());
    let begin = Instant::now();
    let ends = peers.iter_mut().map(async |peer| {
        assert_eq!(peer.goodbye().await, "standby");
        begin.elapsed().as_millis()
    });
    let mut ends = futures::future::join_all(ends).await;
    ends.sort_unstable();
    assert!(ends[39] <= 1_100 && ends[39] > ends[0] + 500, "{ends:?}");
    house.eventually("rollcall_sessions_ended_total{reason=\"standby\"} 40").await;
    // Long after any of them would have been missed.
    sleep(Duration::from_secs(30)).await;
    let view = house.index.view().borrow().clone();
    let orders = view.catalogue.get(&key("orders")).unwrap();
    let reasons: Vec<_> = orders.instances.iter().map(|one| one.reason.clone()).collect();
    assert_eq!(reasons, [Reason::SessionNeverCame, Reason::SessionNeverCame], "what they told is forgotten");
    assert!(house.metric("rollcall_freeze 0"), "and nobody was lost");
}

#[tokio::test(start_paused = true)]
async fn who_serves_again_at_once_sends_nobody_away_for_it_later() {
    let house = House::with(vec![pod(1, None)]).await;
    // Drawn from a whole second: of so many tries, some end before the role is back and most do not.
    let mut stayed = 0;
    for _ in 0..20 {
        let mut peer = house.session("u1").await;
        let begin = Instant::now();
        house.role.send_replace(standby());
        sleep(Duration::from_millis(100)).await;
        house.role.send_replace(Role::Serving);
        // It says nothing, and is sent away for that.
        let reason = peer.goodbye().await;
        assert!(reason == "silent" || begin.elapsed() < Duration::from_millis(200), "{reason}");
        stayed += usize::from(reason == "silent");
    }
    assert!(stayed >= 10, "{stayed}");
}
