//! `rollcall watch`: what changes in a service, a line each.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use clap::Args;
use rollcall_catalogue::ServiceKey;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Instance, ServiceAnswer,
    catalogue::{GET, escaped, found},
};
use crate::{
    failure::Failure,
    is_read,
    names::Named,
    options::{Form, Where},
    print::{Paint, Tone, plain},
    reach::{Answer, Line, Source, decoded, unreachable},
};

/// A person sees no sooner that something has changed; a question is a few KiB.
const EVERY: Duration = Duration::from_secs(1);
/// Without an answer for so long, the watch ends: whoever looks would take silence for calm.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// Holds what `rollcall watch` is told.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// A service, as orders or orders.shop, and which versions of it
    #[arg(value_name = "NAME[@VERSION]")]
    named: Named,

    /// `json`: the whole answer, a line each time that it changes.
    #[arg(long, short, value_name = "FORM")]
    output: Option<Form>,

    #[command(flatten)]
    place: Where,
}

/// Says what became of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Turn<'a> {
    Came(&'a Instance),
    Changed { from: &'a str, to: &'a Instance },
    Went(&'a Instance),
}

// === impl Watch ===

impl Watch {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let source = Source::new(&self.place).await?;
        let key = self.named.key(source.namespace());
        let mut path = format!("/v1/services/{key}?all=true");
        if let Some(version) = &self.named.version {
            path.push_str(&format!("&version={}", escaped(version)));
        }
        let first = found(&source, &key, &path).await?;
        self.follow(&source, &key, &path, first, &mut io::stdout()).await
    }

    /// Until nobody answers any more, or whoever reads it goes away.
    async fn follow(
        &self,
        source: &Source,
        key: &ServiceKey,
        path: &str,
        first: Answer,
        output: &mut impl Write,
    ) -> Result<(), Failure> {
        let (mut held, mut line) = (None, None);
        let (mut answered, mut next) = (Instant::now(), first);
        loop {
            let now = read(&next)?;
            if !self.tell(key, held.as_ref(), &now, &next, output)? {
                return Ok(());
            }
            held = Some(now);
            next = loop {
                sleep(EVERY).await;
                match asked(source, &mut line, path).await {
                    Ok(answer) if answer.is_ok() || answer.status == 404 => break answer,
                    Ok(_) | Err(_) if answered.elapsed() < SILENT_MAX => line = None,
                    Ok(answer) => {
                        let why = format!("it answers {}", answer.status);
                        return Err(unreachable("controller", &why, "`rollcall check` says what is wrong"));
                    }
                    Err(failure) => return Err(failure),
                }
            };
            answered = Instant::now();
        }
    }

    /// Says whether somebody still reads it.
    fn tell(
        &self,
        key: &ServiceKey,
        held: Option<&ServiceAnswer>,
        now: &ServiceAnswer,
        answer: &Answer,
        output: &mut impl Write,
    ) -> Result<bool, Failure> {
        let nothing = ServiceAnswer::default();
        let turns = turns(held.unwrap_or(&nothing), now);
        if held.is_some() && turns.is_empty() {
            return Ok(true);
        }
        if self.output == Some(Form::Json) {
            let line = [answer.body.trim_ascii_end(), b"\n"].concat();
            return is_read(output, &line);
        }
        if turns.is_empty() {
            return is_read(output, format!("{key} has no instance yet\n").as_bytes());
        }
        let paint = Paint::of_stdout();
        is_read(output, turns.iter().map(|turn| turn.line(paint)).collect::<String>().as_bytes())
    }
}

/// With its last registration a service is gone, and all that it had.
fn read(answer: &Answer) -> Result<ServiceAnswer, Failure> {
    if answer.status == 404 { Ok(ServiceAnswer::default()) } else { decoded(answer) }
}

