//! The load: requests over kept connections, as an app's client makes them, at the least cost to the machine.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use crate::local::{ANSWER_MAX, Caller, Length, Outcome, micros, open};

/// As many requests as so many connections can make, one after the other each.
pub(super) async fn closed(
    at: SocketAddr,
    requests: &[String],
    connections: usize,
    lasts: Duration,
) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..connections {
        let requests = requests.to_vec();
        let mut caller = Caller::connect(at).await?;
        callers.spawn(async move {
            let mut delays_us = Vec::new();
            for request in requests.iter().cycle().skip(number) {
                let asked = Instant::now();
                if asked - begin >= lasts {
                    break;
                }
                caller.answer(request).await?;
                delays_us.push(micros(asked.elapsed()));
            }
            anyhow::Ok(delays_us)
        });
    }
    let mut delays_us = Vec::new();
    while let Some(delays) = callers.join_next().await {
        delays_us.extend(delays??);
    }
    Ok(Outcome::of(begin, delays_us))
}

/// So many requests a second over so many connections.
pub(super) fn steady(
    at: SocketAddr,
    requests: &[String],
    connections: usize,
    a_second: u32,
    lasts: Duration,
) -> anyhow::Result<Outcome> {
    let client = || {
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let mut read = Vec::new();
        Ok(move |turn: usize| {
            let request = requests.get(turn % requests.len()).context("no request")?;
            stream.write_all(request.as_bytes())?;
            read.clear();
            let mut length = None;
            while !Length::is_whole(&mut length, &read)? {
                let mut chunk = [0; 16 * 1024];
                let some = stream.read(&mut chunk)?;
                ensure!(some > 0, "the connection ended");
                read.extend_from_slice(chunk.get(..some).unwrap_or_default());
            }
            ensure!(read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&read));
            Ok(())
        })
    };
    open((0..connections).map(|_| client()).collect::<anyhow::Result<_>>()?, a_second, lasts)
}
