//! The concrete consensus types of SOMA: those that light clients check, and what the engine reports.

use commonware_consensus::simplex;

pub use soma_light::consensus::*;

/// What the engine reports: votes, certificates, faults.
pub type Activity = simplex::types::Activity<Scheme, Digest>;
