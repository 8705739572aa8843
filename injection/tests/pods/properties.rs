//! What holds of every pod, whatever its maker wrote.

use proptest::prelude::*;
use rollcall_injection::{Decision, Injected, Install, apply, inject};
use serde_json::{Map, Value, json};

use crate::support::{dns, injected, settings, sidecar, way};

/// Kubernetes' classes of service.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Class {
    Guaranteed,
    Burstable,
    BestEffort,
}

/// Amounts of this test, and what they are in thousandths: several spellings of each.
const AMOUNTS: [(&str, u64); 9] = [
    ("0", 0),
    ("1", 1_000),
    ("1000m", 1_000),
    ("0.5", 500),
    ("500m", 500),
    ("1Gi", 1 << 30),
    ("1024Mi", 1 << 30),
    ("2Gi", 2 << 30),
    ("64Mi", 64 << 20),
];
const OURS: [&str; 2] = ["rollcall-sidecar", "rollcall-requires"];

/// An amount as an integer that compares; of ours too, which are written otherwise.
fn thousandths(amount: &str) -> u64 {
    let known = AMOUNTS.iter().chain(&[("5m", 5), ("50m", 50), ("16Mi", 16 << 20), ("48Mi", 48 << 20)]);
    known.into_iter().find(|(text, _)| *text == amount).unwrap().1
}

/// The pod as the API server defaults it: a request that is missing is the limit.
fn amounts(resources: &Value, part: &str) -> Vec<(String, u64)> {
    let said = |part: &str| resources[part].as_object().cloned().unwrap_or_default();
    let mut all = said(part);
    if part == "requests" {
        for (name, limit) in said("limits") {
            all.entry(name).or_insert(limit);
        }
    }
    let all = all.into_iter().map(|(name, amount)| (name, thousandths(amount.as_str().unwrap())));
    all.filter(|(_, amount)| *amount > 0).collect()
}

/// As Kubernetes has it: `ComputePodQOS`.
fn class(pod: &Value) -> Class {
    let spec = &pod["spec"];
    let lists = [&spec["containers"], &spec["initContainers"]];
    let mut all: Vec<&Value> =
        lists.iter().filter_map(|list| list.as_array()).flatten().map(|c| &c["resources"]).collect();
    if ["requests", "limits"]
        .iter()
        .any(|part| spec["resources"][part].as_object().is_some_and(|part| !part.is_empty()))
    {
        all = vec![&spec["resources"]];
    }
    let (mut requests, mut limits) = (Map::new(), Map::new());
    let mut guaranteed = true;
    for resources in all {
        for (sums, part) in [(&mut requests, "requests"), (&mut limits, "limits")] {
            for (name, amount) in amounts(resources, part) {
                let sum = sums.get(&name).and_then(Value::as_u64).unwrap_or_default();
                sums.insert(name, (sum + amount).into());
            }
        }
        guaranteed &= amounts(resources, "limits").len() == 2;
    }
    match (requests.is_empty() && limits.is_empty(), guaranteed && requests == limits) {
        (true, _) => Class::BestEffort,
        (false, true) => Class::Guaranteed,
        (false, false) => Class::Burstable,
    }
}

/// A value that a field may hold, or none.
fn maybe<S: Strategy<Value = Value>>(value: S) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![3 => value.prop_map(Some), 2 => Just(None), 1 => Just(Some(Value::Null))]
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(values).prop_map(Value::from)
}

fn list(entries: impl Strategy<Value = Value>, at_most: usize) -> impl Strategy<Value = Value> {
    prop::collection::vec(entries, 0..=at_most).prop_map(Value::from)
}

