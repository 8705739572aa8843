//! That something goes on which takes its time: a line on standard error, for eyes alone, gone again at its end.

use std::{
    env,
    future::Future,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// What is done within it needs no word.
const EVERY: Duration = Duration::from_secs(1);

/// Waits for this, and shows on a terminal that and for how long it does.
pub(crate) async fn shown<T>(what: &str, work: impl Future<Output = T>) -> T {
    let is_terminal = io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
    if is_terminal { shown_in(&mut io::stderr(), what, work).await } else { work.await }
}

async fn shown_in<T>(terminal: &mut impl Write, what: &str, work: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let mut ticks = interval_at(begin + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut work = std::pin::pin!(work);
    let mut is_shown = false;
    // Whether anybody sees it changes nothing of the work.
    let mut show = |text: &str| drop(terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()));
    loop {
        tokio::select! {
            biased;
            done = work.as_mut() => {
                if is_shown {
                    show("\r\u{1b}[K");
                }
                return done;
            }
            now = ticks.tick() => {
                is_shown = true;
                show(&format!("\r{what}, {}s\u{1b}[K", now.duration_since(begin).as_secs()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_its_time_is_shown_and_gone_at_its_end() {
        let mut seen = Vec::new();
        let work = async {
            sleep(Duration::from_millis(2_500)).await;
            7
        };
        assert_eq!(shown_in(&mut seen, "looking", work).await, 7);
        let seen = String::from_utf8(seen).unwrap();
        assert_eq!(seen, "\rlooking, 1s\u{1b}[K\rlooking, 2s\u{1b}[K\r\u{1b}[K");
        let mut quick = Vec::new();
        shown_in(&mut quick, "looking", sleep(Duration::from_millis(999))).await;
        assert_eq!(quick, b"");
    }
}
