//! The probe over HTTP/1.1.

use super::*;

/// One that answers each request with these bytes, and says what it was asked.
async fn answering(reply: impl Into<Vec<u8>>) -> (SocketAddr, mpsc::Receiver<String>) {
    let reply = reply.into();
    serve(move |mut stream| {
        let reply = reply.clone();
        async move {
            let asked = read_until(&mut stream, b"\r\n\r\n").await;
            // Whoever has read enough may be gone already.
            let _ = stream.write_all(&reply).await;
            let _ = read_to_end(&mut stream).await;
            String::from_utf8(asked).unwrap()
        }
    })
    .await
}

async fn outcome_of(reply: impl Into<Vec<u8>>) -> Outcome {
    let (target, _asked) = answering(reply).await;
    attempt(target, &http_check(HttpMethod::Get), ENOUGH).await
}

#[tokio::test]
async fn the_status_decides() {
    for status in [200, 204, 299, 301, 302, 304, 308, 399] {
        let reply = format!("HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(outcome_of(reply).await, Outcome::Passing, "{status}");
    }
    for status in [400, 404, 405, 429, 500, 503, 999] {
        let reply = format!("HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(outcome_of(reply).await, Fault::Status(status).into(), "{status}");
    }
    assert_eq!(outcome_of("HTTP/1.0 200 OK\r\n\r\n").await, Outcome::Passing);
    // An answer behind a note that it is coming.
    assert_eq!(outcome_of("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").await, Outcome::Passing);
}

#[tokio::test]
async fn who_does_not_know_head_is_up() {
    for (status, up) in [(405, true), (501, true), (404, false), (500, false)] {
        let (target, _asked) = answering(format!("HTTP/1.1 {status} Any\r\n\r\n")).await;
        let outcome = attempt(target, &http_check(HttpMethod::Head), ENOUGH).await;
        assert_eq!(outcome == Outcome::Passing, up, "{status}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_request_is_what_was_asked_for() {
    for (method, word) in [(HttpMethod::Get, "GET"), (HttpMethod::Head, "HEAD")] {
        let (target, mut asked) = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        assert_eq!(attempt(target, &http_check(method), ENOUGH).await, Outcome::Passing);
        let asked = asked.recv().await.unwrap().to_lowercase();
        assert!(
            asked.starts_with(&format!("{} /healthz?deep=1 http/1.1\r\n", word.to_lowercase())),
            "{asked}"
        );
        for line in [&format!("host: {target}"), "connection: close", "user-agent: rollcall-probe/"] {
            assert!(asked.contains(&format!("\r\n{line}")), "no {line} in {asked}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = elsewhere.local_addr().unwrap();
    let reply = format!("HTTP/1.1 302 Found\r\nLocation: http://{location}/\r\nContent-Length: 0\r\n\r\n");
    let (target, mut asked) = answering(reply).await;
    assert_eq!(attempt(target, &http_check(HttpMethod::Head), ENOUGH).await, Outcome::Passing);
    assert!(asked.recv().await.is_some());
    // The first to come there is ourselves.
    let own = TcpStream::connect(location).await.unwrap();
    assert_eq!(elsewhere.accept().await.unwrap().1, own.local_addr().unwrap(), "it was followed");
    assert!(asked.try_recv().is_err(), "asked once");
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\nand so on";
    assert_eq!(outcome_of(reply).await, Outcome::Passing);
    let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nand so on";
    assert_eq!(outcome_of(reply).await, Outcome::Passing);
}

#[tokio::test]
async fn what_is_no_answer_is_a_bad_one() {
    for garbage in
        ["SSH-2.0-OpenSSH_9.9\r\n", "\0\0\0\x04\0\0\0\0\0", "hello\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n"]
    {
        assert_eq!(outcome_of(garbage).await, Fault::Malformed.into(), "{garbage}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    assert_eq!(outcome_of(many).await, Fault::HeadTooLarge.into());
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(HEAD_BYTES_MAX));
    assert_eq!(outcome_of(long).await, Fault::HeadTooLarge.into());
    let largest = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(HEAD_BYTES_MAX - 100));
    assert_eq!(outcome_of(largest).await, Outcome::Passing);
    // Each small, and no end of them: what is read altogether is bounded.
    let notes = "HTTP/1.1 103 Early\r\n\r\n".repeat(REPLY_BYTES_MAX as usize / 22 + 1);
    assert_eq!(outcome_of(notes.clone() + "HTTP/1.1 200 OK\r\n\r\n").await, Fault::Incomplete.into());
}

#[tokio::test(start_paused = true)]
async fn a_drip_gets_no_more_time_than_silence() {
    let (target, _ends) = serve(|mut stream| async move {
        read_until(&mut stream, b"\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\na: ").await.unwrap();
        while stream.write_all(b"b").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let began = tokio::time::Instant::now();
    let outcome = attempt(target, &http_check(HttpMethod::Get), Duration::from_secs(1)).await;
    assert_eq!(outcome, Outcome::TimedOut);
    assert!(began.elapsed() < Duration::from_millis(1_100), "{:?}", began.elapsed());
}