fn object<const N: usize>(
    fields: [(&'static str, BoxedStrategy<Option<Value>>); N],
) -> impl Strategy<Value = Value> {
    let fields: Vec<_> =
        fields.into_iter().map(|(name, value)| value.prop_map(move |value| (name, value))).collect();
    fields.prop_map(|fields| {
        let some = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(some.collect())
    })
}

/// Often limits with the same requests, so that all classes are drawn.
fn resources() -> impl Strategy<Value = Value> {
    let cpu = prop::sample::select(&AMOUNTS[..5]);
    let memory = prop::sample::select(&AMOUNTS[5..]);
    (prop::option::weighted(0.8, cpu.clone()), prop::option::weighted(0.8, memory.clone()), cpu, memory, 0..5)
        .prop_map(|(cpu, memory, other_cpu, other_memory, kind)| {
            let both = |cpu: Option<(&str, u64)>, memory: Option<(&str, u64)>| {
                let cpu = cpu.map(|(text, _)| ("cpu".to_owned(), json!(text)));
                let memory = memory.map(|(text, _)| ("memory".to_owned(), json!(text)));
                Value::Object(cpu.into_iter().chain(memory).collect())
            };
            // Kubernetes refuses a request above its limit.
            let least = |one: (&'static str, u64), limit: Option<(&'static str, u64)>| match limit {
                Some(limit) if limit.1 < one.1 => limit,
                _ => one,
            };
            let (asked_cpu, asked_memory) = (least(other_cpu, cpu), least(other_memory, memory));
            match kind {
                0 | 1 => json!({"limits": both(cpu, memory)}),
                2 => json!({"limits": both(cpu, memory), "requests": both(cpu, memory)}),
                3 => json!({"limits": both(cpu, memory), "requests": both(Some(asked_cpu), Some(asked_memory))}),
                _ => json!({}),
            }
        })
}

fn container() -> impl Strategy<Value = Value> {
    let name = prop_oneof![8 => "[a-z]{1,3}".prop_map(Value::from), 1 => one_of(&OURS)];
    let variable = (one_of(&["ROLLCALL_URL", "A"]), "[a-z]{0,2}")
        .prop_map(|(name, value)| json!({"name": name, "value": value}));
    let port = (one_of(&["rollcall", "http"]), 1..9_u16)
        .prop_map(|(name, port)| json!({"name": name, "containerPort": port}));
    let lifecycle = object([("preStop", maybe(Just(json!({"sleep": {"seconds": 1}}))).boxed())]);
    object([
        ("name", name.prop_map(Some).boxed()),
        ("image", one_of(&["orders", "evil", "registry.example/sidecar:1"]).prop_map(Some).boxed()),
        ("securityContext", maybe(Just(json!({"privileged": true}))).boxed()),
        ("env", maybe(list(variable, 2)).boxed()),
        ("ports", maybe(list(port, 2)).boxed()),
        ("lifecycle", maybe(lifecycle).boxed()),
        ("resources", maybe(resources()).boxed()),
    ])
}

fn pod() -> impl Strategy<Value = Value> {
    let annotations = object([
        ("rollcall.dev/inject", maybe_text(&["true", "yes"])),
        ("rollcall.dev/status", maybe_text(&["injected", ""])),
        ("rollcall.dev/service", maybe_text(&["orders", "Orders", " "])),
        ("rollcall.dev/requires", maybe_text(&["orders>=2,billing", "orders>=0", ""])),
        ("rollcall.dev/prestop", maybe_text(&["false", "true", "x"])),
        ("rollcall.dev/dns", maybe_text(&["resolver", "x"])),
        ("strange/~name", maybe_text(&["x"])),
    ]);
    let metadata = object([
        ("annotations", maybe(annotations).boxed()),
        ("labels", maybe(Just(json!({"app": "orders"}))).boxed()),
        ("creationTimestamp", maybe(Just(Value::Null)).boxed()),
    ]);
    let sysctl = one_of(&["0", "53", "54", "x"])
        .prop_map(|value| json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": value}));
    let security =
        object([("sysctls", maybe(list(sysctl, 1)).boxed()), ("fsGroup", maybe(Just(json!(7))).boxed())]);
    let config = object([
        ("nameservers", maybe(list(one_of(&["127.0.0.1", "10.96.0.10", "10.0.0.1"]), 3)).boxed()),
        ("searches", maybe(list(one_of(&["cluster.local", "corp.example", "x"]), 3)).boxed()),
        (
            "options",
            maybe(list(one_of(&["ndots", "edns0"]).prop_map(|name| json!({"name": name})), 2)).boxed(),
        ),
    ]);
    let volume = one_of(&["rollcall-token", "rollcall-state", "data"])
        .prop_map(|name| json!({"name": name, "hostPath": {"path": "/"}}));
    let app = json!({"name": "app", "image": "orders"});
    let containers = prop::collection::vec(container(), 0..3).prop_map(move |mut containers| {
        if containers.iter().all(|container| OURS.iter().any(|ours| container["name"] == *ours)) {
            containers.push(app.clone());
        }
        Value::from(containers)
    });
    let spec = object([
        ("containers", containers.prop_map(Some).boxed()),
        ("initContainers", maybe(list(container(), 3)).boxed()),
        ("volumes", maybe(list(volume, 3)).boxed()),
        ("resources", prop::option::weighted(0.2, resources()).boxed()),
        ("terminationGracePeriodSeconds", maybe((0..99_i64).prop_map(Value::from)).boxed()),
        ("securityContext", maybe(security).boxed()),
        ("dnsPolicy", maybe_text(&["ClusterFirst", "None", "Default"])),
        ("dnsConfig", maybe(config).boxed()),
    ]);
    object([("metadata", maybe(metadata).boxed()), ("spec", spec.prop_map(Some).boxed())])
}

fn maybe_text(values: &'static [&'static str]) -> BoxedStrategy<Option<Value>> {
    prop::option::of(one_of(values)).boxed()
}

fn own(pod: &Value, list: &str) -> Vec<Value> {
    let containers = pod["spec"][list].as_array().cloned().unwrap_or_default();
    containers.into_iter().filter(|container| OURS.iter().all(|ours| container["name"] != *ours)).collect()
}

/// A container without what an injection may put into it, and without what says nothing.
fn bare(container: &Value) -> Value {
    let mut bare = container.as_object().unwrap().clone();
    if let Some(Value::Array(environment)) = bare.get_mut("env") {
        environment.retain(|variable| variable["name"] != "ROLLCALL_URL");
    }
    if let Some(Value::Object(lifecycle)) = bare.get_mut("lifecycle") {
        lifecycle.remove("preStop");
    }
    bare.retain(|_, value| !(value.is_null() || *value == json!([]) || *value == json!({})));
    bare.into()
}

/// Amounts that a LimitRange may have by default: requests below all limits of ours, limits above all that ours asks for.
fn defaults() -> impl Strategy<Value = Value> {
    let part = |cpu, memory| {
        let fields = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", memory)];
        object(fields.map(|(name, amounts)| (name, prop::option::of(one_of(amounts)).boxed())))
    };
    object([
        ("requests", part(&["1m", "5m"], &["1Mi", "16Mi"]).prop_map(Some).boxed()),
        ("limits", part(&["1", "2"], &["128Mi", "1Gi"]).prop_map(Some).boxed()),
    ])
}

/// Fills in what our containers have not, as Kubernetes' LimitRanger does. True where the sidecar's memory was without limit.
fn fill(pod: &mut Value, defaults: &Value) -> bool {
    let before = sidecar(pod)["resources"]["limits"]["memory"].is_string();
    for container in pod["spec"]["initContainers"].as_array_mut().unwrap() {
        if OURS.iter().any(|ours| container["name"] == *ours) {
            for (part, amounts) in defaults.as_object().unwrap() {
                for (name, amount) in amounts.as_object().unwrap() {
                    let place = &mut container["resources"][part][name];
                    if place.is_null() {
                        *place = amount.clone();
                    }
                }
            }
        }
    }
    !before && sidecar(pod)["resources"]["limits"]["memory"].is_string()
}

proptest! {
    #[test]
    fn what_a_limit_range_fills_in_stays(pod in pod(), defaults in defaults()) {
        let (mut filled, _) = injected(&pod);
        let newly_limited = fill(&mut filled, &defaults);
        let (again, _) = injected(&filled);
        // A sidecar that had no limit is told the one that it has now.
        if newly_limited {
            let mut untold = again.clone();
            let environment = untold["spec"]["initContainers"][0]["env"].as_array_mut().unwrap();
            environment.retain(|variable| variable["name"] != "ROLLCALL_MEMORY_MAX_MIB");
            prop_assert_eq!(untold, filled);
            prop_assert_eq!(injected(&again).0, again);
        } else {
            prop_assert_eq!(again, filled);
        }
    }

    #[test]
    fn twice_is_once(pod in pod()) {
        let (once, _) = injected(&pod);
        let (settings, way, dns) = (settings(), way(), dns());
        let install = Install { settings: &settings, way: &way, dns: Some(&dns) };
        let again = inject(&once, "shop", &install);
        prop_assert!(matches!(&again, Ok(Decision::Injected(Injected { additions, .. })) if additions.is_empty()), "{again:?}");
    }

    #[test]
    fn only_additions_that_the_api_server_can_make(pod in pod()) {
        let (settings, way, dns) = (settings(), way(), dns());
        let install = Install { settings: &settings, way: &way, dns: Some(&dns) };
        let Ok(Decision::Injected(Injected { additions, .. })) = inject(&pod, "shop", &install) else { panic!("{pod}") };
        let mut made = pod.clone();
        for addition in &additions {
            let (parent, _) = addition.path.rsplit_once('/').unwrap();
            let found = made.pointer(parent);
            prop_assert!(found.is_some_and(|found| found.is_object() || found.is_array()), "{addition:?}");
            apply(&mut made, std::slice::from_ref(addition)).unwrap();
        }
        for list in ["containers", "initContainers", "volumes"] {
            let entries = made["spec"][list].as_array().unwrap();
            prop_assert!(!entries.is_empty());
        }
        prop_assert_eq!(&made["spec"]["initContainers"][0]["name"], "rollcall-sidecar");
    }

    #[test]
    fn a_pod_keeps_its_class(pod in pod()) {
        let mut before = pod;
        // Ours are replaced, and were never of the class.
        for list in ["containers", "initContainers"] {
            before["spec"][list] = own(&before, list).into();
        }
        let expected = match class(&before) {
            // Whoever asks for something is Burstable, and the sidecar does.
            Class::BestEffort if says_nothing(&before) => Class::Burstable,
            class => class,
        };
        prop_assert_eq!(class(&injected(&before).0), expected);
    }

    #[test]
    fn an_app_stays_as_it_was(pod in pod()) {
        let (made, _) = injected(&pod);
        for list in ["containers", "initContainers"] {
            let (before, after) = (own(&pod, list), own(&made, list));
            prop_assert_eq!(before.len(), after.len());
            for (before, after) in before.iter().zip(&after) {
                prop_assert_eq!(bare(before), bare(after));
                for own in before["env"].as_array().into_iter().flatten() {
                    prop_assert!(after["env"].as_array().unwrap().contains(own));
                }
                if !before["lifecycle"]["preStop"].is_null() || list == "initContainers" {
                    prop_assert_eq!(&before["lifecycle"]["preStop"], &after["lifecycle"]["preStop"]);
                }
            }
        }
    }

    #[test]
    fn a_pod_chooses_neither_our_image_nor_our_rights(pod in pod()) {
        let (made, _) = injected(&pod);
        let (plain, _) = injected(&json!({
            "metadata": {"annotations": {"rollcall.dev/requires": "orders"}},
            "spec": {"containers": [{"name": "app"}]},
        }));
        let begin = made["spec"]["initContainers"].as_array().unwrap();
        for ours in begin.iter().filter(|container| OURS.iter().any(|ours| container["name"] == *ours)) {
            let same = plain["spec"]["initContainers"].as_array().unwrap().iter().find(|c| c["name"] == ours["name"]).unwrap();
            for field in ["image", "imagePullPolicy", "securityContext", "volumeMounts", "restartPolicy", "command"] {
                prop_assert_eq!(&ours[field], &same[field]);
            }
        }
        let volumes = made["spec"]["volumes"].as_array().unwrap();
        for ours in plain["spec"]["volumes"].as_array().unwrap() {
            prop_assert_eq!(volumes.iter().filter(|volume| volume["name"] == ours["name"]).collect::<Vec<_>>(), [ours]);
        }
        let beside = made["spec"]["containers"].as_array().unwrap();
        prop_assert!(beside.iter().all(|container| OURS.iter().all(|ours| container["name"] != *ours)));
    }
}

/// Whether the pod as a whole has no resources: else those decide its class, and ours do not count.
fn says_nothing(pod: &Value) -> bool {
    let whole = &pod["spec"]["resources"];
    ["requests", "limits"].iter().all(|part| whole[part].as_object().is_none_or(Map::is_empty))
}
