//! The hot paths of a sidecar: a lookup, a pick, and a frame that is read and applied.

mod alone;
mod dns;
mod frames;
mod lookup;
mod pick;

use rollcall_counts::Path;

fn main() -> anyhow::Result<()> {
    rollcall_counts::main(&paths())
}

fn paths() -> Vec<Path> {
    [lookup::paths(), dns::paths(), frames::paths(), pick::paths()].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_path_can_be_gone() {
        super::paths().iter().for_each(|path| path.go().unwrap());
    }
}
