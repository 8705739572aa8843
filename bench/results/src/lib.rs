//! What measurements came to, as data. A measurement writes a file of lines, one for what it ran on and one for each load on
//! each system; tables and plots are made of such files alone, and never by hand.

mod delays;
mod file;
mod fit;
pub mod model;
mod number;
pub mod page;
pub mod plot;
mod record;
mod series;
mod spread;
mod steady;
mod table;

pub use self::{
    delays::delay_us,
    file::{Ended, FileError, Results, Writer},
    fit::Line,
    number::{number, times},
    record::{Class, Configuration, Program, Record, Run, Value},
    series::{Series, series},
    spread::Spread,
    steady::{Steadiness, Trend},
    table::{Align, Table},
};
