//! What apps had said to an earlier process, as objects of ours keep it.

use rollcall_catalogue::liveness::SessionWitness;
use rollcall_wire::{RegistrationKey, SelfRegistration};

use super::{pods::nothing_stays_behind, *};
use crate::status::app_name;

fn said(service: &str, port: u16, beside: bool) -> SelfRegistration {
    let said = serde_json::json!({"service": service, "ports": [{"port": port}], "beside": beside});
    serde_json::from_value(said).unwrap()
}

fn uid() -> PodUid {
    "u1".into()
}

fn name_of(said: &SelfRegistration) -> Arc<str> {
    app_name(&said.key(), &uid())
}

/// The object that keeps this for `p1`.
fn kept(said: &SelfRegistration) -> Change {
    let (name, word) = (name_of(said), Arc::new(said.judge(&namespace("shop")).unwrap()));
    let target = Target::Pod { name: "p1".into(), uid: uid() };
    let object = Object {
        managed: true,
        app: Some(AppWord { uid: uid(), word }),
        ..object(&name, said.service.as_str(), target)
    };
    Change::Registration(named(&name), Box::new(object))
}

fn gone(said: &SelfRegistration) -> Change {
    Change::Gone(Key::Registration(named(&name_of(said))))
}

fn with_sidecar() -> Change {
    let mut one = pod(1, "a", None);
    one.facts.has_sidecar = true;
    seen(one)
}

fn opens(bench: &mut Bench, incarnation: &str, registrations: &[SelfRegistration]) {
    let hello =
        Hello { incarnation: incarnation.to_owned(), sequence: 1, registrations: registrations.to_vec() };
    let opening = bench.index.open_session(&uid(), &hello, 2);
    assert!(matches!(opening, Some(Opening::Open(refused)) if refused.is_empty()));
}

fn sorted<const N: usize>(all: [&SelfRegistration; N]) -> Vec<Arc<str>> {
    let names: BTreeSet<_> = all.into_iter().map(name_of).collect();
    names.into_iter().collect()
}

/// The names that are wanted, and those that are there to be deleted.
fn managed(bench: &Bench) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
    let managed = bench.index.managed();
    let wanted = managed.wanted.keys().map(|key| key.name.clone()).collect();
    let left = managed.present.iter().filter(|(key, _)| !managed.wanted.contains_key(*key));
    (wanted, left.map(|(key, _)| key.name.clone()).collect())
}

#[test]
fn an_app_that_was_not_heard_yet_is_what_it_said_before() {
    let (orders, beside) = (said("orders", 80, false), said("orders", 81, true));
    let orders_now = expect(&[("orders", &["p1:80 SessionNeverCame", "p1:81 SessionNeverCame"])]);
    let changes = [with_sidecar(), kept(&orders), kept(&beside)];
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1]] {
        let mut bench = Bench::new();
        assert_eq!(bench.apply(order.map(|number| changes[number].clone())), orders_now, "{order:?}");
        assert_eq!(managed(&bench), (vec![], vec![]), "nobody knows better");
        assert_eq!(bench.apply([gone(&beside)]), expect(&[("orders", &["p1:80 SessionNeverCame"])]));
        assert_eq!(bench.apply([gone(&orders)]), expect(&[]), "whoever deletes it takes it back");
        bench.apply([gone_pod(1)]);
        nothing_stays_behind(&bench);
    }
}

#[test]
fn it_is_there_with_the_first_lists_whichever_comes_first() {
    let mut index = Index::default();
    for kind in Kind::ALL {
        index.apply(Change::ListBegins(kind));
        match kind {
            Kind::Pod => drop(index.apply(with_sidecar())),
            Kind::Registration => drop(index.apply(kept(&said("orders", 80, false)))),
            _ => {}
        }
        index.apply(Change::ListEnds(kind));
    }
    let published = index.advance(1).unwrap().snapshot;
    assert_eq!(services(&published), expect(&[("orders", &["p1:80 SessionNeverCame"])]));
}

#[test]
fn its_sidecar_goes_on_from_there() {
    let (orders, billing, beside) =
        (said("orders", 80, false), said("billing", 90, false), said("orders", 81, true));
    let mut bench = Bench::new();
    bench.apply([with_sidecar(), kept(&orders), kept(&billing), kept(&beside)]);
    // One that was restarted knows of nothing, and has nothing against it.
    opens(&mut bench, "i", &[]);
    let all = expect(&[("billing", &["p1:90 Ready"]), ("orders", &["p1:80 Ready", "p1:81 Ready"])]);
    assert_eq!(bench.publish(), all);
    let duties = bench.index.duties(&uid());
    assert_eq!(
        duties.iter().map(|duty| (duty.port, duty.declared)).collect::<Vec<_>>(),
        [(90, false), (80, false), (81, false)]
    );
    assert_eq!(managed(&bench), (sorted([&billing, &orders, &beside]), vec![]));
    // The object says what is said, and changes nothing of it.
    bench.apply([gone(&billing)]);
    assert_eq!(bench.publish(), all, "the app itself stands for it from now on");
    bench.index.app_deregisters(&uid(), &orders.key());
    let now = expect(&[("billing", &["p1:90 Ready"]), ("orders", &["p1:81 Ready"])]);
    assert_eq!(bench.publish(), now);
    assert_eq!(managed(&bench), (sorted([&billing, &beside]), vec![name_of(&orders)]));
    let present = bench.index.managed().present;
    assert!(present[&named(&name_of(&orders))].at_once, "taken back");
    // Nor has another one, until it has named it itself.
    opens(&mut bench, "j", std::slice::from_ref(&billing));
    assert_eq!(bench.publish(), now);
    opens(&mut bench, "j", &[billing.clone(), beside.clone()]);
    opens(&mut bench, "j", std::slice::from_ref(&billing));
    assert_eq!(bench.publish(), expect(&[("billing", &["p1:90 Ready"])]));
    // Its session's end is no news of the app.
    bench.index.session_ended(&uid(), 9, true, 9);
    bench.publish();
    assert_eq!(managed(&bench).0, [name_of(&billing)]);
    // Kubernetes deletes what belongs to a pod that goes.
    let mut ending = pod(1, "a", None);
    ending.facts.life.deleting = true;
    bench.apply([seen(ending)]);
    assert_eq!(managed(&bench), (vec![], vec![]));
    bench.apply([gone_pod(1)]);
    assert_eq!(managed(&bench).1.len(), 2, "and if it does not, we do");
    assert!(bench.index.managed().present.values().all(|present| !present.at_once));
    bench.apply([gone(&orders), gone(&beside)]);
    nothing_stays_behind(&bench);
}

