//! `soma submission verify` and `soma judge`: what an auditor finds, on one's own machine.

mod compared;
mod judge;
mod verify;

pub use self::{judge::judge, verify::verify};
