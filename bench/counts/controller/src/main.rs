//! The hot paths of a controller: a change of Kubernetes becomes a change of the catalogue, and a frame that tells of it.

mod frames;
mod index;
mod registrations;
mod verdict;

use rollcall_counts::Path;

fn main() -> anyhow::Result<()> {
    rollcall_counts::main(&paths())
}

fn paths() -> Vec<Path> {
    [index::paths(), registrations::paths(), verdict::paths(), frames::paths()]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_path_can_be_gone() {
        super::paths().iter().for_each(|path| path.go().unwrap());
    }
}
