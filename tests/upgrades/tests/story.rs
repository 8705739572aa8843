//! Versions follow each other, and apps do not notice: `cargo xtask bench upgrades`, which prints the report.

use anyhow::Result;

#[test]
fn an_upgrade_a_rollback_and_an_install_anew_are_not_noticed() -> Result<()> {
    rollcall_upgrades::tell()
}
