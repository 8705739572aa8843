//! The sidecar beneath its ports: the session, what lookups are answered from, and what is kept on the disk.

use std::sync::Arc;

use rollcall_net::{Network, Shutdown};
use rollcall_wire::{Down, client::Violation};
use tokio::task::JoinSet;

use crate::{
    agent::{Agent, errands},
    args::Args,
    disk::{self, Folder, Keeper, Scribe, Usher},
    finder::Find,
    own::{self, Doubt, Mounted, Own},
    owners::Owner,
    prestop::{PreStop, prestop},
    session::{Trust, pod_of_token},
    store::{Store, Writer, store},
};

/// Says what the process before this one has left, and what of it is taken over.
#[derive(Debug)]
pub(crate) enum Legacy {
    /// Of a pod that lives on: the last good state, the way to the controller, and what its app said, which counts as ever.
    Pod,
    /// Of an address of a machine, whose controller is in the same process: what apps said, in doubt until they are heard. Where
    /// nothing is kept, what is said of all addresses counts there as well.
    Machine { said_of_all: Option<Vec<u8>> },
}

/// Holds the parts of a sidecar that is about to run, and what its ports answer from.
pub(crate) struct Core {
    pub(crate) owner: Owner,
    pub(crate) hooks: PreStop,
    agent: Agent,
    /// None where the catalogue and the way to it need not be kept.
    keeper: Option<(Keeper, Usher)>,
    scribe: Scribe,
    mounted: Mounted,
}

// === impl Core ===

impl Core {
    /// The sidecar of a pod. What the disk has is known from here on, and nobody is called yet.
    pub(crate) fn new(
        args: Args,
        network: Arc<dyn Network>,
        finder: Option<Box<dyn Find>>,
        trust: Trust,
    ) -> Self {
        let mut core = Self::over(store(), args, network, trust, Legacy::Pod);
        if let Some(finder) = finder {
            core.agent.finds_by(finder);
        }
        core
    }

    /// The same over a store that is known already, for whoever left this.
    pub(crate) fn over(
        (writer, store): (Writer, Store),
        args: Args,
        network: Arc<dyn Network>,
        trust: Trust,
        legacy: Legacy,
    ) -> Self {
        let (errands, inbox) = errands();
        let (hooks, questions) = prestop(store.clone());
        // What is declared is known before the first session: it is in its first word.
        let (own, mounted) = Own::new(&args.declared, args.registrations_dir.clone());
        let folder = Folder::new(&args.state_dir);
        let pod = pod_of_token(&args.token_file);
        let mut agent = Agent::new(args, network, trust, writer, inbox, questions, own.clone());
        let keeper = match legacy {
            Legacy::Pod => {
                let left = disk::read(&folder, pod.as_deref());
                let restored = left.state.is_some();
                if let Some(state) = left.state {
                    agent.restore(state);
                }
                if let Some(said) = left.said {
                    agent.restore_words(&said, Doubt::None);
                }
                if let Some(way) = left.way {
                    agent.restore_way(way);
                }
                let usher = Usher::new(folder.clone(), store.clone(), pod.clone(), agent.way());
                Some((Keeper::new(folder.clone(), store.clone(), restored), usher))
            }
            Legacy::Machine { said_of_all } => {
                if let Some(said) = disk::read_said(&folder, pod.as_deref()).or(said_of_all) {
                    agent.restore_words(&said, Doubt::UntilHeard);
                }
                None
            }
        };
        let scribe = Scribe::new(folder, store.clone(), own.clone(), pod);
        Self { owner: Owner { own, errands, store }, hooks, agent, keeper, scribe, mounted }
    }

    /// Keeps a session, and the disk, until it is told to end.
    pub(crate) async fn run(self, mut shutdown: Shutdown) -> anyhow::Result<()> {
        let mut parts = JoinSet::new();
        let agent = self.start(&mut parts, &shutdown);
        tokio::select! {
            () = Box::pin(agent.run()) => anyhow::bail!("the agent ended by itself; this is a bug"),
            () = shutdown.requested() => {}
        }
        while let Some(ended) = parts.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Takes what a controller says, without a session.
    pub(crate) fn hear(&mut self, frame: Down) -> Result<(), Violation> {
        self.agent.hear_alone(frame)
    }

    /// Starts all parts but the session, which is the caller's: it has no goodbye to say, and no end of its own.
    pub(crate) fn start(self, parts: &mut JoinSet<()>, shutdown: &Shutdown) -> Agent {
        if let Some((keeper, usher)) = self.keeper {
            parts.spawn(keeper.run(shutdown.clone()));
            parts.spawn(usher.run(shutdown.clone()));
        }
        parts.spawn(self.scribe.run(shutdown.clone()));
        parts.spawn(own::run(self.owner.own, self.mounted, shutdown.clone()));
        self.agent
    }
}
