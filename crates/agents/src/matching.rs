//! Which open target a document hits. Pure.

use std::collections::BTreeMap;

use soma_client::Scores as Claim;
use soma_model::{LOSS_NONE, Score};
use soma_types::{ModelId, TargetId, api::TargetView, losses::lowest, objects::TargetStatus, params::Params};

/// A document's answer to one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The target.
    pub target: TargetId,
    /// What to claim.
    pub claim: Claim,
    /// The dot product of the winner's embedding and the target, in Q30.
    pub dot_q30: i32,
}

/// Why a document is of no use for any open target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No target takes commits.
    NoTargets,
    /// Each target that does has a model whose weights cannot be had or used.
    NoModels,
    /// Outside the loss band with every target's models: noise or filler.
    LossBand,
    /// Too far from every target.
    TooFar,
    /// By the scout's word too far from every target, and not scored.
    Unlikely,
}

/// One document's score by every model it was scored with; none for a model that has no finite loss,
/// which loses to all others.
pub type Scores = BTreeMap<ModelId, Option<Score>>;

/// The targets that a document with these scores would hit; closest first.
///
/// # Errors
/// Why there are none.
pub fn hits(scores: &Scores, targets: &[TargetView], params: &Params) -> Result<Vec<Hit>, Miss> {
    let mut miss = Miss::NoTargets;
    let mut hits = Vec::new();
    for view in targets {
        if !view.current || view.target.status != TargetStatus::Open {
            continue;
        }
        let Some(claim) = claim(scores, &view.target.models) else {
            continue;
        };
        if !(params.cross_entropy_min_nano..=params.cross_entropy_max_nano)
            .contains(&claim.cross_entropy_nano)
        {
            miss = Miss::LossBand;
            continue;
        }
        let dot_q30 = claim.embedding.dot(&view.embedding);
        if i64::from(dot_q30) < view.commit_threshold_q30 {
            miss = Miss::TooFar;
            continue;
        }
        hits.push(Hit {
            target: view.target.id,
            claim,
            dot_q30,
        });
    }
    hits.sort_by_key(|hit| (std::cmp::Reverse(hit.dot_q30), hit.target));
    if hits.is_empty() { Err(miss) } else { Ok(hits) }
}

/// What to claim for a target with these models, whatever the distance: every loss, and the winner's
/// embedding. None when a model was not scored, or none has a finite loss.
#[must_use]
pub fn claim(scores: &Scores, models: &[ModelId]) -> Option<Claim> {
    let entrants = entrants(scores, models)?;
    let losses_nano: Vec<u64> = entrants
        .iter()
        .map(|score| score.map_or(LOSS_NONE, Score::loss_nano))
        .collect();
    let best = entrants[lowest(&losses_nano)?]?;
    Some(Claim {
        losses_nano,
        cross_entropy_nano: best.cross_entropy_nano(),
        embedding: best.embedding().clone(),
    })
}

/// The scores of a target's models in its order; none if one is missing.
fn entrants<'a>(scores: &'a Scores, models: &[ModelId]) -> Option<Vec<Option<&'a Score>>> {
    models
        .iter()
        .map(|model| scores.get(model).map(Option::as_ref))
        .collect()
}

#[cfg(test)]
mod tests {
    use soma_types::{Height, SubmissionId};

    use super::*;
    use crate::test_cast::{MODELS, contest, target};

    fn scores() -> Scores {
        MODELS
            .into_iter()
            .zip(contest().results())
            .map(|(id, result)| (id, result.clone().ok()))
            .collect()
    }

    fn params() -> Params {
        Params {
            cross_entropy_min_nano: 0,
            cross_entropy_max_nano: u64::MAX / 2,
            ..Params::local()
        }
    }

    #[test]
    fn the_closest_target_comes_first_and_claims_are_the_contest() {
        let targets: Vec<_> = (0..20).map(|number| target(number, -(1 << 30))).collect();
        let hits = hits(&scores(), &targets, &params()).unwrap();
        assert_eq!(hits.len(), 20);
        assert!(hits.windows(2).all(|pair| pair[0].dot_q30 >= pair[1].dot_q30));
        for hit in hits {
            assert_eq!(hit.claim.losses_nano, contest().losses_nano());
            assert_eq!(&hit.claim.embedding, contest().winning().embedding());
            assert_eq!(
                hit.claim.cross_entropy_nano,
                contest().winning().cross_entropy_nano()
            );
        }
    }

    #[test]
    fn misses_say_why() {
        let far = target(1, 1 << 30);
        assert_eq!(hits(&scores(), &[], &params()), Err(Miss::NoTargets));
        assert_eq!(
            hits(&scores(), std::slice::from_ref(&far), &params()),
            Err(Miss::TooFar)
        );
        let narrow = Params {
            cross_entropy_max_nano: 1,
            ..params()
        };
        assert_eq!(
            hits(&scores(), &[target(1, -(1 << 30))], &narrow),
            Err(Miss::LossBand)
        );

        let mut filled = target(2, -(1 << 30));
        filled.target.status = TargetStatus::Filled {
            submission: SubmissionId::default(),
            at: Height(9),
        };
        let mut closed = target(3, -(1 << 30));
        closed.current = false;
        let mut unknown = target(4, -(1 << 30));
        unknown.target.models.push(ModelId([9; 32]));
        assert_eq!(
            hits(&scores(), &[filled, closed, unknown], &params()),
            Err(Miss::NoTargets)
        );
    }

    #[test]
    fn a_model_without_a_score_loses_and_is_claimed_so() {
        let mut scores = scores();
        scores.insert(MODELS[contest().winner()], None);
        let claim = claim(&scores, &MODELS).unwrap();
        assert_eq!(claim.losses_nano[contest().winner()], LOSS_NONE);
        assert_ne!(&claim.embedding, contest().winning().embedding());
        for model in MODELS {
            scores.insert(model, None);
        }
        assert_eq!(super::claim(&scores, &MODELS), None);
    }
}
