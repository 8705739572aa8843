//! One connection to an HTTP server, kept open as an app keeps it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// No lookup waits for longer than a second; a loaded machine may need as long again. What takes longer has failed.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// No answer of a test's catalogue is larger, and no head.
const BYTES_MAX: usize = 4 << 20;

/// Holds a server's address, and a connection while there is one.
#[derive(Debug)]
pub struct Caller {
    at: SocketAddr,
    stream: Option<TcpStream>,
    read: Vec<u8>,
}

/// Holds an answer.
#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u16,
    head: &'a str,
    pub body: &'a [u8],
}

// === impl Caller ===

impl Caller {
    pub fn new(at: SocketAddr) -> Self {
        Self { at, stream: None, read: Vec::new() }
    }

    /// Asks, over a new connection where there is none: after a failure the next question has one of its own.
    pub fn get(&mut self, path: &str) -> Result<Answer<'_>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.at)?,
        };
        // In one piece, as apps do.
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.at).as_bytes())?;
        self.read.clear();
        let (head, end) = hear(&mut stream, &mut self.read)?;
        self.stream = Some(stream);
        let (head, body) = self.read.split_at_checked(head).context("an answer that is too short")?;
        let head = std::str::from_utf8(head).context("a head that is no text")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = body.get(..end).context("a body that is too short")?;
        Ok(Answer { status: status.with_context(|| head.to_owned())?, head, body })
    }
}

fn connect(at: SocketAddr) -> Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&at, ANSWER_MAX).with_context(|| format!("cannot connect to {at}"))?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads one whole answer: gives the lengths of its head and of its body.
fn hear(stream: &mut impl Read, read: &mut Vec<u8>) -> Result<(usize, usize)> {
    let mut part = [0; 16 * 1024];
    loop {
        if let Some((head, body)) = lengths(read)?
            && read.len() >= head + body
        {
            return Ok((head, body));
        }
        let size = stream.read(&mut part).context("no answer in time")?;
        ensure!(size > 0, "the connection ended within an answer");
        read.extend_from_slice(part.get(..size).unwrap_or_default());
        ensure!(read.len() <= BYTES_MAX, "an answer without an end");
    }
}

/// The lengths of the head, with its empty line, and of the body; none while the head is not complete.
fn lengths(read: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(read.get(..end).unwrap_or_default())?;
    let length = header(head, "content-length").context("an answer without a length")?;
    Ok(Some((end + 4, length.parse().context("the length of an answer")?)))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

// === impl Answer ===

impl Answer<'_> {
    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }

    /// What it says, for people.
    pub fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(self.body).trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    /// Answers each connection's questions with these bytes, one after the other, and hangs up after the last.
    fn server(connections: Vec<Vec<&'static str>>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        thread::spawn(move || {
            for answers in connections {
                let (mut stream, _) = listener.accept().unwrap();
                for answer in answers {
                    let mut asked = [0; 1024];
                    assert!(stream.read(&mut asked).unwrap() > 0);
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        at
    }

    #[test]
    fn one_connection_carries_many_answers_and_another_follows_a_failure() {
        let first = vec![
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAge: 7\r\n\r\nhi",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi",
        ];
        let mut caller =
            Caller::new(server(vec![first, vec!["HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nno\n"]]));
        let answer = caller.get("/").unwrap();
        assert_eq!((answer.status, answer.body, answer.header("age")), (200, &b"hi"[..], Some("7")));
        assert_eq!(caller.get("/").unwrap().text(), "404 ");
        assert!(caller.get("/").unwrap_err().to_string().contains("ended within"));
        assert_eq!(caller.get("/").unwrap().text(), "503 no");
        let chunked = server(vec![vec!["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]]);
        assert!(Caller::new(chunked).get("/").unwrap_err().to_string().contains("without a length"));
    }
}
