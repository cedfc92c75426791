//! Scoring a winner with what its target's models were.

use std::sync::Arc;

use soma_blobs::Blob;
use soma_client::NodeClient;
use soma_model::{Directions, LOSS_NONE, ScoreError};
use soma_types::{
    Epoch, ModelId, Seed,
    api::SubmissionView,
    objects::{AuditFinding, Weights},
    transaction::Verdict,
};

use super::{error::AuditError, job::Case};
use crate::{
    audit,
    download::DownloadError,
    experts::{ExpertError, Experts},
    scoring_desk::{self, NoScore, ScoringDesk},
};

/// What all of an epoch's audits have in common.
#[derive(Clone, Debug)]
pub(super) struct Epochal {
    pub(super) epoch: Epoch,
    pub(super) seed: Seed,
    pub(super) directions: Arc<Directions>,
}

/// What the work on winners is done with.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) node: NodeClient,
    pub(super) experts: Experts,
    pub(super) desk: ScoringDesk,
}

/// What came of scoring a winner.
pub(super) enum Scored {
    Found(AuditFinding),
    /// Weights of this model that the node does not keep.
    NotKept(ModelId, Weights),
    Failed(AuditError),
}

/// Scores a winner with the models of its target, as they competed.
pub(super) async fn score(
    tools: Tools,
    epochal: Epochal,
    view: SubmissionView,
    case: Case,
    data: Blob,
) -> Scored {
    let (Some(claim), Some(embedding)) = (&view.submission.found, &view.embedding) else {
        return Scored::Found(audit::without_score(Verdict::FalseScore));
    };
    let target = match tools.node.target(&view.submission.target).await {
        Ok(view) => view.target,
        Err(error) => return Scored::Failed(error.into()),
    };
    let (mut models, mut missing) = (Vec::with_capacity(target.models.len()), None);
    for (place, id) in target.models.iter().enumerate() {
        let model = match tools.node.model(id).await {
            Ok(view) => view.model,
            Err(error) => return Scored::Failed(error.into()),
        };
        let Some(weights) = model.weights_in(epochal.epoch) else {
            let epoch = epochal.epoch;
            return Scored::Failed(AuditError::NoWeights { model: *id, epoch });
        };
        // By the committee's word nobody could score with it, and nobody is said to have.
        if model.is_faulted_in(epochal.epoch) && claim.losses_nano.get(place) == Some(&LOSS_NONE) {
            models.push(None);
            continue;
        }
        match tools.experts.load(weights).await {
            // It is there, and let go: one model after the other is taken when it is its turn to be scored
            // with.
            Ok(_) => models.push(Some(weights.clone())),
            // Nobody can use it, so it has no score.
            Err(error) if error.is_final() => models.push(Some(weights.clone())),
            Err(ExpertError::NotKept(_)) => missing = Some((*id, weights.clone())),
            // What the chain says of it contradicts itself, or the file that the node keeps under its hash:
            // so it does for everyone, nobody has ever had it, and the claim is made up.
            Err(ExpertError::Download(
                DownloadError::Unavailable { .. } | DownloadError::Mismatch { .. },
            )) => {
                return Scored::Found(audit::without_score(Verdict::FalseScore));
            }
            Err(error) => return Scored::Failed(AuditError::Expert { model: *id, error }),
        }
    }
    if let Some((model, weights)) = missing {
        return Scored::NotKept(model, weights);
    }
    let question = scoring_desk::Case {
        seed: epochal.seed,
        directions: epochal.directions,
        data,
        models,
    };
    let (submission, stage) = case;
    match tools.desk.contest(question, &tools.experts).await {
        Ok(exact) => Scored::Found(audit::finding(stage, claim, embedding, &target.models, &exact)),
        // What cannot be scored at all was never scored by the submitter either.
        Err(
            NoScore::Panicked(_)
            | NoScore::Score(
                ScoreError::Empty
                | ScoreError::NothingPredicted
                | ScoreError::TooLong(_)
                | ScoreError::Model { .. },
            ),
        ) => Scored::Found(audit::without_score(Verdict::FalseScore)),
        Err(NoScore::Score(error)) => Scored::Failed(AuditError::Unscorable { submission, error }),
        Err(NoScore::Expert { index, error }) => Scored::Failed(AuditError::Expert {
            model: target.models[index],
            error,
        }),
        Err(NoScore::Data(reason)) => Scored::Failed(AuditError::Data {
            submission,
            error: DownloadError::Here {
                url: claim.data_url.clone(),
                reason,
            },
        }),
    }
}
