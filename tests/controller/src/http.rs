//! One question over HTTP, by hand: the answer ends with the connection.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What answers at all answers within this, on a loaded machine too.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

pub fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    send(address, "GET", path, None)
}

/// Sends a question with a body of this content type, where there is one.
pub fn send(address: SocketAddr, method: &str, path: &str, body: Option<(&str, &str)>) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    // HTTP/1.0: no chunks, and no connection that stays open.
    let mut question = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n");
    if let Some((content_type, body)) = body {
        question += &format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
    }
    question += "\r\n";
    question += body.map_or("", |(_, body)| body);
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context(head.to_owned())?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

impl Answer {
    /// The first header of this name, which is given in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers
            .map(|(key, value)| (key.to_ascii_lowercase(), value.trim()))
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }
}
