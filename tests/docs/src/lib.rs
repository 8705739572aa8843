//! What the pages tell people to do, done: each command block is run, or a row of the table says who runs it.
//!
//! ```text
//!  page ─► block ─► table: which stage? ─┬─ Here, Dev, App ─► on this machine
//!             │                          ├─ Cluster, App ───► on a real cluster
//!             └─► commands ─► script     └─ Elsewhere: why, and who runs it
//! ```
//!
//! Nothing of it is to be seen in the pages. A block that the table does not know fails the tests, with the row to add.

mod act;
mod command;
mod links;
mod page;
mod scratch;
mod script;
mod shape;
mod stage;
mod table;

pub use self::{
    act::{Act, Printed, acts},
    command::{Command, Unfinished, commands},
    links::{Link, anchors, links},
    page::{Block, Page, pages},
    scratch::{Programs, Scratch, built},
    script::{Cue, Manner},
    shape::Shape,
    stage::{Row, Stage, assigned, row_of},
    table::{DEV_ANSWERS, TABLE},
};
