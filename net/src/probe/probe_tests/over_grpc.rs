//! The probe over gRPC.

use bytes::Bytes;
use http::{HeaderMap, Response};

use super::*;

/// Holds what a server answers; by default that all is well.
#[derive(Clone)]
struct Reply {
    status: u16,
    content_type: &'static str,
    /// `grpc-status` among the headers; nothing else comes then.
    at_once: Option<&'static str>,
    message: Vec<u8>,
    trailer: Option<&'static str>,
    /// Whether the stream ends.
    ends: bool,
}

fn serving() -> Reply {
    Reply {
        status: 200,
        content_type: "application/grpc+proto",
        at_once: None,
        message: vec![0, 0, 0, 0, 2, 0x08, 1],
        trailer: Some("0"),
        ends: true,
    }
}

/// A server of gRPC that gives this reply, and says what it was asked.
async fn answering(reply: Reply) -> (SocketAddr, mpsc::Receiver<(String, Vec<u8>)>) {
    serve(move |stream| talk(stream, reply.clone())).await
}

async fn talk(stream: TcpStream, reply: Reply) -> (String, Vec<u8>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    let conversation = async move {
        let asked = format!("{:?} {} {:?}", request.method(), request.uri(), request.headers());
        let mut body = request.into_body();
        let mut message = Vec::new();
        while let Some(chunk) = body.data().await {
            message.extend_from_slice(&chunk.unwrap());
        }
        let mut head = Response::builder().status(reply.status).header("content-type", reply.content_type);
        if let Some(status) = reply.at_once {
            head = head.header("grpc-status", status);
        }
        let mut stream = respond.send_response(head.body(()).unwrap(), reply.at_once.is_some()).unwrap();
        if reply.at_once.is_none() {
            stream.send_data(Bytes::from(reply.message), reply.ends && reply.trailer.is_none()).unwrap();
            if let Some(status) = reply.trailer {
                let pairs = [("grpc-status".parse().unwrap(), status.parse().unwrap())];
                stream.send_trailers(HeaderMap::from_iter(pairs)).unwrap();
            }
        }
        (asked, message, stream)
    };
    let mut conversation = pin!(conversation);
    let (asked, message, _stream) = loop {
        tokio::select! {
            done = conversation.as_mut() => break done,
            _ = connection.accept() => {}
        }
    };
    // Until the other side has gone.
    while connection.accept().await.is_some_and(|accepted| accepted.is_ok()) {}
    (asked, message)
}

async fn outcome_of(reply: Reply) -> Outcome {
    let (target, _asked) = answering(reply).await;
    attempt(target, &Check::Grpc { service: "".into() }, ENOUGH).await
}

#[tokio::test]
async fn serving_passes_and_the_question_is_the_known_bytes() {
    let (target, mut asked) = answering(serving()).await;
    let check = Check::Grpc { service: "orders".into() };
    assert_eq!(attempt(target, &check, ENOUGH).await, Outcome::Passing);
    let (head, message) = asked.recv().await.unwrap();
    assert!(head.starts_with(&format!("POST http://{target}/grpc.health.v1.Health/Check ")), "{head}");
    assert!(head.contains("\"te\": \"trailers\""), "{head}");
    assert!(head.contains("\"content-type\": \"application/grpc\""), "{head}");
    assert_eq!(message, b"\0\0\0\0\x08\x0a\x06orders");
}

#[tokio::test]
async fn every_other_word_is_named() {
    let with = |change: fn(&mut Reply)| {
        let mut reply = serving();
        change(&mut reply);
        reply
    };
    let table: [(Reply, Fault); 14] = [
        (with(|r| r.message[6] = 2), Fault::Health(Health::NotServing)),
        (with(|r| r.message[6] = 3), Fault::Health(Health::ServiceUnknown)),
        (with(|r| r.message = vec![0; 5]), Fault::Health(Health::Unknown)),
        (with(|r| r.at_once = Some("12")), Fault::Grpc(GrpcStatus::UNIMPLEMENTED)),
        (with(|r| r.at_once = Some("5")), Fault::Grpc(GrpcStatus::NOT_FOUND)),
        (with(|r| r.at_once = Some("no number")), Fault::Grpc(GrpcStatus::UNKNOWN)),
        (with(|r| r.at_once = Some("0")), Fault::Malformed),
        // A good message counts for nothing where the call failed.
        (with(|r| r.trailer = Some("2")), Fault::Grpc(GrpcStatus::UNKNOWN)),
        (with(|r| r.trailer = None), Fault::Malformed),
        (with(|r| r.message.push(0)), Fault::Malformed),
        (with(|r| r.message = Vec::new()), Fault::Malformed),
        (with(|r| r.message = vec![0; 2_000]), Fault::MessageTooLarge),
        (with(|r| r.status = 404), Fault::Status(404)),
        (with(|r| r.content_type = "text/html"), Fault::Malformed),
    ];
    for (number, (reply, fault)) in table.into_iter().enumerate() {
        assert_eq!(outcome_of(reply).await, fault.into(), "row {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_ends_ends_at_the_limit() {
    let (target, mut asked) = answering(Reply { trailer: None, ends: false, ..serving() }).await;
    let outcome = attempt(target, &Check::Grpc { service: "".into() }, Duration::from_secs(1)).await;
    assert_eq!(outcome, Outcome::TimedOut);
    assert!(asked.recv().await.is_some(), "the server saw the end of the connection");
}

#[tokio::test]
async fn a_server_of_another_protocol_is_malformed() {
    let (target, _ends) = serve(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        let _ = read_to_end(&mut stream).await;
    })
    .await;
    let outcome = attempt(target, &Check::Grpc { service: "".into() }, ENOUGH).await;
    assert_eq!(outcome, Fault::Malformed.into());
}

/// Interim answers are held by HTTP/2 until somebody asks for them: small ones without end must not fill us.
#[tokio::test]
async fn a_flood_of_small_frames_ends_at_the_bound() {
    let (target, mut sent) = serve(|mut stream| async move {
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(&settings).await.unwrap();
        // HEADERS of stream 1, `:status: 103` as a literal.
        let early = [0, 0, 5, 1, 4, 0, 0, 0, 1, 0x08, 3, b'1', b'0', b'3'];
        let flood = early.repeat(1_000);
        read_until(&mut stream, b"orders").await;
        let mut sent = 0;
        while stream.write_all(&flood).await.is_ok() {
            sent += flood.len();
        }
        sent
    })
    .await;
    let outcome = attempt(target, &Check::Grpc { service: "orders".into() }, ENOUGH).await;
    assert!(matches!(outcome, Outcome::BadReply { .. }), "{outcome}");
    assert!(sent.recv().await.is_some(), "and the flood ended with the connection");
}
