//! The table: where each command block of each page is run. Pages in the order of their paths, blocks in that of their page.

use crate::stage::{Row, Stage, row};
use Stage::{App, Cluster, Dev, Elsewhere};

/// Waits until `rollcall dev` takes calls.
pub const DEV_ANSWERS: &str = "eventually curl -o /dev/null 127.0.0.1:7300/readyz";
/// What was registered as `hello` was probed.
const HELLO_SERVES: &str = "eventually curl -o /dev/null 127.0.0.1:7300/v1/services/hello/pick";
/// Sidecars of pods that are just ready are heard a moment later.
const ALL_IS_WELL: &str = "eventually rollcall check >/dev/null";
/// Pods have names of their own where a page has one that is easily read: `$pod` is one of the orders.
const A_POD: &str = "pod=$(kubectl -n shop get pods -l app.kubernetes.io/name=orders --sort-by=.metadata.creationTimestamp -o name | tail -n 1)
pod=${pod#pod/}
eventually rollcall check >/dev/null";
/// As the page says in its words, and a test that it does.
const NEW_AUTHORITY: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 3650 -subj /CN=rollcall -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -keyout new.key -out new.crt";
const INJECTED: &str = "kubectl -n shop get deployment injected -o yaml | grep 'name: rollcall-sidecar'
kubectl -n shop rollout status deployment injected --timeout=60s";

const A_CLUSTER_OF_ITS_OWN: Stage =
    Elsewhere("it makes a cluster, as `cargo xtask test` has just done in the same words for this very test");
const KIND: Stage = Elsewhere(".github/workflows/kind.yml runs it, where there is Docker");
const ALL_TESTS: Stage = Elsewhere("it is what runs this test");
const THE_DEMO: Stage = Elsewhere(
    "it plays for four minutes on a cluster of its own; what it judges by has its tests in tests/demo",
);
const A_MEASUREMENT: Stage =
    Elsewhere("it measures for half an hour and more; `cargo xtask test` runs the essentials of it");
const THE_BENCHMARKS: Stage = Elsewhere(
    "they measure on an idle machine for hours, and write what is committed; tests of bench/ and xtask hold their parts",
);

/// All rows.
pub static TABLE: &[Row] = &[
    row("README.md", "cargo run --release -- dev", Dev).going_on(&["cargo run"]).after(DEV_ANSWERS),
    row("README.md", "curl -X PUT", Dev),
    row("README.md", "helm install", Cluster),
    row("README.md", "curl '127.0.0.1:7300/v1/services/orders", App)
        .going_on(&["curl -N"])
        .after("curl -X DELETE 127.0.0.1:7300/v1/self/cart"),
    row("README.md", "rollcall check", Cluster).before(ALL_IS_WELL),
    row("README.md", "cargo xtask cluster up", ALL_TESTS),
    row("charts/rollcall/README.md", "helm install", Cluster).words(&[("NAMESPACE", "shop")]),
    row("docs/benchmarks.md", "cargo xtask bench", THE_BENCHMARKS),
    // Taken by the API server, and not kept: what becomes of a new authority takes the controllers half a minute.
    row("docs/certificates.md", "kubectl -n rollcall-system patch secret", Cluster)
        .before(NEW_AUTHORITY)
        .words(&[("patch secret", "patch --dry-run=server secret")]),
    row("docs/cli.md", "rollcall check", Cluster)
        .before(A_POD)
        .words(&[("orders-1", "\"$pod\"")])
        .going_on(&["kubectl rollcall watch"])
        .after("rollcall drain \"$pod\" -n shop --stop"),
    row("docs/cluster-kit.md", "eval \"$(cargo xtask cluster up", A_CLUSTER_OF_ITS_OWN),
    row("docs/cluster-kit.md", "cargo xtask cluster down", A_CLUSTER_OF_ITS_OWN),
    row("docs/demo.md", "cargo xtask demo", THE_DEMO),
    row("docs/dns.md", "dig", App).words(&[("10.1.2.3", "$orders_address")]),
    row("docs/embedded.md", "cargo run --release -- dev", Dev).going_on(&["cargo run"]).after(DEV_ANSWERS),
    row("docs/embedded.md", "curl -X PUT", Dev),
    row("docs/embedded.md", "mkdir -p .rollcall", Dev),
    row("docs/embedded.md", "rollcall services --local", Dev),
    row("docs/failures.md", "cargo xtask bench faults", A_MEASUREMENT),
    row("docs/get-started.md", "cargo run --release -- dev", Dev).going_on(&["cargo run"]).after(DEV_ANSWERS),
    row("docs/get-started.md", "curl -X PUT", Dev),
    row("docs/get-started.md", "curl 127.0.0.1:7300/v1/services/hello/pick", Dev).before(HELLO_SERVES),
    row("docs/get-started.md", "dig @127.0.0.1 -p 7353 hello.rollcall", Dev),
    row("docs/get-started.md", "kind create cluster", KIND),
    row("docs/get-started.md", "helm install", Cluster),
    row("docs/get-started.md", "cargo build --release -p rollcall", Cluster).before(ALL_IS_WELL),
    row("docs/get-started.md", "kubectl -n shop patch deployment orders", Cluster),
    row("docs/get-started.md", "kubectl -n shop exec deploy/storefront", Cluster),
    row("docs/get-started.md", "kubectl delete -f examples/shop.yaml", Cluster),
    row("docs/injection.md", "kubectl -n rollcall-system get secret", Cluster)
        .before("cp tests/docs/manifests/orders.yaml .")
        .after(INJECTED),
    row("docs/injection.md", "kubectl -n shop create configmap", Cluster).after(INJECTED),
    row("docs/local-api.md", "curl 127.0.0.1:7300/", App).going_on(&["curl -N"]),
    row("docs/operations.md", "helm upgrade", Cluster),
    row("docs/read-api.md", "kubectl -n rollcall-system port-forward", Cluster).going_on(&["kubectl"]),
    row("docs/read-api.md", "curl -s localhost:7380/v1/catalogue", Cluster),
    row(
        "docs/release.md",
        "cargo xtask release",
        Elsewhere("a test of xtask makes the same twice and compares"),
    ),
    row("docs/upgrading.md", "cargo xtask bench upgrades", A_MEASUREMENT),
    row("tests/slice/README.md", "cargo xtask image", A_CLUSTER_OF_ITS_OWN),
    row(
        "tests/slice/README.md",
        "helm install",
        Elsewhere("tests/slice/tests/slice.rs does the same, step by step"),
    ),
];
