//! Which items of a list are wanted.

use soma_types::{
    Address, Epoch, ModelId, TargetId,
    objects::ModelStatus,
    phase::{Phase as _, SubmissionPhase, TargetPhase},
};

/// Names and values of a query.
pub(super) type Query = Vec<(&'static str, String)>;

/// Which models to list.
#[derive(Clone, Debug, Default)]
pub struct ModelFilter {
    /// Only those that stand so.
    pub status: Option<ModelStatus>,
    /// Only this owner's.
    pub owner: Option<Address>,
}

/// Which targets to list.
#[derive(Clone, Debug, Default)]
pub struct TargetFilter {
    /// Only those that stand so.
    pub phase: Option<TargetPhase>,
    /// Only this epoch's. Where left out: of those that are filled all epochs', of others the current one's.
    pub epoch: Option<Epoch>,
}

/// Which submissions to list.
#[derive(Clone, Debug, Default)]
pub struct SubmissionFilter {
    /// Only this account's.
    pub submitter: Option<Address>,
    /// Only for this target.
    pub target: Option<TargetId>,
    /// Only those that this model predicts best.
    pub model: Option<ModelId>,
    /// Only those that stand so.
    pub phase: Option<SubmissionPhase>,
}

impl ModelFilter {
    pub(super) fn query(&self) -> Query {
        let mut query = Query::new();
        query.extend(self.status.map(|status| ("status", status.name().to_owned())));
        query.extend(self.owner.map(|owner| ("owner", owner.to_string())));
        query
    }
}

impl TargetFilter {
    pub(super) fn query(&self) -> Query {
        let mut query = Query::new();
        query.extend(self.phase.map(|phase| ("status", phase.name().to_owned())));
        query.extend(self.epoch.map(|epoch| ("epoch", epoch.to_string())));
        query
    }
}

impl SubmissionFilter {
    pub(super) fn query(&self) -> Query {
        let mut query = Query::new();
        query.extend(
            self.submitter
                .map(|submitter| ("submitter", submitter.to_string())),
        );
        query.extend(self.target.map(|target| ("target", target.to_string())));
        query.extend(self.model.map(|model| ("model", model.to_string())));
        query.extend(self.phase.map(|phase| ("status", phase.name().to_owned())));
        query
    }
}
