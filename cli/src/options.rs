//! The flags that the cluster's verbs have in common, as kubectl has them.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use rollcall_catalogue::Namespace;

/// Nobody waits longer for one answer; who wants to wait asks again.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Holds which cluster is meant, and which part of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// The kubeconfig; without it KUBECONFIG, or ~/.kube/config, or the pod's own account.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig; without it the current one.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The namespace; without it that of the context.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<Namespace>,

    /// The namespace that Rollcall is installed in.
    #[arg(long, value_name = "NAME", default_value = "rollcall-system", env = "ROLLCALL_SYSTEM_NAMESPACE")]
    pub(crate) system_namespace: Namespace,

    /// For how long each answer is waited for: 500ms, 10s, 2m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// Says in which form the answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// What the controller answered, as it did.
    Json,
}

/// The same, of what has more columns than a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WideForm {
    /// With more columns.
    Wide,
    /// What the controller answered, as it did.
    Json,
}

/// A time as the local API writes it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const REMEDY: &str = "use a time as 500ms, 10s or 2m, up to 10m";
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(REMEDY.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| REMEDY.to_owned())?;
    let time = Duration::from_millis(number.saturating_mul(unit_ms));
    if time.is_zero() || time > TIMEOUT_MAX { Err(REMEDY.to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_an_end() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("2m", 120_000), ("10m", 600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "10", "s", "0s", "11m", "-1s", "1h", "1.5s", "99999999999999999999s"] {
            assert!(duration(bad).unwrap_err().contains("10s"), "{bad}");
        }
    }
}
