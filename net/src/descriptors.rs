//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the process have as many as it is allowed to, and gives how many these are; none where there is no limit. Container
/// runtimes begin a process with 1,024, which is for programs that wait by `select`, and allow it far more.
pub fn raise_descriptors() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Where it may not be raised, the old one holds.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_gets_what_it_is_allowed_to_have() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // For this process alone, which has few open.
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).unwrap();
        assert_eq!(raise_descriptors(), maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
