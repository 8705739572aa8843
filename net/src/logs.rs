//! Logs: one JSON object a line on standard error (or, where a person reads along, one line), filtered by `RUST_LOG`, and by another filter later if somebody
//! wants to see more.

use thiserror::Error;
use tracing::{Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Registry,
    filter::{Targets, filter_fn},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

/// Where the filter comes from at the start.
const VARIABLE: &str = "RUST_LOG";

/// Bytes of a filter: a dozen directives. Each of them is compared with each place in the code that logs.
pub const FILTER_BYTES_MAX: usize = 1_024;

/// Modules that are silent whatever the filter says, since they write out what they received: kube's client logs the
/// whole text of an answer that it cannot read, which may be that of a Secret. Errors reach us as values anyway.
const SILENT: [&str; 1] = ["kube_client::client"];

/// Says why there are no logs.
#[derive(Debug, Error)]
pub enum LogsError {
    #[error("RUST_LOG: {0}")]
    Filter(#[from] FilterError),
    #[error("RUST_LOG: no text; use for example `info`")]
    NoText,
    #[error("logs: set up twice; call init_logs once, in main")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Says why a text is no filter, and what would be one.
#[derive(Debug, Error)]
pub enum FilterError {
    #[error("filter: empty; use for example `info`, or `info,rollcall_controller=debug`")]
    Empty,
    #[error("filter: {0} bytes; use at most {FILTER_BYTES_MAX}")]
    TooLong(usize),
    #[error(
        "filter: `{0}` is no level; use error, warn, info, debug, trace or off, or name one for a target, as in `rollcall_controller=debug`"
    )]
    NoLevel(String),
    #[error("filter: {0}; use for example `info,rollcall_controller=debug`")]
    Unreadable(#[from] tracing_subscriber::filter::ParseError),
    #[error("filter: the logs of this process have ended")]
    Ended(#[from] reload::Error),
}

/// Holds the filter of this process' logs, which can be changed while it runs.
#[derive(Debug, Clone)]
pub struct LogFilter(reload::Handle<Targets, Registry>);

/// Sets up the logs of this process: `info` and above unless `RUST_LOG` says otherwise.
pub fn init_logs() -> Result<LogFilter, LogsError> {
    let (logs, filter) = logs(by_environment(LevelFilter::INFO)?, std::io::stderr);
    logs.try_init()?;
    Ok(filter)
}

/// The same where a person reads along: `warn` and above, in lines for people.
pub fn init_logs_for_people() -> Result<LogFilter, LogsError> {
    let (filter, handle) = reload::Layer::new(by_environment(LevelFilter::WARN)?);
    let lines = fmt::layer().with_ansi(false).without_time().with_target(false).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(filter_fn(is_not_silent)).with(lines).try_init()?;
    Ok(LogFilter(handle))
}

fn by_environment(otherwise: LevelFilter) -> Result<Targets, LogsError> {
    let text = match std::env::var(VARIABLE) {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) | Err(std::env::VarError::NotPresent) => otherwise.to_string(),
        Err(std::env::VarError::NotUnicode(_)) => return Err(LogsError::NoText),
    };
    Ok(parsed(&text)?)
}

fn is_not_silent(event: &Metadata<'_>) -> bool {
    !SILENT.contains(&event.target())
}

fn logs<W>(filter: Targets, writer: W) -> (impl Subscriber + Send + Sync, LogFilter)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().json().flatten_event(true).with_writer(writer);
    (
        tracing_subscriber::registry().with(filter).with(filter_fn(is_not_silent)).with(lines),
        LogFilter(handle),
    )
}

fn parsed(text: &str) -> Result<Targets, FilterError> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(FilterError::TooLong(text.len()));
    }
    let mut parts = parts_of(text).peekable();
    if parts.peek().is_none() {
        return Err(FilterError::Empty);
    }
    // A word alone would be read as a target, all of whose lines are wanted, and no line of any other: a level with
    // a slip of the pen in it must not end the logs.
    let bare = |part: &&str| !part.contains('=') && part.parse::<LevelFilter>().is_err();
    if let Some(word) = parts.find(bare) {
        return Err(FilterError::NoLevel(word.chars().take(64).flat_map(char::escape_debug).collect()));
    }
    Ok(parts_of(text).collect::<Vec<_>>().join(",").parse()?)
}

fn parts_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

// === impl LogFilter ===

impl LogFilter {
    /// What is logged now, in the filter's own words.
    pub fn current(&self) -> Result<String, FilterError> {
        Ok(self.0.with_current(ToString::to_string)?)
    }

    /// Logs from now on what this filter says.
    pub fn change(&self, text: &str) -> Result<(), FilterError> {
        Ok(self.0.reload(parsed(text)?)?)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{debug, info, subscriber::with_default, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn taken(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    fn captured(filter: &str) -> (impl Subscriber + Send + Sync, LogFilter, Lines) {
        let lines = Lines::default();
        let writer = lines.clone();
        let (logs, filter) = logs(parsed(filter).unwrap(), move || writer.clone());
        (logs, filter, lines)
    }

    #[test]
    fn the_filter_changes_while_the_process_runs() {
        let (logs, filter, lines) = captured("info");
        with_default(logs, || {
            let speak = || {
                info!(target: "ours", "said");
                debug!(target: "ours", "whispered");
                debug!(target: "theirs", "foreign");
                lines.taken()
            };
            let text = speak();
            assert!(text.contains("said") && !text.contains("whispered"), "{text}");
            filter.change("info,ours=debug").unwrap();
            assert_eq!(filter.current().unwrap(), "ours=debug,info");
            let text = speak();
            assert!(text.contains("whispered") && !text.contains("foreign"), "{text}");
            assert!(filter.change("ours=loud").is_err());
            assert_eq!(filter.current().unwrap(), "ours=debug,info", "a bad one changes nothing");
            filter.change("off").unwrap();
            assert_eq!(speak(), "");
        });
        drop(lines);
        assert!(matches!(filter.change("info"), Err(FilterError::Ended(_))));
    }

    #[test]
    fn what_was_received_is_never_written_out() {
        let (logs, _filter, lines) = captured("trace");
        with_default(logs, || {
            warn!(target: "kube_client::client", "{}", r#"{"kind":"Secret","data":{"ca.key":"c2VjcmV0"}}"#);
            warn!(target: "kube_client::client::builder", "a request");
        });
        let text = lines.taken();
        assert!(text.contains("a request") && !text.contains("c2VjcmV0"), "{text}");
    }

    #[test]
    fn what_a_filter_is() {
        for good in [
            "info",
            "INFO",
            "off",
            "info,rollcall_controller=debug",
            "rollcall_net::listener=trace,warn,",
            "info, rollcall_controller=debug",
        ] {
            assert!(parsed(good).is_ok(), "{good}");
        }
        let long = format!("info,{}", "a=debug,".repeat(FILTER_BYTES_MAX));
        for (bad, says) in [
            ("", "empty"),
            (" , ", "empty"),
            ("debgu", "`debgu` is no level"),
            ("info,rollcall_controller", "`rollcall_controller` is no level"),
            ("rollcall_controller=loud", "use for example"),
            ("a b=c=d", "use for example"),
            ("\u{1b}[2J", "is no level"),
            (&long, "at most 1024"),
        ] {
            let error = parsed(bad).unwrap_err().to_string();
            assert!(error.contains(says) && error.starts_with("filter: "), "{bad}: {error}");
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }
}