/// The same object, as somebody writes it who may write in this namespace alone.
fn forged(said: &SelfRegistration, namespace: &str) -> Change {
    let Change::Registration(key, mut object) = kept(said) else { unreachable!() };
    let namespace: Namespace = namespace.parse().unwrap();
    let word = Arc::new(said.judge(&namespace).unwrap());
    (object.registration, object.app) = (Ok(word.clone()), Some(AppWord { uid: uid(), word }));
    Change::Registration(ObjectKey { namespace, name: key.name }, object)
}

#[test]
fn another_namespace_has_no_say() {
    let orders = said("orders", 80, false);
    let many: Vec<_> = (1..=20).map(|port| forged(&said("a", port, true), "evil")).collect();
    let theirs = [forged(&orders, "evil"), forged(&said("orders", 81, true), "a-first")];
    let now = expect(&[("orders", &["p1:80 SessionNeverCame"])]);
    for first in [true, false] {
        let mut bench = Bench::new();
        bench.apply(theirs.iter().chain(&many).filter(|_| first).cloned());
        bench.apply([with_sidecar(), kept(&orders)]);
        bench.apply(theirs.iter().chain(&many).filter(|_| !first).cloned());
        assert_eq!(bench.publish(), now);
        let Change::Registration(key, _) = &theirs[0] else { unreachable!() };
        assert_eq!(
            bench.apply([Change::Gone(Key::Registration(key.clone()))]),
            now,
            "nor by what it deletes"
        );
        assert_eq!(managed(&bench).1.len(), 21, "they stand for nothing");
        assert!(bench.index.managed().present.values().all(|present| !present.at_once));
        bench.index.take_reports(100);
        opens(&mut bench, "i", &[]);
        assert_eq!(bench.publish(), expect(&[("orders", &["p1:80 Ready"])]));
        let told: Vec<_> = bench.index.take_reports(100).iter().map(|report| report.object.clone()).collect();
        assert_eq!(told, [named(&name_of(&orders))]);
        assert_eq!(managed(&bench).0, [name_of(&orders)]);
    }
}

#[test]
fn what_is_kept_says_what_was_said() {
    let mut bench = Bench::new();
    bench.apply([with_sidecar()]);
    opens(&mut bench, "i", &[]);
    bench.index.app_registers(&uid(), &said("orders", 80, true)).unwrap();
    let wanted = bench.index.managed().wanted;
    let word = Arc::new(said("orders", 80, true).judge(&namespace("shop")).unwrap());
    let origin = Origin::App { pod: "p1".into(), uid: uid(), word };
    let spec = ManagedSpec { service: key("orders.shop"), origin };
    assert_eq!(wanted, [(named(&name_of(&said("orders", 80, true))), spec)].into());
    // A person's object of that name is left alone.
    let target = Target::Pod { name: "p1".into(), uid: uid() };
    let name = name_of(&said("orders", 80, true));
    bench.apply([Change::Registration(named(&name), Box::new(object(&name, "orders", target)))]);
    assert_eq!(managed(&bench), (vec![], vec![]));
    let key = RegistrationKey { service: "orders".parse().unwrap(), port: Some(80) };
    bench.index.app_deregisters(&uid(), &key);
}

#[test]
fn an_object_for_an_app_tells_of_that_apps_address_alone() {
    let (orders, beside) = (said("orders", 80, false), said("orders", 81, true));
    let mut bench = Bench::new();
    bench.apply([with_sidecar(), seen(pod(2, "a", Some("orders"))), kept(&orders), kept(&beside)]);
    opens(&mut bench, "i", &[]);
    bench.publish();
    let told = |bench: &mut Bench| -> BTreeMap<Arc<str>, Vec<u16>> {
        let reports = bench.index.take_reports(10);
        let ports = |report: &Report| report.instances.iter().map(|one| one.profile.port).collect();
        reports.iter().map(|report| (report.object.name.clone(), ports(report))).collect()
    };
    assert_eq!(told(&mut bench), [(name_of(&orders), vec![80]), (name_of(&beside), vec![81])].into());
    bench.apply([gone_pod(2)]);
    assert_eq!(told(&mut bench), [].into(), "another pod is none of its business");
    bench.index.session_ended(&uid(), 9, true, 9);
    bench.publish();
    assert_eq!(told(&mut bench).len(), 2);
    assert_eq!(bench.index.explain(&key("orders.shop")).unwrap()[0].witnesses.session, SessionWitness::Lost);
}
