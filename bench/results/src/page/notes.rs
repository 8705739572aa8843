//! What a reader must know of a measurement's tables beside what their heads say.

/// None of those whose tables say it all.
pub(super) fn of(name: &str) -> Option<&'static str> {
    match name {
        "propagation" => Some(PROPAGATION),
        "memory" => Some(MEMORY),
        _ => None,
    }
}

const PROPAGATION: &str = "\
A delay begins with the call that registers an instance, or takes it back, and ends when a watcher has its next state with it, or \
without it. `p50` and `p99` are of all watchers, `last` is the last one of each change. `p50` and \
`p99` are of the changes of all rounds together, and so is `last p99`; `last p50` is the median of the rounds. What a watcher has \
not seen within 10 s (30 s or 100 s where it polls) counts with that time; who misses three changes of a case is not measured.

All watchers are one thread of the harness, which has a processor of its own, as a load has. ≤ marks where it was busy for 90 % \
of the time from each change until its last watcher knew, or more: then it is the harness that could hear no faster.

What we measure of ours is what a sidecar tells its controller in its session, and that one all others. An object of Kubernetes is \
written behind it, which nobody waits for here, and there is no API server: what that costs is in the section on registration.

Ours of class B are ten sidecars, at each of which a tenth of the apps watch: one of ten, ten of a hundred. There is no row of \
theirs for 1,000 watchers: more sidecars do not fit on this machine beside all others, and no pod has a hundred watches of one \
service.

`CPU µs a change` is what all processes compute that a change goes through, the changes of other services among them. With ours \
these are the controller's half, the sidecars of the pods that register, and in the sidecar's row those at which apps watch; the \
sessions of the other row end in the harness, as all other watchers do. An agent of Consul is counted together with its server. \
Where watchers poll, the answers to all polls are in it. Kubernetes' processes are not asked.

The changes of other services come from 25 pods, each of a service of its own that one watcher watches: `arrived a second` is what \
these were told of. Where it is less than nine tenths of what was asked for, or something failed, the case is not measured.

Kubernetes, where it was measured too, is three rows. In the first we write the slices, so that it is the API server alone. In the second we write that a pod \
is ready, or is not, as its kubelet does after a probe, and watch the slices that Kubernetes' controller makes of it; there are no \
rows beside more than 10 changes a second, since a kube-controller-manager writes 20 objects a second as it ships. In the third \
one the same pods are seen by asking the cluster's DNS for a headless Service every 50 ms: CoreDNS keeps an answer for 5 s.
";

const MEMORY: &str = "\
All are filled alike, with as many services of as many instances as the cases say. `nothing` is what is held when nobody has asked \
for more than the first service, `all` once each was looked up; at a sidecar each was so twice, since it keeps an answer for who \
asks again. Our controller's half is asked through its read API. What is a watcher of one service elsewhere is a session with it, \
which holds twenty.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::sections::SECTIONS;

    #[test]
    fn a_note_is_of_a_section_that_there_is_and_names_its_columns_as_they_are() {
        let noted: Vec<_> = SECTIONS.iter().filter(|section| of(section.name).is_some()).collect();
        assert_eq!(noted.iter().map(|section| section.name).collect::<Vec<_>>(), ["propagation", "memory"]);
        for value in ["cpu_us_per_change", "arrived_a_second"] {
            let title = crate::page::words::title(value);
            assert!(PROPAGATION.contains(&format!("`{title}`")), "{title}");
        }
    }
}
