//! What documents would have won in an epoch that is over, had they been there.

use std::{collections::HashSet, ops::RangeInclusive};

use soma_types::{SubmissionId, TargetId, api::TargetView, objects::TargetStatus};

use crate::matching::{Scores, claim};

/// A target that a document would have hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastHit {
    /// The target.
    pub target: TargetId,
    /// The dot product of the winner's embedding and the target, in Q30.
    pub dot_q30: i32,
    /// Who has filled it, if anyone: the document would have had to come before.
    pub filled_by: Option<SubmissionId>,
}

/// What would have become of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It would have won a target that nobody filled.
    Wins(PastHit),
    /// It hits only targets that others filled: it would have won this one, had its commit come first.
    Contested(PastHit),
    /// It hits only what documents before it would have won.
    Taken,
    /// It would have hit, and its data has been someone's since.
    Known(SubmissionId),
    /// Too far from every target; the closest, by so much in Q30.
    TooFar {
        /// What lacks.
        lacks_q30: i64,
    },
    /// Its cross entropy is outside the band of text with every target's models.
    LossBand,
    /// No target of the epoch has all of its models' scores.
    NoTargets,
}

/// The targets of an epoch that a document with these scores hits, best first: those that nobody filled, and
/// of those the closest. A commit is held to what a target asked when it opened, or less.
///
/// # Errors
/// Why there are none.
pub fn hits(
    scores: &Scores,
    targets: &[TargetView],
    band: &RangeInclusive<u64>,
) -> Result<Vec<PastHit>, Outcome> {
    let (mut hits, mut lacks, mut in_band, mut any) = (Vec::new(), None, false, false);
    for view in targets {
        let Some(claim) = claim(scores, &view.target.models) else {
            continue;
        };
        any = true;
        if !band.contains(&claim.cross_entropy_nano) {
            continue;
        }
        in_band = true;
        let dot_q30 = claim.embedding.dot(&view.embedding);
        let over = i64::from(dot_q30) - view.target.threshold_q30;
        if over < 0 {
            lacks = Some(lacks.unwrap_or(i64::MAX).min(-over));
            continue;
        }
        hits.push(PastHit {
            target: view.target.id,
            dot_q30,
            filled_by: match view.target.status {
                TargetStatus::Filled { submission, .. } => Some(submission),
                _ => None,
            },
        });
    }
    hits.sort_by_key(|hit| {
        (
            hit.filled_by.is_some(),
            std::cmp::Reverse(hit.dot_q30),
            hit.target,
        )
    });
    match (hits.is_empty(), lacks) {
        (false, _) => Ok(hits),
        (true, Some(lacks_q30)) => Err(Outcome::TooFar { lacks_q30 }),
        (true, None) if any && !in_band => Err(Outcome::LossBand),
        (true, None) => Err(Outcome::NoTargets),
    }
}

/// What becomes of documents that come in this order: each takes the best that is left.
#[must_use]
pub fn outcomes(all: Vec<Result<Vec<PastHit>, Outcome>>) -> Vec<Outcome> {
    let mut taken = HashSet::new();
    let outcome = |hits: Result<Vec<PastHit>, Outcome>| {
        let hits = match hits {
            Ok(hits) => hits,
            Err(outcome) => return outcome,
        };
        let Some(hit) = hits.into_iter().find(|hit| !taken.contains(&hit.target)) else {
            return Outcome::Taken;
        };
        taken.insert(hit.target);
        match hit.filled_by {
            None => Outcome::Wins(hit),
            Some(_) => Outcome::Contested(hit),
        }
    };
    all.into_iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(target: u8, dot_q30: i32, filled_by: Option<u8>) -> PastHit {
        PastHit {
            target: TargetId([target; 32]),
            dot_q30,
            filled_by: filled_by.map(|byte| SubmissionId([byte; 32])),
        }
    }

    #[test]
    fn each_target_is_won_once_and_what_nobody_filled_goes_first() {
        let (free, other, filled) = (hit(1, 5, None), hit(2, 4, None), hit(3, 9, Some(7)));
        let far = Outcome::TooFar { lacks_q30: 3 };
        let found = outcomes(vec![
            Ok(vec![free, other, filled]),
            Ok(vec![free, filled]),
            Err(far),
            Ok(vec![free, other]),
            Ok(vec![free, other, filled]),
            Ok(vec![filled]),
        ]);
        assert_eq!(
            found,
            [
                Outcome::Wins(free),
                Outcome::Contested(filled),
                far,
                Outcome::Wins(other),
                Outcome::Taken,
                Outcome::Taken,
            ]
        );
        assert_eq!(outcomes(vec![]), []);
    }

    #[test]
    fn without_scores_there_is_nothing_to_hit() {
        let none = hits(&Scores::new(), &[], &(1..=2));
        assert_eq!(none, Err(Outcome::NoTargets));
    }
}
