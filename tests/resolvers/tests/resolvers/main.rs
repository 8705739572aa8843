//! What resolvers make of a pod whose first nameserver is the sidecar: those of C libraries, of languages, and dig.
//!
//! How long they take is printed; `--nocapture` shows it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test's helpers are tests too"
)]

mod cluster_dns;
mod programs;
mod world;

use std::time::Duration;

use programs::Resolver;
use world::in_a_pod;

/// A name, and what is to be found.
type Wish = (&'static str, &'static [&'static str]);

const ORDERS: Wish = ("orders.rollcall", &["10.0.0.1", "10.0.0.2"]);
const OURS: [Wish; 4] = [
    ORDERS,
    ("orders.shop.rollcall", &["10.0.0.1", "10.0.0.2"]),
    ("1-4-2.orders.rollcall", &["10.0.0.1"]),
    ("nobody.rollcall", &[]),
];
const SERVICES: [Wish; 2] = [
    (
        "_http._tcp.orders.rollcall",
        &["8080:ip-10-0-0-1.orders.shop.rollcall", "8080:ip-10-0-0-2.orders.shop.rollcall"],
    ),
    ("_http._tcp.1-4-2.orders.rollcall", &["8080:ip-10-0-0-1.orders.shop.rollcall"]),
];
/// Through the search list's first domain, its second, and none; and one that is nowhere.
const THE_CLUSTERS: [Wish; 4] = [
    ("payments", &["10.96.1.1"]),
    ("web.other", &["10.96.1.2"]),
    ("www.example.com", &["192.0.2.80"]),
    ("nowhere.example.com", &[]),
];
/// One that nobody searches for.
const ABSOLUTE: Wish = ("www.example.com.", &["192.0.2.80"]);
/// What answers at once takes some milliseconds, or 20 for each name that the cluster's DNS is asked for. The limit is far
/// from that, and further from the 5 s that resolvers wait for a server.
const SOON: Duration = Duration::from_millis(2_500);

/// Asks for these names, each of which is found as it is wished, and within the time.
fn finds(resolver: Resolver, what: &str, wishes: &[Wish], within: Duration) {
    let names: Vec<_> = wishes.iter().map(|(name, _)| *name).collect();
    for ((name, wished), said) in wishes.iter().zip(resolver.ask(&names)) {
        println!("{what}: {resolver:?} {name}: {:?} after {:?}", said.found, said.took);
        assert!(said.found.iter().eq(wished.iter()), "{what}: {resolver:?} {name}: {:?}", said.found);
        assert!(said.took < within, "{what}: {resolver:?} {name}: {:?}", said.took);
    }
}

#[test]
fn every_resolver_finds_our_names_and_the_clusters() {
    for resolver in Resolver::ALL {
        // Each its own, so that each asks for what is not held yet.
        in_a_pod(|_world| {
            finds(resolver, "all is well", &[&OURS[..], &THE_CLUSTERS].concat(), SOON);
            if resolver.asks_for_services() {
                finds(resolver, "all is well", &SERVICES, SOON);
            }
        });
    }
}

#[test]
fn without_the_sidecar_the_clusters_names_are_found_as_before() {
    in_a_pod(|mut world| {
        finds(Resolver::Glibc, "before", &[ORDERS], SOON);
        world.kill_the_sidecar();
        for resolver in Resolver::ALL {
            if resolver.hears_that_nobody_listens() {
                finds(resolver, "without the sidecar", &THE_CLUSTERS, SOON);
                finds(resolver, "without the sidecar", &[(ORDERS.0, &[])], SOON);
            } else {
                // It waits for the sidecar with each name of the search list, and has time for two.
                let [(name, found), ..] = THE_CLUSTERS;
                finds(resolver, "without the sidecar", &[(name, found), ABSOLUTE], SOON);
            }
        }
    });
}

#[test]
fn without_the_clusters_dns_our_names_are_found() {
    in_a_pod(|world| {
        world.cluster_dns.silence(true);
        // Who asks first finds out that nobody answers.
        finds(Resolver::Glibc, "the first without the cluster's DNS", &[ORDERS], 2 * SOON);
        for resolver in Resolver::ALL {
            finds(resolver, "without the cluster's DNS", &OURS, SOON);
            if resolver.asks_for_services() {
                finds(resolver, "without the cluster's DNS", &SERVICES, SOON);
            }
        }
        world.cluster_dns.silence(false);
        finds(Resolver::Glibc, "it is back", &THE_CLUSTERS, SOON);
    });
}
