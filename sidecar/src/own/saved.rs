//! What survives the process: what the app said at run time. Files and the environment are there again anyway.

use rollcall_wire::{Drain, SelfRegistration};
use serde::{Deserialize, Serialize};

use super::{
    body,
    entry::Source,
    health::AppWord,
    ledger::{Doubt, Ledger},
};

/// Holds what is kept, as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Saved {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    app: Vec<SelfRegistration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    classic: Vec<SelfRegistration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drain: Option<Drain>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Word {
    failing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    output: String,
}

// === impl Saved ===

impl Saved {
    pub(super) fn of(ledger: &Ledger) -> Self {
        let by = |source| {
            let said = ledger.entries.values().filter_map(move |entry| entry.by(source));
            said.cloned().collect()
        };
        let word = |AppWord { failing, ttl_ms, output }: AppWord| Word { failing, ttl_ms, output };
        Self {
            app: by(Source::App),
            classic: by(Source::Classic),
            health: ledger.health.app_word().cloned().map(word),
            drain: ledger.drain,
        }
    }

    /// What is said of all that there is or will be, and nothing that is registered.
    pub(super) fn of_all(ledger: &Ledger) -> Self {
        Self { app: Vec::new(), classic: Vec::new(), ..Self::of(ledger) }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Text, numbers and maps with text keys, which serde_json cannot fail to write.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Puts all of it back that is still good by the rules of this build. Each beat has its whole time anew.
    pub(super) fn restore(self, ledger: &mut Ledger, doubt: Doubt, now_ms: u64) {
        let of = |source| move |said: SelfRegistration| (source, said);
        let all = self.app.into_iter().map(of(Source::App));
        for (source, said) in all.chain(self.classic.into_iter().map(of(Source::Classic))) {
            let taken = body::check(&said).map_err(|error| error.to_string());
            let taken =
                taken.and_then(|()| ledger.restore(source, said, now_ms).map_err(|full| full.to_string()));
            match taken {
                Ok(ticket) if doubt == Doubt::UntilHeard => ledger.doubt(&ticket),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error, "a registration that was kept is not taken up again");
                }
            }
        }
        if let Some(Word { failing, ttl_ms, output }) = self.health {
            ledger.restore_word(AppWord { failing, ttl_ms, output }, now_ms);
        }
        ledger.drain = self.drain;
    }
}
