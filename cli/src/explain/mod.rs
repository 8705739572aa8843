//! `rollcall explain`: why the instances of a service are in their states, or where the way of a pod into the catalogue ends.

mod astray;
mod catalogue;
mod facts;
mod gather;
mod object;
mod registrations;
mod service;
mod walk;

use clap::Args;
use rollcall_catalogue::Namespace;
use serde::Serialize;
use walk::{State, Step, walk};

use crate::{
    failure::Failure,
    names::{Subject, key},
    options::{Form, Where},
    print,
    print::{Paint, Tone, counted, plain, shown},
    print_body,
    reach::{Reach, Source},
};

/// The column in which a step begins.
const INDENT: usize = 23;

/// Holds what `rollcall explain` is told.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A service, as orders or orders.shop; or a pod, as pod/orders-1
    #[arg(value_name = "NAME|pod/NAME")]
    subject: Subject,

    /// One instance of the service.
    #[arg(value_name = "ID")]
    id: Option<String>,

    /// Whether a caller in this namespace may see it.
    #[arg(long, value_name = "NAMESPACE")]
    from: Option<Namespace>,

    #[arg(long, short, value_name = "FORM")]
    output: Option<Form>,

    #[command(flatten)]
    place: Where,
}

/// Holds what is told of a pod, for programs.
#[derive(Debug, Serialize)]
struct Body<'a> {
    namespace: &'a str,
    pod: &'a str,
    steps: &'a [Step],
    /// The first link that is broken.
    broken: Option<walk::Link>,
}

// === impl Explain ===

impl Explain {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let usage = |says: &str| Err(Failure::Usage(says.to_owned()));
        if let (Subject::Pod(_), Some(_)) = (&self.subject, &self.id) {
            return usage("an ID is of a service; leave it out for a pod");
        }
        match &self.subject {
            Subject::Service(named) => {
                let source = Source::new(&self.place).await?;
                let key = key(named, source.namespace());
                let asked = service::Asked { key: &key, id: self.id.as_deref(), from: self.from.as_ref() };
                service::explain(&source, asked, self.output).await
            }
            Subject::Pod(name) => {
                self.place.of_cluster(
                    "a pod is of a cluster; with --local a service is explained: `rollcall explain NAME --local`",
                )?;
                let reach = Reach::new(&self.place).await?;
                let gathered = Box::pin(gather::facts(&reach, name, self.from.as_ref()));
                let facts = shown("following the way of the pod", gathered).await?;
                let steps = walk(&facts);
                let broken = steps.iter().find(|step| step.state == State::Broken);
                match self.output {
                    Some(Form::Json) => {
                        let (namespace, pod) = (reach.namespace.as_str(), name.as_str());
                        let broken = broken.map(|step| step.link);
                        // Text, which serde_json cannot fail to write.
                        let body = serde_json::to_vec(&Body { namespace, pod, steps: &steps, broken });
                        print_body(&body.unwrap_or_default())?;
                    }
                    None => print(text(name, &steps, Paint::of_stdout()).as_bytes())?,
                }
                if broken.is_some() { Err(Failure::Told) } else { Ok(()) }
            }
        }
    }
}

/// The steps in their order, and where the way ends.
fn text(pod: &str, steps: &[Step], paint: Paint) -> String {
    let mut text = String::new();
    for step in steps {
        let (tone, word) = match step.state {
            State::Good => (Tone::Good, "ok     "),
            State::Note => (Tone::Doubtful, "note   "),
            State::Unknown => (Tone::Doubtful, "unknown"),
            State::Broken => (Tone::Bad, "broken "),
        };
        text.push_str(&format!(
            "{}  {:<12}  {}\n",
            paint.on(tone, word),
            step.link.name(),
            paint.within(INDENT, &plain(&step.says))
        ));
        if let Some(remedy) = &step.remedy {
            text.push_str(&format!("{:INDENT$}{}\n", "", paint.within(INDENT, &plain(remedy))));
        }
    }
    let end = match steps.iter().find(|step| step.state == State::Broken) {
        Some(step) => {
            paint.on(Tone::Bad, &format!("pod/{pod}: the first broken link is {}", step.link.name()))
        }
        None => {
            let notes = steps.iter().filter(|step| step.state == State::Note).count();
            let (tone, notes) = match notes {
                0 => (Tone::Good, String::new()),
                notes => (Tone::Doubtful, format!(", with {}", counted(notes, "note"))),
            };
            paint.on(tone, &format!("pod/{pod}: no link is broken{notes}"))
        }
    };
    text.push_str(&format!("\n{end}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_told_up_to_where_it_ends() {
        let step = |link, state, says: &str, remedy: Option<&str>| Step {
            link,
            state,
            says: says.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let steps = [
            step(walk::Link::Controller, State::Good, "2 of them are ready", None),
            step(walk::Link::Session, State::Broken, "it has none", Some("allow it")),
        ];
        assert_eq!(
            text("web-1", &steps, Paint::new(false)),
            "ok       controller    2 of them are ready\n\
             broken   session       it has none\n\
             \u{20}                      allow it\n\
             \npod/web-1: the first broken link is session\n"
        );
        let forged = [step(walk::Link::Annotation, State::Good, "it is `\u{1b}[2J\nok`", Some("\u{1b}"))];
        let told = text("web-1", &forged, Paint::new(false));
        assert!(!told.contains('\u{1b}') && !told.contains("\nok"), "{told:?}");
        assert!(text("web-1", &steps[..1], Paint::new(false)).ends_with("pod/web-1: no link is broken\n"));
        let noted = [step(walk::Link::Crd, State::Note, "it is old", Some("upgrade"))];
        let told = text("web-1", &noted, Paint::new(false));
        assert!(
            told.starts_with("note     crd           it is old\n")
                && told.ends_with("no link is broken, with 1 note\n"),
            "{told}"
        );
    }
}
