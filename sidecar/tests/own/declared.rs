use std::fs;

use crate::{bench::eventually, *};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_flags_register_what_the_app_is() {
    let mounted = tempfile::tempdir().unwrap();
    let at = |name: &str| mounted.path().join(name);
    fs::write(at("web.yaml"), "service: web\nversion: 2.0.0\nports: {http: 8081}\nprobe: none\n").unwrap();
    fs::write(at("bad.yaml"), "service: broken\nweight: heavy\n").unwrap();
    let shop = Shop::with_flags(&[
        format!("--registrations-dir={}", mounted.path().display()),
        "--service=orders".to_owned(),
        "--service-version=1.4.2".to_owned(),
        "--port=http:8080".to_owned(),
        "--probe=none".to_owned(),
    ])
    .await;
    eventually("both are looked up", async || {
        seen(&shop.consumer, "orders").await == "Serving Ready"
            && seen(&shop.consumer, "web").await == "Serving Ready"
    })
    .await;
    let shown = json(&shop.app.get("/v1/self").await);
    let all = shown["registrations"].as_array().unwrap();
    let source = |service: &str| all.iter().find(|one| one["service"] == service).unwrap()["source"].clone();
    assert_eq!((source("orders"), source("web")), ("environment".into(), "file".into()));
    let bad = all.iter().find(|one| one["file"] == "bad.yaml").unwrap();
    assert_eq!((&bad["state"], &bad["problem"]["field"]), (&"rejected".into(), &"weight".into()));

    fs::remove_file(at("web.yaml")).unwrap();
    fs::write(at("bad.yaml"), "service: mended\nports: {http: 1}\nprobe: none\n").unwrap();
    eventually("the directory is looked at again", async || {
        shop.consumer.get("/v1/services/web").await.status == 404
            && seen(&shop.consumer, "mended").await == "Serving Ready"
    })
    .await;
}
