use std::time::{Duration, Instant};

use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    bench::{eventually, seen as change},
    *,
};

/// The promise: who has crashed is out of the lookups.
const CRASHED: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_crashes_leaves_the_lookups_of_others() {
    let Some(outward) = outward() else { return };
    let shop = Shop::open().await;
    let mut listener = TcpListener::bind((outward, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut facts = pod(2, Some(port));
    facts.addresses = [outward].into();
    shop.controller.apply(change(facts)).await;
    let app = Pod::start(&shop.authority, shop.controller.address, "u2").await;
    let mut times = Vec::new();
    for _ in 0..10 {
        let mut serving = JoinSet::new();
        let here = listener;
        serving.spawn(async move {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = here.accept().await {
                kept.push(stream);
            }
        });
        eventually("it serves", async || seen(&shop.consumer, "orders").await == "Serving Ready").await;
        eventually("it was asked", async || {
            json(&app.get("/v1/self").await)["registrations"][0]["health"] == "passing"
        })
        .await;
        let begin = Instant::now();
        serving.shutdown().await;
        eventually("it is out", async || shop.consumer.orders().await.addresses().is_empty()).await;
        times.push(begin.elapsed());
        assert_eq!(seen(&shop.consumer, "orders").await, "Failing ProbeRefused");
        listener = TcpListener::bind((outward, port)).await.unwrap();
    }
    times.sort();
    println!("{times:?}");
    assert!(times[times.len() / 2] < CRASHED, "{times:?}");
}
