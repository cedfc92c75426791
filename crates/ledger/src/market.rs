//! The market: models that compete, targets and who is routed to them, and the submissions that race for
//! them.

pub(crate) mod difficulty;
pub(crate) mod models;
mod races;
mod reports;
pub(crate) mod routing;
pub(crate) mod submissions;
pub(crate) mod targets;
