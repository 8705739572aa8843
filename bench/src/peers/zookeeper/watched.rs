//! What a watcher of a service knows: events tell it which nodes to read, and answers what is in them.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{bail, ensure};

use super::{
    payload::address,
    wire::{self, Event, Heard, NO_NODE, Request},
};

/// Holds what is known of a service, and what was asked for.
pub(super) struct Watched {
    /// Of the service's node.
    path: String,
    /// Addresses by the names of their nodes.
    known: BTreeMap<String, String>,
    /// In the order in which it is answered.
    asked: VecDeque<(i32, Asked)>,
    /// Of the first state, so many nodes are still to be read.
    missing: Option<usize>,
}

/// Says what was asked for.
#[derive(Debug)]
enum Asked {
    Watch,
    Children,
    /// What the node of this name holds; whether it is of the first state.
    Data {
        name: String,
        is_first: bool,
    },
}

/// Asks the server for something, and tells the number of the request.
pub(super) trait Ask: FnMut(Request<'_>) -> anyhow::Result<i32> {}

impl<F: FnMut(Request<'_>) -> anyhow::Result<i32>> Ask for F {}

// === impl Watched ===

impl Watched {
    pub(super) fn begin(path: String, mut ask: impl Ask) -> anyhow::Result<Self> {
        // What happens from now on is heard of before any newer state could be read.
        let asked =
            [(ask(Request::Watch(&path))?, Asked::Watch), (ask(Request::Children(&path))?, Asked::Children)];
        Ok(Self { path, known: BTreeMap::new(), asked: asked.into(), missing: None })
    }

    /// The addresses that there are, sorted as text.
    pub(super) fn addresses(&self) -> Vec<String> {
        let mut all: Vec<_> = self.known.values().cloned().collect();
        all.sort();
        all
    }

    /// Takes in a frame, and says whether there is a new state.
    pub(super) fn take(&mut self, frame: &[u8], ask: impl Ask) -> anyhow::Result<bool> {
        match Heard::read(frame)? {
            Heard::Pong => Ok(false),
            Heard::Event { what, path } => {
                let name = path.strip_prefix(&self.path).and_then(|rest| rest.strip_prefix('/'));
                match (what, name) {
                    (Event::Written, Some(name)) => {
                        let name = name.to_owned();
                        self.read(&[&name], false, ask)?;
                        Ok(false)
                    }
                    (Event::Deleted, Some(name)) => {
                        Ok(self.known.remove(name).is_some() && self.is_complete())
                    }
                    // The service's own node, or the session's state.
                    _ => Ok(false),
                }
            }
            Heard::Reply { number, error, body } => {
                let Some((expected, asked)) = self.asked.pop_front() else {
                    bail!("an answer that nobody waits for")
                };
                ensure!(number == expected, "an answer to request {number}, and not {expected}");
                match error {
                    0 => self.learn(asked, body, ask),
                    NO_NODE => self.learn_of_nothing(&asked),
                    error => bail!("error {error}"),
                }
            }
        }
    }

    fn learn(&mut self, asked: Asked, body: &[u8], ask: impl Ask) -> anyhow::Result<bool> {
        match asked {
            Asked::Watch => Ok(false),
            Asked::Children => {
                let names = wire::children(body)?;
                self.missing = Some(names.len());
                self.read(&names, true, ask)?;
                Ok(names.is_empty())
            }
            Asked::Data { name, is_first } => {
                match address(wire::data(body)?)? {
                    Some(address) => self.known.insert(name, address),
                    None => self.known.remove(&name),
                };
                self.have_read(is_first);
                Ok(self.is_complete())
            }
        }
    }

    /// What was asked for is not there, or not any more.
    fn learn_of_nothing(&mut self, asked: &Asked) -> anyhow::Result<bool> {
        match *asked {
            Asked::Watch => bail!("a watch that is refused"),
            Asked::Children => {
                self.missing = Some(0);
                Ok(true)
            }
            Asked::Data { is_first, .. } => {
                self.have_read(is_first);
                Ok(is_first && self.is_complete())
            }
        }
    }

    fn read(&mut self, names: &[&str], is_first: bool, mut ask: impl Ask) -> anyhow::Result<()> {
        for name in names {
            let number = ask(Request::Data(&format!("{}/{name}", self.path)))?;
            self.asked.push_back((number, Asked::Data { name: (*name).to_owned(), is_first }));
        }
        Ok(())
    }

    fn have_read(&mut self, is_first: bool) {
        if let (true, Some(missing)) = (is_first, self.missing) {
            self.missing = Some(missing.saturating_sub(1));
        }
    }

    fn is_complete(&self) -> bool {
        self.missing == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload::payload;
    use super::*;

    /// Plays the server: counts what is asked of it, and says what the test says.
    struct Server {
        watched: Watched,
        asked: Vec<String>,
    }

    impl Server {
        fn new() -> Self {
            let mut asked = Vec::new();
            let watched = Watched::begin("/services/a".to_owned(), |request| {
                asked.push(format!("{request:?}"));
                Ok(i32::try_from(asked.len())?)
            });
            Self { watched: watched.unwrap(), asked }
        }

        fn says(&mut self, frame: &[u8]) -> anyhow::Result<Option<Vec<String>>> {
            let asked = &mut self.asked;
            let is_new = self.watched.take(frame, |request: Request<'_>| {
                asked.push(format!("{request:?}"));
                Ok(i32::try_from(asked.len())?)
            })?;
            Ok(is_new.then(|| self.watched.addresses()))
        }

        fn begun(names: &[&str]) -> Self {
            let mut server = Self::new();
            assert_eq!(server.says(&reply(1, 0, &[])).unwrap(), None);
            let count = i32::try_from(names.len()).unwrap();
            let mut list = count.to_be_bytes().to_vec();
            names.iter().for_each(|name| list.extend(text(name.as_bytes())));
            let state = server.says(&reply(2, 0, &list)).unwrap();
            assert_eq!(state.is_some(), names.is_empty());
            server
        }
    }

    fn text(bytes: &[u8]) -> Vec<u8> {
        [&i32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
    }

    fn reply(number: i32, error: i32, body: &[u8]) -> Vec<u8> {
        [&number.to_be_bytes()[..], &[0; 8], &error.to_be_bytes(), body].concat()
    }

    fn holds(number: i32, address: &str) -> Vec<u8> {
        reply(number, 0, &text(payload("a", address).as_bytes()))
    }

    fn event(what: i32, name: &str) -> Vec<u8> {
        let path = text(format!("/services/a{name}").as_bytes());
        reply(-1, 0, &[&what.to_be_bytes()[..], &3_i32.to_be_bytes(), &path].concat())
    }

    #[test]
    fn the_first_state_is_told_once_all_of_it_is_read() {
        let mut server = Server::begun(&["x", "y"]);
        assert_eq!(server.asked.len(), 4);
        assert!(server.asked[2].contains("/services/a/x"));
        assert_eq!(server.says(&holds(3, "10.0.0.2")).unwrap(), None);
        let state = server.says(&holds(4, "10.0.0.1")).unwrap().unwrap();
        assert_eq!(state, ["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn who_goes_before_he_is_read_is_not_waited_for() {
        let mut server = Server::begun(&["x", "y"]);
        assert_eq!(server.says(&holds(3, "10.0.0.2")).unwrap(), None);
        assert_eq!(server.says(&event(2, "/y")).unwrap(), None);
        assert_eq!(server.says(&reply(4, NO_NODE, &[])).unwrap().unwrap(), ["10.0.0.2"]);
    }

    #[test]
    fn who_comes_is_read_and_who_goes_is_forgotten() {
        let mut server = Server::begun(&[]);
        assert_eq!(server.says(&event(1, "/x")).unwrap(), None);
        assert_eq!(server.says(&event(1, "/y")).unwrap(), None);
        assert_eq!(server.says(&holds(3, "10.0.0.1")).unwrap().unwrap(), ["10.0.0.1"]);
        assert_eq!(server.says(&holds(4, "10.0.0.2")).unwrap().unwrap(), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(server.says(&event(2, "/x")).unwrap().unwrap(), ["10.0.0.2"]);
        assert_eq!(server.says(&event(2, "/x")).unwrap(), None, "told already");
        assert_eq!(server.says(&event(1, "")).unwrap(), None, "the service's own node");
        assert_eq!(server.asked.len(), 4);
    }

    #[test]
    fn a_service_that_is_not_there_has_nobody() {
        let mut server = Server::new();
        assert_eq!(server.says(&reply(1, 0, &[])).unwrap(), None);
        assert_eq!(server.says(&reply(2, NO_NODE, &[])).unwrap().unwrap(), [""; 0]);
    }

    #[test]
    fn an_answer_that_is_not_the_next_one_is_an_error() {
        for frame in [reply(2, 0, &[]), reply(1, -4, &[]), reply(1, NO_NODE, &[]), vec![0; 3]] {
            assert!(Server::new().says(&frame).is_err(), "{frame:?}");
        }
        let mut server = Server::begun(&[]);
        assert!(server.says(&reply(3, 0, &[])).is_err(), "nobody waits for it");
    }
}
