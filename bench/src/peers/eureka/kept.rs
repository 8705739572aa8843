//! Connections that are kept as long as the server likes: Tomcat ends each after 100 requests, or when nobody has asked for a
//! while, and says so only in the first case.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::ensure;
use http::{Method, StatusCode, header};

use crate::{
    local::{ANSWER_MAX, Caller},
    peers::http::{Answer, Http},
};

/// Shorter than Tomcat waits for the next request.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Holds a connection whose answers are parsed, while there is one.
pub(super) struct Kept {
    at: SocketAddr,
    from: Ipv4Addr,
    http: Option<Http>,
    last: Instant,
}

/// Holds a connection whose answers are only counted, while there is one.
pub(super) struct Counted {
    at: SocketAddr,
    caller: Option<Caller>,
    last: Instant,
}

// === impl Kept ===

impl Kept {
    pub(super) fn new(at: SocketAddr, from: Ipv4Addr) -> Self {
        Self { at, from, http: None, last: Instant::now() }
    }

    pub(super) async fn ask(&mut self, method: Method, path: &str, body: String) -> anyhow::Result<Answer> {
        // It is out of its place while it is asked: who gives up waiting does not use it again.
        let mut http = match self.http.take() {
            Some(http) if self.last.elapsed() < IDLE_MAX => http,
            _ => Http::connect_from(self.from, self.at).await?,
        };
        let answer = http.ask(method, path, body, ANSWER_MAX).await?;
        self.last = Instant::now();
        let ends = answer.heads.get(header::CONNECTION).is_some_and(|said| said == "close");
        self.http = (!ends).then_some(http);
        Ok(answer)
    }

    /// The body of a good answer; none where there is no such thing.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Option<bytes::Bytes>> {
        let answer = self.ask(Method::GET, path, String::new()).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(None) } else { answer.good().map(Some) }
    }
}

// === impl Counted ===

impl Counted {
    pub(super) fn new(at: SocketAddr) -> Self {
        Self { at, caller: None, last: Instant::now() }
    }

    /// The bytes of the good answer to this request.
    pub(super) async fn bytes(&mut self, request: &str) -> anyhow::Result<usize> {
        let mut caller = match self.caller.take() {
            Some(caller) if self.last.elapsed() < IDLE_MAX => caller,
            _ => Caller::connect(self.at).await?,
        };
        let answer = caller.answer(request).await?;
        let (bytes, ends) = (answer.len(), is_the_last(answer));
        ensure!(bytes > 0, "an empty answer");
        self.last = Instant::now();
        self.caller = (!ends).then_some(caller);
        Ok(bytes)
    }
}

/// Whether the answer says that its connection ends with it.
fn is_the_last(answer: &[u8]) -> bool {
    // What it has of heads comes to less.
    const HEADS_MAX: usize = 512;
    const LAST: &[u8] = b"\r\nConnection: close\r\n";
    let heads = answer.get(..HEADS_MAX).unwrap_or(answer);
    let end = heads.windows(4).position(|window| window == b"\r\n\r\n").map_or(heads.len(), |end| end + 2);
    heads.get(..end).unwrap_or(heads).windows(LAST.len()).any(|window| window.eq_ignore_ascii_case(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read_in_the_heads_alone() {
        for (answer, is_last) in [
            (&b"HTTP/1.1 200 \r\nConnection: close\r\n\r\nbody"[..], true),
            (b"HTTP/1.1 200 \r\nconnection: CLOSE\r\nA: b\r\n\r\n", true),
            (b"HTTP/1.1 200 \r\nContent-Length: 21\r\n\r\n\r\nConnection: close\r\n", false),
            (b"HTTP/1.1 200 \r\n\r\n", false),
            (b"", false),
        ] {
            assert_eq!(is_the_last(answer), is_last, "{}", String::from_utf8_lossy(answer));
        }
    }
}
