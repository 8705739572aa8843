mod admission;
mod drains;
mod house;
mod lives;
mod moves;
mod renewals;
mod told;
mod usage;
