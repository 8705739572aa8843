//! The same with real sessions, of replicas of which some do not serve.

use std::sync::atomic::{AtomicUsize, Ordering};

use rollcall_controller::peers::{Fleet, Other};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::super::*;

/// What one sees beside which another one serves here.
fn beside(serving: SocketAddr, is_met: bool) -> Arc<Fleet> {
    let other = Other { replica: "other".into(), sessions_at: serving, sessions: 0, serves: true };
    Arc::new(Fleet { is_met, others: vec![other], ..Fleet::default() })
}

/// What one sees that does not know yet what this one knows.
fn unmet(serving: SocketAddr) -> Arc<Fleet> {
    beside(serving, false)
}

fn met(serving: SocketAddr) -> Arc<Fleet> {
    beside(serving, true)
}

/// Two replicas that know `orders` with one pod, and a consumer.
async fn pair(authority: &Authority) -> [Controller; 2] {
    let pods = || vec![pod(1, Some(8080)), pod(9, None)];
    [Controller::start(authority, ANY, pods()).await, Controller::start(authority, ANY, pods()).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_is_led_to_one_that_serves_and_sent_on_when_that_ends() {
    let authority = Authority::generate("test").unwrap();
    let [first, second] = pair(&authority).await;
    second.fleet.send_replace(unmet(first.address));
    // Which is the only address that it knows, and does not let it in.
    let consumer = Pod::start(&authority, second.address, "u9").await;
    eventually("the first lookup", async || consumer.orders().await.addresses() == ["10.0.0.1"]).await;
    first.apply(seen(pod(2, Some(8080)))).await;
    let both = ["10.0.0.1", "10.0.0.2"];
    eventually("the first serves", async || consumer.orders().await.addresses() == both).await;

    // The second one did not hear of pod 2 so far.
    second.apply(seen(pod(2, Some(8080)))).await;
    second.apply(seen(pod(3, Some(8080)))).await;
    second.fleet.send_replace(met(first.address));
    first.fleet.send_replace(met(second.address));
    first.leave();
    let moved = async || {
        let answer = consumer.orders().await;
        assert!(answer.status == 200 && answer.addresses().len() >= 2, "{answer:?}");
        answer.addresses().len() == 3 && answer.header("age") == Some("0")
    };
    eventually("it is in step with the second", moved).await;
    first.stop().await;
    second.apply(gone("u3")).await;
    eventually("and stays there", async || consumer.orders().await.addresses() == both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_names_itself_is_asked_a_few_times_and_then_now_and_then() {
    let authority = Authority::generate("test").unwrap();
    let [controller, _] = pair(&authority).await;
    // Counts those who come.
    let listener = TcpListener::bind(ANY).await.unwrap();
    let (address, inner) = (listener.local_addr().unwrap(), controller.address);
    let count = Arc::new(AtomicUsize::new(0));
    let (counted, mut parts) = (count.clone(), JoinSet::new());
    parts.spawn(async move {
        let mut pipes = JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            pipes.spawn(async move {
                let mut far = TcpStream::connect(inner).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    controller.fleet.send_replace(unmet(address));
    let consumer = Pod::start(&authority, address, "u9").await;
    eventually("it is tried three times", async || count.load(Ordering::Relaxed) >= 3).await;
    sleep(Duration::from_secs(3)).await;
    let tries = count.load(Ordering::Relaxed);
    // A first time, and again after 1 s at the earliest, and after 2 s.
    assert!((3..=12).contains(&tries), "{tries}");
    controller.fleet.send_replace(met(address));
    eventually("it is let in", async || consumer.orders().await.addresses() == ["10.0.0.1"]).await;
}
