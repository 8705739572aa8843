//! A connection that is held without a word: its end is the first sign that an app has died.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{Outcome, is_mirror};

/// Bytes that a server may say of itself on such a connection before it is hung up: a greeting is a line.
const GREETING_BYTES_MAX: usize = 4 * 1024;

/// Holds one connection until the other side ends it; tells how long it lived, or why there was none. `limit` is for the
/// connect alone.
pub async fn idle(target: SocketAddr, limit: Duration) -> Result<Duration, Outcome> {
    let connected = timeout(limit, TcpStream::connect(target)).await.map_err(|_| Outcome::TimedOut)?;
    let mut stream = connected.map_err(|error| Outcome::of_connect(&error))?;
    if is_mirror(&stream).map_err(|error| Outcome::of_connect(&error))? {
        return Err(Outcome::Refused);
    }
    let since = Instant::now();
    let mut greeted = 0;
    let mut chunk = [0; 256];
    while greeted < GREETING_BYTES_MAX {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(length) => greeted += length,
        }
    }
    Ok(since.elapsed())
}
