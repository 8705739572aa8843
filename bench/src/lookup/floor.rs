//! The floor: what HTTP itself costs. A bare hyper server, of one thread as the sidecar is, that has an answer for each service
//! and does nothing but find it by the number that its name ends in. One answer for all would stay in the processor's cache,
//! where those of a registry do not.

use std::{convert::Infallible, fs, net::Ipv4Addr, path::Path, sync::Arc};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, runtime::Builder};

/// Holds what is answered to who asks for one service.
#[derive(Debug, PartialEq)]
struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

/// Answers on this port of loopback with the answers that the folder has in files 0, 1 and so on: heads, an empty line, the body.
pub(crate) fn serve(port: u16, folder: &Path) -> anyhow::Result<()> {
    let files = (0..).map(|number: u32| folder.join(number.to_string())).take_while(|file| file.exists());
    let answers: Arc<[Answer]> =
        files.map(|file| Answer::parse(&fs::read_to_string(file)?)).collect::<anyhow::Result<_>>()?;
    ensure!(!answers.is_empty(), "{} has no answers", folder.display());
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answers = answers.clone();
            let service = service_fn(move |request: http::Request<Incoming>| {
                let response = response(&answers, request.uri().path());
                async { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move {
                // Whoever leaves early has nothing to complain of.
                let _ = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}

fn response(answers: &[Answer], path: &str) -> Response<Full<Bytes>> {
    let number = path.rsplit_once('-').and_then(|(_, number)| number.parse::<usize>().ok());
    let Some(answer) = number.and_then(|number| answers.get(number)) else {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(Full::new(answer.body.clone()));
    *response.headers_mut() = answer.headers.clone();
    response
}

// === impl Answer ===

impl Answer {
    /// Of an answer as it was read from a connection.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").context("an answer without an empty line")?;
        let mut headers = HeaderMap::new();
        for line in head.lines().skip(1) {
            if let Some((name, value)) = line.split_once(": ") {
                // These are hyper's own.
                if !["content-length", "date"].contains(&name) {
                    headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
                }
            }
        }
        Ok(Self { headers, body: Bytes::from(body.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_own_heads_and_its_body() {
        let text = "HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 4\r\ndate: now\r\n\r\nbody";
        let answer = Answer::parse(text).expect("an answer");
        assert_eq!(
            (answer.headers.len(), &answer.headers["content-type"]),
            (1, &"a/b".parse().expect("a head"))
        );
        assert_eq!(answer.body, "body");
        assert!(Answer::parse("HTTP/1.1 200 OK").is_err());
    }

    #[test]
    fn each_service_has_its_own_answer_and_others_have_none() {
        let answers = ["a", "b"].map(|body| Answer { headers: HeaderMap::new(), body: Bytes::from(body) });
        for (path, status, bytes) in [
            ("/v1/services/order-service-0", 200, Some(1)),
            ("/v1/services/order-service-1", 200, Some(1)),
            ("/v1/services/order-service-2", 404, Some(0)),
            ("/", 404, Some(0)),
        ] {
            let response = response(&answers, path);
            let has = hyper::body::Body::size_hint(response.body()).exact();
            assert_eq!((response.status().as_u16(), has), (status, bytes), "{path}");
        }
    }
}
