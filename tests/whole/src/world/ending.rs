//! The end of a story: all that differs from what somebody finds who has just begun.

use super::World;

// === impl World ===

impl World {
    /// Everything that was broken on purpose is whole again.
    pub fn heal(&mut self) {
        self.note("everything is healed");
        self.net.heal_all();
        for controller in &self.controllers {
            controller.faults.mend();
        }
    }
}
