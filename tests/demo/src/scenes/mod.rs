//! What is shown, each as a scene of its own.

mod controllers;
mod killed;
mod lookups;
mod node;
mod rollout;

use std::str::FromStr;

use anyhow::Result;
use thiserror::Error;

use crate::{Stage, report::Report};

/// Names a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    Lookups,
    Rollout,
    Killed,
    Controllers,
    Node,
}

/// Says that there is no scene of that name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no scene `{0}`: say one of lookups, rollout, killed, controllers, node")]
pub struct SceneError(String);

impl FromStr for Scene {
    type Err = SceneError;

    fn from_str(text: &str) -> Result<Self, SceneError> {
        Self::ALL.into_iter().find(|scene| scene.name() == text).ok_or_else(|| SceneError(text.to_owned()))
    }
}

// === impl Scene ===

impl Scene {
    /// All of them, in the order in which they are played.
    pub const ALL: [Self; 5] = [Self::Lookups, Self::Rollout, Self::Killed, Self::Controllers, Self::Node];

    pub fn name(self) -> &'static str {
        match self {
            Self::Lookups => "lookups",
            Self::Rollout => "rollout",
            Self::Killed => "killed",
            Self::Controllers => "controllers",
            Self::Node => "node",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Lookups => "lookups by name, by version, by DNS",
            Self::Rollout => "a rolling update without one failed request",
            Self::Killed => "a killed app, beside Kubernetes' own DNS and Services",
            Self::Controllers => "all controllers deleted while lookups go on",
            Self::Node => "a node cut off",
        }
    }

    pub(crate) fn play(self, stage: &Stage, report: &mut Report) -> Result<()> {
        match self {
            Self::Lookups => lookups::play(stage, report),
            Self::Rollout => rollout::play(stage, report),
            Self::Killed => killed::play(stage, report),
            Self::Controllers => controllers::play(stage, report),
            Self::Node => node::play(stage, report),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scene_is_found_by_its_name() {
        for scene in Scene::ALL {
            assert_eq!(scene.name().parse(), Ok(scene));
        }
        let error = "lookup".parse::<Scene>().unwrap_err().to_string();
        assert!(Scene::ALL.iter().all(|scene| error.contains(scene.name())), "{error}");
    }
}
