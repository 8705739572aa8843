//! The end of a story: all that differs from what somebody finds who has just begun.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use rollcall_apiserver::PodWish;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{SESSIONS, World, node_name, service_name};
use crate::{
    Millis,
    history::{Reader, Shown},
    host::Host,
    kubernetes::APPS,
    pod,
};

/// After everything is healed, all is as it should be by then: 9 s until a silence is noticed, 30 s of back-off twice, and
/// what a kernel waits before it sends again what was lost.
const HEALED_WITHIN_MS: Millis = 150_000;
/// Nothing is written any more by then: statuses are put off while much changes.
const QUIET_FOR_MS: Millis = 20_000;
/// What those need who have just begun: to hold the Lease of who was killed, and to hear everybody.
const BEGINS_WITHIN_MS: Millis = 60_000;
/// An answer that is older than this is none of now.
const RECENT_MS: Millis = 1_500;
const OBSERVER: &str = "observer";

type Answers = BTreeMap<(Reader, Arc<str>), Vec<Shown>>;

// === impl World ===

impl World {
    /// Everything that was broken on purpose is whole again.
    pub fn heal(&mut self) {
        self.note("everything is healed");
        self.net.heal_all();
        for number in 0..self.controllers.len() {
            self.controllers[number].faults.mend();
            self.wake_controller(number);
        }
        for node in 1..=self.size.nodes {
            if self.net.is_dark(&node_name(node)) {
                self.start_node(node);
            }
        }
        for name in self.pods_in_life() {
            self.app_is_well(&name);
        }
    }

    /// Heals everything, waits until it is as it should be, and judges the whole story.
    pub fn end(&mut self, story: &str) {
        self.heal();
        let calm = self.play_until(HEALED_WITHIN_MS, |world| world.late().is_empty());
        if calm {
            self.play(QUIET_FOR_MS);
            self.judge(story);
            self.compare_with_those_who_begin();
        } else {
            let late = self.late();
            self.failures.push(format!("{} ms: not as it should be: {late:?}", self.now_ms()));
        }
        self.judge(story);
    }

    /// Who does not show all that is well, or more than that.
    fn late(&self) -> Vec<String> {
        let mut expected: BTreeMap<Arc<str>, Vec<Shown>> = BTreeMap::new();
        for pod in self.pods.values().filter(|pod| pod.is_in_life()) {
            let shown = Shown { pod: pod.uid.clone(), address: pod.address };
            expected.entry(service_name(pod.service)).or_default().push(shown);
        }
        expected.values_mut().for_each(|shown| shown.sort());
        let is_right = |((_, service), shown): &(&(Reader, Arc<str>), &Vec<Shown>)| {
            expected.get(service).map_or(&[][..], Vec::as_slice) == *shown
        };
        let answers = self.answers();
        let wrong = answers.iter().filter(|answer| !is_right(answer));
        let mut late: Vec<_> =
            wrong.map(|((reader, service), shown)| format!("{reader} of {service}: {shown:?}")).collect();
        let due: usize =
            self.pods.values().filter(|pod| pod.is_in_life()).map(|pod| pod.looks_up().len()).sum();
        if answers.len() != due {
            late.push(format!("{} answers of {due}", answers.len()));
        }
        late
    }

    /// What everybody is told now.
    fn answers(&self) -> Answers {
        let now_ms = self.now_ms();
        let mut answers = Answers::new();
        for pod in self.pods.values().filter(|pod| pod.is_in_life()) {
            for service in pod.looks_up() {
                let last = self.journal.last(pod.reader(), service);
                if let Some(run) = last.filter(|run| run.until_ms + RECENT_MS >= now_ms) {
                    answers.insert((pod.reader().clone(), service.clone()), run.answer.shown().to_vec());
                }
            }
        }
        answers
    }

    /// What is written of services, but for the times.
    fn written(&self) -> BTreeMap<String, Value> {
        let objects = self.api(|api| api.objects("serviceregistrations")).into_iter();
        let said = objects.map(|mut object| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let mut status = object["status"].take();
            without_times(&mut status);
            (name, json!({"spec": object["spec"], "labels": object["metadata"]["labels"], "status": status}))
        });
        said.collect()
    }

    /// Controllers that all begin anew, and a sidecar that has just begun, find what all others were told and what was written.
    fn compare_with_those_who_begin(&mut self) {
        let (before, answers) = (self.written(), self.answers());
        self.note("all controllers begin anew");
        (0..self.controllers.len()).for_each(|number| self.kill_controller(number));
        self.play(BEGINS_WITHIN_MS);
        let services: Vec<_> = (0..self.size.services).map(service_name).collect();
        let mut observer = self.observer(&services);
        let until_ms = self.now_ms() + QUIET_FOR_MS;
        while self.now_ms() < until_ms {
            self.step();
            observer.run_until(self.now_ms());
        }
        for service in services {
            let told = self.journal.last(&OBSERVER.into(), &service);
            let told = told.map(|run| run.answer.shown().to_vec()).unwrap_or_default();
            for ((reader, _), shown) in
                answers.iter().filter(|((_, of), shown)| *of == service && **shown != told)
            {
                self.failures.push(format!(
                    "at the end {reader} is told {shown:?} of {service}, and who begins {told:?}"
                ));
            }
        }
        let after = self.written();
        for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let (was, is) = (before.get(name).map(Value::to_string), after.get(name).map(Value::to_string));
            if was != is {
                self.failures
                    .push(format!("at the end {name} was written as {was:?}, and who begins writes {is:?}"));
            }
        }
    }

    /// A sidecar of a pod of no service, that asks for all services.
    fn observer(&mut self, services: &[Arc<str>]) -> Host {
        let address = IpAddr::from([198, 18, 15, 1]);
        let wish = PodWish { node: node_name(1), sidecar: true, ..PodWish::default() };
        let token = self.kubernetes(|cluster| {
            cluster.ready_pod(APPS, OBSERVER, &address.to_string(), &wish);
            cluster.token(APPS, OBSERVER, "rollcall", 86_400)
        });
        self.net.place(address, &node_name(1));
        let folder = self.folder.path().join(OBSERVER);
        std::fs::create_dir_all(folder.join("state")).expect("a folder in our own");
        std::fs::write(folder.join("token"), token).expect("a file in our own folder");
        let setting = pod::Setting {
            reader: OBSERVER.into(),
            life: 1,
            endpoint: self.net.endpoint(address),
            controllers: SESSIONS.parse().expect("it is an address"),
            folder,
            authority: self.authority(),
            looks_up: services.to_vec(),
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            fails: watch::Sender::new(false).subscribe(),
        };
        self.chronicle.turn_of(OBSERVER);
        Host::start(self.now_ms(), pod::run(setting))
    }
}

/// When something became so is another matter for each who finds it.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !name.ends_with("Time"));
            fields.values_mut().for_each(without_times);
        }
        Value::Array(all) => all.iter_mut().for_each(without_times),
        _ => {}
    }
}
