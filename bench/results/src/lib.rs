//! What measurements came to, as data. A measurement writes a file of lines, one for what it ran on and one for each load on
//! each system; tables and plots are made of such files alone, and never by hand.

mod delays;
mod file;
mod record;

pub use self::{
    delays::delay_us,
    file::{FileError, Results, Writer},
    record::{Class, Configuration, Program, Record, Run, Value},
};
