//! Control groups of a cluster's machines, in whichever hierarchies this host has (v1, hybrid or v2).

use crate::Error;
use crate::process::ProcessId;
use crate::run::{Poll, wait_through};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The mounted hierarchies of this host.
pub(crate) struct Hierarchies {
    roots: Vec<PathBuf>,
}

impl Hierarchies {
    pub(crate) fn of_this_host() -> Result<Self, Error> {
        let mounts = Path::new("/proc/self/mounts");
        let text = fs::read_to_string(mounts).map_err(Error::file("read", mounts))?;
        let roots = roots_in(&text);
        if roots.is_empty() {
            return Err(Error::unmet(
                "no cgroup hierarchy is mounted",
                "mount one at /sys/fs/cgroup, or use `--provider existing`",
            ));
        }
        Ok(Self { roots })
    }

    /// The folders of a cgroup, one in each hierarchy.
    pub(crate) fn folders<'a>(&'a self, cgroup: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
        self.roots.iter().map(move |root| root.join(cgroup))
    }

    /// Makes a cgroup and its parents, ready to take processes.
    pub(crate) fn create(&self, cgroup: &Path) -> Result<(), Error> {
        for root in &self.roots {
            let mut folder = root.clone();
            for part in cgroup {
                delegate_controllers(&folder)?;
                let parent = folder.clone();
                folder.push(part);
                match fs::create_dir(&folder) {
                    Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                        return Err(Error::file("make the cgroup", &folder)(error));
                    }
                    _ => inherit_cpuset(&parent, &folder)?,
                }
            }
        }
        Ok(())
    }

    /// The processes of a cgroup and of all below it.
    pub(crate) fn processes(&self, cgroup: &Path) -> BTreeSet<i32> {
        self.folders(cgroup).flat_map(|folder| processes_in(&folder)).collect()
    }

    /// The processes of the cgroups of this name, wherever below a cgroup they are.
    pub(crate) fn processes_below(&self, cgroup: &Path, name: &str) -> BTreeSet<i32> {
        let all = self.folders(cgroup).flat_map(|folder| tree(&folder));
        let named = all.filter(|folder| folder.file_name().is_some_and(|own| own == name));
        named.flat_map(|folder| processes_in(&folder)).collect()
    }

    pub(crate) fn exists(&self, cgroup: &Path) -> bool {
        self.folders(cgroup).any(|folder| folder.exists())
    }

    /// Ends every process of a cgroup, then removes the cgroup: the dead node of a cluster leaves nothing behind.
    pub(crate) fn end(&self, cgroup: &Path) -> Result<(), Error> {
        /// The kernel needs milliseconds; a process stuck in the disk may need seconds.
        const LIMIT: Duration = Duration::from_secs(20);
        const EVERY: Duration = Duration::from_millis(10);
        /// Some hosts' PID 1 looks after its dead every other second only.
        const BURIAL_LIMIT: Duration = Duration::from_secs(4);
        let started = Instant::now();
        let mut met = BTreeSet::new();
        wait_through(
            &format!("the end of all processes in {}", cgroup.display()),
            LIMIT,
            EVERY,
            Path::new("/proc"),
            || {
                let left = self.processes(cgroup);
                met.extend(left.iter().filter_map(|pid| ProcessId::of(pid.unsigned_abs())));
                for pid in &left {
                    match kill(Pid::from_raw(*pid), Signal::SIGKILL) {
                        Ok(()) | Err(Errno::ESRCH) => {}
                        Err(errno) => {
                            return Err(Error::unmet(
                                format!("process {pid} of the cluster cannot be ended ({errno})"),
                                "run the command as root",
                            ));
                        }
                    }
                }
                // Leaves first; a cgroup stays busy for some milliseconds after its last process has gone.
                for folder in self.folders(cgroup).flat_map(|folder| tree(&folder)) {
                    let _ = fs::remove_dir(folder);
                }
                // A dying process leaves its cgroup before the process table; its mounts and links stay until then. The
                // dead are waited for as well, but not for ever: there are hosts on which nobody buries them.
                let patient = started.elapsed() < BURIAL_LIMIT;
                met.retain(|process| process.is_alive() && (patient || !process.is_unburied()));
                let gone = met.is_empty() && !self.exists(cgroup);
                Ok(if gone {
                    Poll::Ready(())
                } else {
                    Poll::NotYet(format!("processes {left:?}, dying {}", met.len()))
                })
            },
        )
    }
}

