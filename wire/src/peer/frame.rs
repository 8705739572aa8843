//! The frames between replicas: one JSON object each, told apart by `type`, the same in both directions.

use std::{net::IpAddr, sync::Arc};

use rollcall_catalogue::{PodUid, ServiceKey, changes::Position, liveness::ProbeWitness};
use serde::{Deserialize, Serialize};

use super::record::{Record, Version};
use crate::{codec::Line, limits::OUTSIDE_WORDS_MAX, token::Token};

/// Says what a replica tells another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Frame {
    /// The first frame of each end.
    Hello {
        #[serde(flatten)]
        who: Introduction,
        #[serde(flatten)]
        beat: Beat,
    },
    Record(Box<Record>),
    /// Everything that was known at `hello` is told.
    Synced,
    /// Sent each second, and at once when something of it changes that others wait for.
    Beat(Beat),
    /// This token is one of this pod's, by the API server's word; the token itself is told to nobody.
    Token {
        /// Of the token, SHA-256 in hexadecimal.
        digest: String,
        pod: PodUid,
        /// From now.
        #[serde(rename = "goodForSeconds")]
        good_for_seconds: u64,
    },
    /// The token that we show from now on, for the door of the other end alone: so a link that breaks comes back while
    /// the API server is away.
    Renewed {
        token: Token,
    },
    /// What addresses outside the cluster have answered to the one replica that asks them.
    Outside {
        answers: Vec<OutsideWord>,
        /// These are all.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        whole: bool,
    },
    /// Asks when nobody in session with you calls this pod any more.
    Drain {
        ask: u64,
        pod: PodUid,
        /// The record that says that it drains; none where Kubernetes ends it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Version>,
        services: Vec<ServiceKey>,
        /// From now.
        #[serde(rename = "deadlineMs")]
        deadline_ms: u64,
    },
    /// The answer.
    Drained {
        ask: u64,
        acked: u32,
        subscribers: u32,
        late: Vec<String>,
    },
    Goaway {
        reason: String,
    },
    /// A type of a newer replica: skipped and counted.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// Holds who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    pub protocol: String,
    /// The replica's name: its pod's.
    pub replica: String,
    /// Of its process, as sidecars are told it.
    pub epoch: Arc<str>,
}

/// Holds how a replica stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Beat {
    pub sessions: u32,
    /// The epochs of those that it hears itself: a third one that does not may rely on it.
    #[serde(default)]
    pub hears: Vec<Arc<str>>,
    pub standing: Standing,
    /// The newest change of each kind in Kubernetes that it has seen happen: who lacks that for long does not read on.
    #[serde(default, skip_serializing_if = "Position::is_empty")]
    pub changed: Position,
}

/// Says whether sidecars may be sent to a replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It has just begun, and does not know everything yet.
    #[default]
    Starting,
    Serving,
    /// Others know more of Kubernetes than it reads: nobody is sent there as long as another one serves.
    Behind,
    /// It ends, and sends its sessions away.
    Leaving,
    /// A word of a newer replica.
    #[serde(other)]
    Other,
}

/// Holds what one address outside the cluster has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideWord {
    pub service: ServiceKey,
    pub address: IpAddr,
    #[serde(with = "crate::frame::probe_word")]
    pub probe: ProbeWitness,
}

// === impl Frame ===

impl Line for Frame {}

impl Frame {
    /// Answers of addresses outside the cluster, in as many frames as they need. Where they are all, the first frame says so,
    /// and the others add to it.
    pub fn outside(answers: &[OutsideWord], whole: bool) -> Vec<Self> {
        if answers.is_empty() {
            return if whole { vec![Self::Outside { answers: Vec::new(), whole }] } else { Vec::new() };
        }
        let parts = answers.chunks(OUTSIDE_WORDS_MAX).enumerate();
        parts
            .map(|(number, part)| Self::Outside { answers: part.to_vec(), whole: whole && number == 0 })
            .collect()
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
