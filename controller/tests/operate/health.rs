use std::sync::atomic::Ordering;

use crate::bench::{Connection, Controller};

#[tokio::test]
async fn readiness_says_what_is_awaited_until_nothing_is() {
    let controller = Controller::start().await;
    assert_eq!(controller.probe("GET", "/healthz", "").await.body, "ok\n");
    let early = controller.probe("GET", "/readyz", "").await;
    assert_eq!(early.status, 503);
    assert!(early.body.contains("awaiting the first complete list"), "{early:?}");
    assert!(early.body.ends_with("awaiting the certificate for sessions\n"), "{early:?}");
    controller.list(vec![]).await;
    let listed = controller.probe("GET", "/readyz", "").await;
    assert_eq!((listed.status, listed.body.as_str()), (503, "awaiting the certificate for sessions\n"));
    controller.serving.store(true, Ordering::Release);
    let ready = controller.probe("GET", "/readyz", "").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ok\n"));
    controller.stop().await;
}

#[tokio::test]
async fn measurements_come_as_the_scraper_reads_them() {
    let controller = Controller::shop().await;
    controller.metrics.sessions(5);
    let text = controller.probe("GET", "/metrics", "Accept: */*\r\n").await;
    assert_eq!(
        (text.status, text.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    for line in ["rollcall_services 2", "rollcall_instances{state=\"Serving\"} 3", "rollcall_sessions 5"] {
        assert!(text.body.lines().any(|held| held == line), "{line}: {}", text.body);
    }
    let open =
        controller.probe("GET", "/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n").await;
    let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(expected));
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    controller.stop().await;
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_and_nothing_of_the_catalogue_is_here() {
    let controller = Controller::shop().await;
    for path in ["/", "/v1/services", "/v1/catalogue", "/metrics/"] {
        assert_eq!(controller.probe("GET", path, "").await.status, 404, "{path}");
    }
    let refused = controller.probe("POST", "/metrics", "").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
    let head = controller.probe("HEAD", "/healthz", "").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("3")));
    let mut connection = Connection::open(controller.health).await;
    assert_eq!(connection.ask("GET", "/healthz", "Host: a\r\n", "").await.status, 200);
    assert!(connection.is_closed().await, "a probe's place is free again");
    controller.stop().await;
}
