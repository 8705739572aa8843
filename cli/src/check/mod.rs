//! `rollcall check`: what is wrong, and what to do about it.
//!
//! ```text
//!  gather: what the API server and the controllers say ─► facts ─► judge: pure functions ─► findings ─► text, JSON
//! ```

pub(crate) mod ask;
mod certificate;
pub(crate) mod facts;
mod finding;
pub(crate) mod gather;
pub(crate) mod judge;
pub(crate) mod objects;
mod page;
mod prometheus;

use clap::Args;
use facts::Facts;
use finding::{Finding, Level, Topic};

use crate::{
    failure::Failure,
    options::{Form, Where},
    print,
    print::{Paint, shown},
    print_body,
    reach::Reach,
};

/// Holds what `rollcall check` is told.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Look at a cluster before Rollcall is installed there.
    #[arg(long)]
    pre: bool,

    #[arg(long, short, value_name = "FORM")]
    output: Option<Form>,

    #[command(flatten)]
    place: Where,
}

// === impl Check ===

impl Check {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.place.of_cluster(
            "a check is of an installation in a cluster; what `rollcall dev` does not like, it says on its own terminal",
        )?;
        let reach = Reach::new(&self.place).await?;
        let findings = match self.pre {
            true => {
                let gathered = Box::pin(gather::before(&reach));
                judge::judged_before(&shown("looking at the cluster", gathered).await)
            }
            false => {
                let gathered = Box::pin(async {
                    Ok::<_, Failure>(in_step(&reach, Box::pin(gather::all(&reach)).await?).await)
                });
                judge::judged(&shown("looking at the installation", gathered).await?)
            }
        };
        match self.output {
            Some(Form::Json) => print_body(&page::json(&findings))?,
            None => print(page::text(&findings, Paint::of_stdout()).as_bytes())?,
        }
        let of = |topic: Topic| findings.iter().find(|one| one.topic == topic);
        if of(Topic::Reachable).is_some_and(|one| one.level == Level::Fail) {
            return Err(crate::reach::api_server("no answer"));
        }
        if findings.iter().any(|one| one.level == Level::Fail) { Err(Failure::Told) } else { Ok(()) }
    }
}

/// The same facts, with dumps that may be compared: of what changes meanwhile one controller tells before the other.
async fn in_step(reach: &Reach, mut facts: Facts) -> Facts {
    const TRIES_MAX: u32 = 3;
    for _ in 0..TRIES_MAX {
        let differ = judge::judged(&facts)
            .iter()
            .any(|Finding { topic, level, .. }| *topic == Topic::InStep && *level != Level::Ok);
        if !differ {
            break;
        }
        gather::dumps_again(reach, &mut facts.catalogue.told).await;
    }
    facts
}
