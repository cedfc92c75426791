//! What a service may take.

use std::num::NonZeroUsize;

use soma_types::{Height, Shannons};

use super::hits::Hits;

/// What the service keeps to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Stop after this many hits.
    pub hits_max: Option<u64>,
    /// Hits that count already, and races that may have become some.
    pub hits: Hits,
    /// Most that may be locked in bonds and deposits at a time.
    pub bonds_max: Option<Shannons>,
    /// Most that submissions may cost in fees, in all.
    pub fees_max: Option<Shannons>,
    /// From this block on fees count; from now where left out.
    pub fees_from: Option<Height>,
    /// Submissions under way at a time.
    pub under_way_max: NonZeroUsize,
    /// Whether to wait for targets for ever.
    pub waits: bool,
}