fn roots_in(mounts: &str) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
            (matches!(kind, "cgroup" | "cgroup2") && place.starts_with("/sys/fs/cgroup"))
                .then(|| PathBuf::from(place))
        })
        .collect();
    roots.sort();
    roots.dedup();
    roots
}

/// The processes of a folder's cgroup and of all below it.
fn processes_in(folder: &Path) -> Vec<i32> {
    let lists = tree(folder).into_iter().map(|folder| folder.join("cgroup.procs"));
    let lists: Vec<_> = lists.filter_map(|list| fs::read_to_string(list).ok()).collect();
    lists.iter().flat_map(|list| list.lines().filter_map(|line| line.parse().ok())).collect()
}

/// All folders of a tree, children before their parents.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .flat_map(|entry| tree(&entry.path()))
        .collect();
    folders.push(folder.to_owned());
    folders
}

/// v1 only: a new cpuset is empty and takes no process before it got the parent's processors and memory nodes.
fn inherit_cpuset(parent: &Path, folder: &Path) -> Result<(), Error> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (parent.join(file), folder.join(file));
        // v2 has `cpuset.cpus` as well, but empty means "as the parent" there.
        if !to.exists() || folder.join("cgroup.controllers").exists() {
            continue;
        }
        let value = fs::read_to_string(&from).map_err(Error::file("read", &from))?;
        fs::write(&to, value.trim()).map_err(Error::file("write", &to))?;
    }
    Ok(())
}

/// v2 only: children have the controllers that their parent hands down.
fn delegate_controllers(folder: &Path) -> Result<(), Error> {
    /// What a kubelet asks for. Others are left as they are: the root's are the host's own.
    const WANTED: [&str; 6] = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"];
    let Ok(controllers) = fs::read_to_string(folder.join("cgroup.controllers")) else { return Ok(()) };
    let file = folder.join("cgroup.subtree_control");
    for controller in controllers.split_whitespace().filter(|controller| WANTED.contains(controller)) {
        fs::write(&file, format!("+{controller}"))
            .map_err(Error::file("hand down a controller in", &file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_hierarchies_of_every_kind() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            roots_in(hybrid),
            [PathBuf::from("/sys/fs/cgroup/cpu"), PathBuf::from("/sys/fs/cgroup/unified")]
        );
        let unified = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        assert_eq!(roots_in(unified), [PathBuf::from("/sys/fs/cgroup")]);
        assert_eq!(roots_in("proc /proc proc rw 0 0\n"), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_tree_is_listed_leaves_first() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        let names: Vec<_> = tree(folder.path());
        assert_eq!(names, [folder.path().join("a/b"), folder.path().join("a"), folder.path().to_owned()]);
    }

    #[test]
    fn processes_are_found_by_the_name_of_their_cgroup_wherever_it_is() {
        let root = tempfile::tempdir().unwrap();
        for (folder, pids) in
            [("a/podx/one", "1\n2\n"), ("a/b/podx", "3\n"), ("a/pody", "4\n"), ("a/podxy", "5\n")]
        {
            let folder = root.path().join("of-us").join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("cgroup.procs"), pids).unwrap();
        }
        let hierarchies = Hierarchies { roots: vec![root.path().to_owned()] };
        let found = |name: &str| hierarchies.processes_below(Path::new("of-us"), name);
        assert_eq!(found("podx"), BTreeSet::from([1, 2, 3]));
        assert_eq!(found("podz"), BTreeSet::new());
        assert_eq!(hierarchies.processes(Path::new("of-us")), (1..=5).collect());
    }

    #[test]
    fn a_new_cpuset_has_what_its_parent_has() {
        let folder = tempfile::tempdir().unwrap();
        let child = folder.path().join("child");
        fs::create_dir(&child).unwrap();
        fs::write(folder.path().join("cpuset.cpus"), "0-1\n").unwrap();
        fs::write(folder.path().join("cpuset.mems"), "0\n").unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            fs::write(child.join(file), "").unwrap();
        }
        inherit_cpuset(folder.path(), &child).unwrap();
        assert_eq!(fs::read_to_string(child.join("cpuset.cpus")).unwrap(), "0-1");
        assert_eq!(fs::read_to_string(child.join("cpuset.mems")).unwrap(), "0");
    }
}
