//! The network in simulated time (docs/simulation.md): the validators of production under faults that are
//! drawn from a seed, with payments all the while, and what must hold whatever goes wrong.
//!
//! ```text
//! seed -> Scenario -> World -> Findings -> properties -> Outcome -> Report
//!                      |  \-> log: what each did last
//!      Running: soma_node::validator on a Host (runtime and Disk), with a client
//! ```
//!
//! One thread, one order of events: the same seed comes to the same end, always. The runtime and the network
//! are commonware's; their harness for whole networks (`glue::simulate`) has one disk for all, and a panic of
//! one validator ends its world, so the world here is ours.
//!
//! ```
//! use soma_netsim::Scenario;
//!
//! assert_eq!(Scenario::draw(7, 4), Scenario::draw(7, 4));
//! ```
#![forbid(unsafe_code)]

mod byzantine;
mod committee;
mod disk;
mod fault;
mod findings;
mod host;
mod load;
mod log;
mod outcome;
mod plant;
mod property;
mod quiet;
mod report;
mod scenario;
mod sweep;
mod validator;
mod world;

pub use fault::{Fault, Kind};
pub use load::Traffic;
pub use outcome::{Outcome, run, run_planted};
pub use plant::Plant;
pub use property::{Broken, PROPERTIES};
pub use report::{Report, Row};
pub use scenario::{Scenario, VALIDATORS_MAX, VALIDATORS_MIN, max_faulty};
pub use sweep::run_all;
pub use world::{Plants, RECOVERY_MS_MAX};
