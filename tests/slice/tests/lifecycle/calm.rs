//! Whether apps are left in peace: a pod looks a service up all the time, and no container is started again.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, ensure};
use rollcall_cluster::companion::Companion;
use rollcall_slice::{Cluster, eventually, text};

/// Holds a loop of lookups, which ends with it, and the pods of the beginning.
pub(crate) struct Calm {
    kubectl: Companion,
    seen: Arc<Mutex<Seen>>,
    /// By name: the UID, and how often containers were started again.
    pods: BTreeMap<String, (String, u64)>,
}

/// Counts what the lookups found.
#[derive(Default)]
struct Seen {
    good: usize,
    /// The first one of all that found less.
    bad: Option<String>,
}

// === impl Calm ===

impl Calm {
    /// From now on, this pod looks the service up and finds as many instances as now; returns once it has.
    pub(crate) fn begin(cluster: &Cluster, asker: &str, service: &str) -> Result<Self> {
        let expected = cluster.shop.lookup(asker, service)?.len();
        ensure!(expected > 0, "there is nothing to look up");
        let script = format!(
            r#"b=/bin/busybox
            while :; do
                said=$($b wget -qO- http://127.0.0.1:7300/v1/services/{service} 2>&1)
                [ $(echo "$said" | $b grep -o '"state":"Serving"' | $b wc -l) = {expected} ] && echo good || echo bad $said
                $b usleep 100000
            done"#
        );
        let args = ["exec", asker, "-c", "app", "--", "/bin/busybox", "sh", "-c", &script];
        let (kubectl, output) = cluster.shop.streaming(&args)?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let told = seen.clone();
        // Ends with kubectl.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut seen = told.lock().unwrap_or_else(PoisonError::into_inner);
                match line.as_str() {
                    "good" => seen.good += 1,
                    _ => drop(seen.bad.get_or_insert(line)),
                }
            }
        });
        let calm = Self { kubectl, seen, pods: pods(cluster)? };
        calm.holds(cluster)?;
        Ok(calm)
    }

    /// An error where a lookup has failed since the beginning, or a pod is not what it was then.
    pub(crate) fn holds(&self, cluster: &Cluster) -> Result<()> {
        let before = self.look(|seen| seen.good);
        eventually("lookups go on", || {
            ensure!(self.kubectl.ended().is_none(), "nobody looks up any more");
            Ok(self.look(|seen| seen.good > before || seen.bad.is_some()))
        })?;
        self.look(|seen| match &seen.bad {
            None => Ok(()),
            Some(bad) => Err(anyhow::anyhow!("after {} lookups: {bad}", seen.good)),
        })?;
        let now = pods(cluster)?;
        for (name, then) in &self.pods {
            let now = now.get(name).with_context(|| format!("{name} is gone"))?;
            ensure!(now == then, "{name} was {then:?} and is {now:?}");
        }
        Ok(())
    }

    fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn pods(cluster: &Cluster) -> Result<BTreeMap<String, (String, u64)>> {
    let pods = cluster.shop.pods(None)?;
    let known = |pod: &rollcall_slice::Pod| text(&pod.0["metadata"], "uid").to_owned();
    Ok(pods.iter().map(|pod| (pod.name().to_owned(), (known(pod), pod.restarts()))).collect())
}
