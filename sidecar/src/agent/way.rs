//! The way to the controller: whom to believe and where to call, as it was told in sessions and found between them.

use std::net::SocketAddr;

use rollcall_net::Proof;
use tokio::sync::watch;
use tracing::{info, warn};

use super::Agent;
use crate::{disk::Way, finder::Find, session::Unfit};

/// Holds what was told of it, and who is asked where nobody answers.
#[derive(Default)]
pub(super) struct Ways {
    /// For the next process.
    told: watch::Sender<Way>,
    finder: Option<Box<dyn Find>>,
}

// === impl Agent ===

impl Agent {
    /// Asks this where the controller is, once nobody has answered for long.
    pub(crate) fn finds_by(&mut self, finder: Box<dyn Find>) {
        self.ways.finder = Some(finder);
    }

    /// Takes over what the process before this one was told.
    pub(crate) fn restore_way(&mut self, way: Way) {
        if let Some(learned) = &way.learned {
            self.trust.restore(learned);
        }
        self.ways.told.send_replace(way);
        self.show_believed();
    }

    /// What is to be kept, whenever it changes.
    pub(crate) fn way(&self) -> watch::Receiver<Way> {
        self.ways.told.subscribe()
    }

    /// The controller's own address: as it was told, or as the pod was given it.
    pub(super) fn controller(&self) -> SocketAddr {
        self.ways.told.borrow().controller.unwrap_or(self.args.controller)
    }

    /// What a controller tells. What it should not have told is counted, and the session goes on: lookups need it.
    pub(super) fn hear_way(
        &mut self,
        ca_pem: Option<&str>,
        controller: Option<SocketAddr>,
        proof: Option<&Proof>,
    ) {
        if let Some((ca_pem, proof)) = ca_pem.zip(proof)
            && let Err(unfit) = self.trust.hear(ca_pem, proof, self.now_ms())
        {
            self.refuse(unfit);
        }
        if let Some(controller) = controller.filter(|controller| is_of_somebody(*controller)) {
            self.ways.told.send_if_modified(|way| {
                let before = way.controller.replace(controller);
                let changed = before != Some(controller);
                if changed {
                    info!(%controller, ?before, "the controller tells where it is");
                }
                changed
            });
        }
        self.show_believed();
    }

    /// Those that nobody has told of for long are believed no more.
    pub(super) fn forget_untold(&mut self, proof: Option<&Proof>) {
        let now_ms = self.now_ms();
        if proof.is_some_and(|proof| self.trust.forget_untold(proof, now_ms)) {
            self.show_believed();
        }
    }

    /// Where the controller is by the cluster's DNS; nowhere without one. Lookups and all others are heard meanwhile.
    pub(super) async fn find(&mut self) -> Vec<SocketAddr> {
        let Some(finder) = self.ways.finder.take() else { return Vec::new() };
        let port = self.controller().port();
        let found = self.attend(finder.find(port)).await;
        self.ways.finder = Some(finder);
        found
    }

    /// Keeps it for the next process, and shows it to people.
    pub(super) fn show_believed(&mut self) {
        let learned = self.trust.learned();
        self.ways.told.send_if_modified(|way| {
            let changed = way.learned != learned;
            way.learned = learned;
            changed
        });
        let authorities = self.trust.believed();
        self.writer.believes(authorities);
    }

    fn refuse(&mut self, unfit: Unfit) {
        if self.may_warn() {
            warn!(%unfit, "the authorities that the controller tells are not believed, and those of before are");
        }
        self.writer.change_around(|around| {
            let [too_large, unreadable, stranger] = &mut around.believed.refused;
            *match unfit {
                Unfit::TooLarge => too_large,
                Unfit::Unreadable => unreadable,
                Unfit::Stranger => stranger,
            } += 1;
        });
    }
}

/// Whether anybody can be called there.
fn is_of_somebody(address: SocketAddr) -> bool {
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
}
