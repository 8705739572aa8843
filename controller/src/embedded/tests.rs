use std::fs;

use rollcall_catalogue::{ServiceKey, State};
use rollcall_net::shutdown;
use tokio::time::timeout;

use super::*;

/// A condition that does not come in this time does not come at all.
const ENOUGH: Duration = Duration::from_secs(60);

fn key(text: &str) -> ServiceKey {
    let (service, namespace) = text.split_once('.').unwrap();
    ServiceKey { namespace: namespace.parse().unwrap(), service: service.parse().unwrap() }
}

/// The desk and the prober of a machine, over an index of its own.
struct House {
    index: IndexHandle,
    shelf: watch::Receiver<Arc<Shelf>>,
    _trigger: rollcall_net::Trigger,
    _lease: watch::Sender<bool>,
}

impl House {
    async fn new(folder: PathBuf) -> Self {
        let metrics = Metrics::new();
        let (owner, index) = owner(Index::default().of_this_machine(), metrics);
        let (trigger, ear) = shutdown();
        let home: Namespace = "default".parse().unwrap();
        let (desk, shelf) = Desk::new(folder, home.clone());
        let (lease, holds_lease) = watch::channel(true);
        tokio::spawn(owner.run(ear.clone()));
        tokio::spawn(outside::run(index.clone(), holds_lease, Reach::Machine, ear));
        tokio::spawn(desk.run(index.clone()));
        list_what_is_not_here(&index, home).await.unwrap();
        Self { index, shelf, _trigger: trigger, _lease: lease }
    }

    /// Waits until the service's instances are in these states, in the order of their addresses.
    async fn until(&self, service: &str, states: &[State]) {
        let (key, mut view) = (key(service), self.index.view());
        let seen = |view: &Arc<View>| -> Option<Vec<(String, State)>> {
            let service = view.catalogue.get(&key)?;
            let mut all: Vec<_> =
                service.instances.iter().map(|one| (one.address().to_string(), one.state)).collect();
            all.sort();
            Some(all)
        };
        let is_so = |view: &Arc<View>| {
            let states_now =
                seen(view).map(|all| all.into_iter().map(|(_, state)| state).collect::<Vec<_>>());
            states_now.unwrap_or_default() == states
        };
        let waited = timeout(ENOUGH, view.wait_for(is_so)).await.map(|seen| drop(seen.unwrap()));
        assert!(waited.is_ok(), "{service}: {:?}", seen(&self.index.view().borrow()));
    }

    async fn until_shelf(&mut self, is_so: impl Fn(&Shelf) -> bool) {
        let waited =
            timeout(ENOUGH, self.shelf.wait_for(|shelf| is_so(shelf))).await.map(|seen| drop(seen.unwrap()));
        assert!(waited.is_ok(), "{:?}", self.shelf.borrow());
    }
}

fn manifest(name: &str, addresses: &[(&str, u16)]) -> String {
    let port = addresses[0].1;
    let listed: Vec<_> = addresses.iter().map(|(address, _)| format!("{{address: {address}}}")).collect();
    format!(
        "apiVersion: rollcall.dev/v1alpha1\nkind: ServiceRegistration\nmetadata: {{name: {name}}}\nspec:\n  target: {{addresses: [{}]}}\n  ports: [{{name: http, port: {port}}}]\n",
        listed.join(", ")
    )
}

#[tokio::test]
async fn a_file_registers_what_listens_on_loopback_and_no_more_when_it_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let app = rollcall_net::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = app.local_addr().unwrap().port();
    let at = |name: &str| place.path().join(name);
    fs::write(at("orders.yaml"), manifest("orders", &[("127.0.0.1", port), ("127.0.0.2", port)])).unwrap();
    let mut house = House::new(place.path().to_owned()).await;
    // Nobody listens at the second.
    house.until("orders.default", &[State::Serving, State::Failing]).await;
    house.until_shelf(|shelf| shelf.get("orders.yaml").is_some_and(|state| state.problems.is_empty())).await;

    // A bad one beside it, and a bad change of it, take nothing out.
    fs::write(at("billing.yaml"), manifest("billing", &[("169.254.169.254", 80)])).unwrap();
    fs::write(at("orders.yaml"), "kind: [").unwrap();
    house.until_shelf(|shelf| shelf.values().filter(|state| !state.problems.is_empty()).count() == 2).await;
    house.until("orders.default", &[State::Serving, State::Failing]).await;
    assert!(house.index.view().borrow().catalogue.get(&key("billing.default")).is_none());

    drop(app);
    house.until("orders.default", &[State::Failing, State::Failing]).await;
    fs::remove_file(at("orders.yaml")).unwrap();
    house.until("orders.default", &[]).await;
}

#[tokio::test]
async fn two_files_that_disagree_are_told() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::write(at("a.yaml"), manifest("orders", &[("127.0.0.1", 8080)])).unwrap();
    let other = manifest("again", &[("127.0.0.1", 8080)]);
    let other = other
        .replace("spec:\n", "spec:\n  service: orders\n")
        .replace("[{name: http, port: 8080}]", "[{name: web, port: 8080}, {name: http, port: 9090}]");
    fs::write(at("b.yaml"), other).unwrap();
    let mut house = House::new(place.path().to_owned()).await;
    house
        .until_shelf(|shelf| {
            shelf
                .values()
                .flat_map(|state| &state.problems)
                .any(|problem| problem.sentence.starts_with("PortConflict"))
        })
        .await;
}
