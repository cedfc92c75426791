//! How an epoch's rewards are divided (docs/protocol.md, section 9).

use soma_types::{Shannons, params::Params};

/// How an epoch's rewards are divided. Never more than fresh and reserve together.
pub(crate) struct Split {
    /// The validators' part, rent aside.
    pub validators: Shannons,
    /// What each hit earns. Even, so that submitter and model get the same.
    pub per_hit: Shannons,
}

impl Split {
    /// Of an epoch with these `hits`; with none, `per_hit` is the most that one can earn.
    pub(crate) fn new(params: &Params, fresh: Shannons, reserve: Shannons, hits: u64) -> Self {
        let validators = params.validator_share.of(fresh);
        // Parts of the supply: their sum fits.
        let targets = fresh.0 - validators.0 + reserve.0 / params.emission_epochs;
        Self {
            validators,
            per_hit: Shannons(targets / hits.max(params.hits_goal) / 2 * 2),
        }
    }
}