/// Asks once more over the connection that is there, or over a new one.
async fn asked(source: &Source, line: &mut Option<Line>, path: &str) -> Result<Answer, Failure> {
    let mut open = match line.take() {
        Some(open) => open,
        None => source.line().await?,
    };
    let failed = |why: &str| unreachable("controller", why, "`rollcall check` says what is wrong");
    let answer = timeout(source.timeout(), open.ask(GET, path)).await;
    let answer =
        answer.map_err(|_| failed("no answer in time"))?.map_err(|error| failed(&error.to_string()))?;
    *line = Some(open);
    Ok(answer)
}

// === impl Turn ===

impl Turn<'_> {
    fn line(&self, paint: Paint) -> String {
        let (sign, tone, instance, state) = match self {
            Self::Came(instance) => {
                ('+', Tone::Good, instance, format!("{} {}", instance.state, instance.reason))
            }
            Self::Changed { from, to } => {
                let tone = if to.state == "Serving" { Tone::Good } else { Tone::Doubtful };
                ('~', tone, to, format!("{from} -> {} {}", to.state, to.reason))
            }
            Self::Went(instance) => ('-', Tone::Bad, instance, "removed".to_owned()),
        };
        let of = [instance.pod.as_deref(), instance.version.as_deref()];
        let of: Vec<_> = of.into_iter().flatten().collect();
        let text = format!("{sign} {} {state} {}", instance.socket(), of.join(" "));
        format!("{}\n", paint.on(tone, &plain(text.trim_end())))
    }
}

/// What became of the instances from one answer to the next, in the order of their ids.
fn turns<'a>(before: &'a ServiceAnswer, after: &'a ServiceAnswer) -> Vec<Turn<'a>> {
    let by_id = |answer: &'a ServiceAnswer| -> BTreeMap<&'a str, &'a Instance> {
        answer.instances.iter().map(|instance| (instance.id.as_str(), instance)).collect()
    };
    let (before, after) = (by_id(before), by_id(after));
    let mut turns = Vec::new();
    for (id, instance) in &before {
        if !after.contains_key(id) {
            turns.push(Turn::Went(instance));
        }
    }
    for (id, instance) in &after {
        match before.get(id) {
            None => turns.push(Turn::Came(instance)),
            Some(held) if held != instance => turns.push(Turn::Changed { from: &held.state, to: instance }),
            Some(_) => {}
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(instances: &[(u8, &str, &str)]) -> ServiceAnswer {
        let instances = instances.iter().map(|(number, state, reason)| {
            json!({"id": format!("u{number}"), "address": format!("10.0.0.{number}"), "port": 80, "state": state,
                   "reason": reason, "pod": format!("orders-{number}"), "version": "1.4.2"})
        });
        serde_json::from_value(json!({"instances": instances.collect::<Vec<_>>()})).unwrap()
    }

    #[test]
    fn each_change_is_a_line() {
        let before = answer(&[(1, "Serving", "Ready"), (2, "Serving", "Ready"), (3, "Serving", "Ready")]);
        let after =
            answer(&[(1, "Serving", "Ready"), (2, "Failing", "ProbeRefused"), (4, "Starting", "NotReady")]);
        let told: String = turns(&before, &after).iter().map(|turn| turn.line(Paint::new(false))).collect();
        assert_eq!(
            told,
            "- 10.0.0.3:80 removed orders-3 1.4.2\n\
             ~ 10.0.0.2:80 Serving -> Failing ProbeRefused orders-2 1.4.2\n\
             + 10.0.0.4:80 Starting NotReady orders-4 1.4.2\n"
        );
        assert_eq!(turns(&before, &before), []);
    }

    /// Whom nobody reads.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_ends_when_nobody_reads_it_any_more() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            watch: Watch,
        }
        let Line { watch } = clap::Parser::parse_from(["watch", "orders"]);
        let silent = Source::silent();
        let first = Answer { status: 200, body: br#"{"instances":[]}"#.to_vec() };
        let key = "orders.shop".parse().unwrap();
        let mut read = Vec::new();
        let failure = watch.follow(&silent, &key, "/", first.clone(), &mut read).await.unwrap_err();
        assert_eq!((failure.code(), read.as_slice()), (3, &b"orders.shop has no instance yet\n"[..]));
        assert!(watch.follow(&silent, &key, "/", first, &mut Gone).await.is_ok());
    }
}
