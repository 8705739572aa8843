//! The sidecar beneath its ports: the session, what lookups are answered from, and what is kept on the disk.

use std::sync::Arc;

use rollcall_net::{Network, Shutdown};
use tokio::task::JoinSet;

use crate::{
    agent::{Agent, errands},
    api::Api,
    args::Args,
    disk::{self, Folder, Keeper, Scribe, Usher},
    finder::Find,
    own::{self, Mounted, Own},
    prestop::{PreStop, prestop},
    session::{Trust, pod_of_token},
    store::{Store, store},
};

/// Holds the parts of a sidecar that is about to run, and what its ports answer from.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) api: Arc<Api>,
    pub(crate) hooks: PreStop,
    agent: Agent,
    keeper: Keeper,
    scribe: Scribe,
    usher: Usher,
    own: Own,
    mounted: Mounted,
}

// === impl Core ===

impl Core {
    /// What the disk has is known from here on, and nobody is called yet.
    pub(crate) fn new(
        args: Args,
        network: Arc<dyn Network>,
        finder: Option<Box<dyn Find>>,
        trust: Trust,
    ) -> Self {
        let (writer, store) = store();
        let (errands, inbox) = errands();
        let (hooks, questions) = prestop(store.clone());
        // What is declared is known before the first session: it is in its first word.
        let (own, mounted) = Own::new(&args.declared, args.registrations_dir.clone());
        let api = Api::new(store.clone(), errands, own.clone());
        let folder = Folder::new(&args.state_dir);
        let pod = pod_of_token(&args.token_file);
        let mut agent = Agent::new(args, network, trust, writer, inbox, questions, own.clone());
        if let Some(finder) = finder {
            agent.finds_by(finder);
        }
        let left = disk::read(&folder, pod.as_deref());
        let restored = left.state.is_some();
        if let Some(state) = left.state {
            agent.restore(state);
        }
        if let Some(said) = left.said {
            agent.restore_words(&said);
        }
        if let Some(way) = left.way {
            agent.restore_way(way);
        }
        let usher = Usher::new(folder.clone(), store.clone(), pod.clone(), agent.way());
        let keeper = Keeper::new(folder.clone(), store.clone(), restored);
        let scribe = Scribe::new(folder, store.clone(), own.clone(), pod);
        Self { store, api, hooks, agent, keeper, scribe, usher, own, mounted }
    }

    /// Starts all parts but the session, which is the caller's: it has no goodbye to say, and no end of its own.
    pub(crate) fn start(self, parts: &mut JoinSet<()>, shutdown: &Shutdown) -> Agent {
        parts.spawn(self.keeper.run(shutdown.clone()));
        parts.spawn(self.scribe.run(shutdown.clone()));
        parts.spawn(self.usher.run(shutdown.clone()));
        parts.spawn(own::run(self.own, self.mounted, shutdown.clone()));
        self.agent
    }
}
