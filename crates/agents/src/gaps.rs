//! Where other models beat one's own (docs/strategies.md): on data that won targets, by exact losses.

use std::collections::BTreeMap;

use soma_client::WonFacts;
use soma_model::{Directions, LOSS_NONE, Model, ScoreError, Scorer};
use soma_types::{Epoch, ModelId, Seed};

/// One's own loss on data that won a target, beside that of the model that won it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The target's winner.
    pub winner: WonFacts,
    /// One's own loss in nano-nats; [`LOSS_NONE`] for a model without a score.
    pub mine_nano: u64,
}

impl Gap {
    /// By how much the winner is better, in nano-nats: below 0 where it is not.
    #[must_use]
    pub const fn nano(&self) -> i128 {
        self.mine_nano as i128 - self.winner.loss_nano as i128
    }
}

/// A winning model, whose speciality stands for a domain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Domain {
    /// The model.
    pub model: ModelId,
    /// Targets that it won.
    pub targets: u64,
    /// By how much it is better on them, in the mean, in nats.
    pub mean_gap: f64,
}

/// The gap of `model` on one winner's `data`, with the directions of its epoch.
///
/// # Errors
/// When the data cannot be scored.
pub fn measure(
    scorer: Scorer,
    model: &Model,
    winner: WonFacts,
    data: &[u8],
    directions: &Directions,
) -> Result<Gap, ScoreError> {
    let mine_nano = match scorer.score(model, data, directions) {
        Ok(score) => score.loss_nano(),
        Err(ScoreError::Model { .. }) => LOSS_NONE,
        Err(error) => return Err(error),
    };
    Ok(Gap { winner, mine_nano })
}

/// The largest gap first; of equal ones the latest target, which comes first already.
pub fn sort(gaps: &mut [Gap]) {
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.nano()));
}

/// Gaps by winning model, the largest mean first.
#[must_use]
pub fn domains(gaps: &[Gap]) -> Vec<Domain> {
    let mut sums: BTreeMap<ModelId, (u64, i128)> = BTreeMap::new();
    for gap in gaps {
        let (targets, sum) = sums.entry(gap.winner.model).or_default();
        *targets += 1;
        *sum += gap.nano();
    }
    let mut domains: Vec<Domain> = sums
        .into_iter()
        .map(|(model, (targets, sum))| Domain {
            model,
            targets,
            mean_gap: sum as f64 / 1e9 / targets as f64,
        })
        .collect();
    domains.sort_by(|a, b| b.mean_gap.total_cmp(&a.mean_gap));
    domains
}

/// Directions by epoch, each drawn once.
#[derive(Debug, Default)]
pub struct Epochs(BTreeMap<Epoch, Directions>);

impl Epochs {
    /// Those of `epoch`, which has this seed.
    pub fn directions(&mut self, epoch: Epoch, seed: &Seed, model: &Model) -> &Directions {
        self.0
            .entry(epoch)
            .or_insert_with(|| Directions::draw(seed, model.architecture()))
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{Address, ContentHash, SubmissionId, TargetId, provenance::Provenance};

    use super::*;
    use crate::test_cast::{DATA, models};

    fn gap(model: u8, target: u8, mine_nano: u64, loss_nano: u64) -> Gap {
        Gap {
            winner: WonFacts {
                epoch: Epoch(1),
                win: 0,
                target: TargetId([target; 32]),
                submission: SubmissionId([target; 32]),
                submitter: Address([9; 32]),
                model: ModelId([model; 32]),
                loss_nano,
                cross_entropy_nano: loss_nano,
                dot_q30: 0,
                size_bytes: 1,
                hash: ContentHash([target; 32]),
                provenance: Provenance::default(),
            },
            mine_nano,
        }
    }

    #[test]
    fn gaps_are_summed_up_by_winning_model() {
        let mut gaps = [
            gap(1, 1, 3_000_000_000, 2_000_000_000),
            gap(2, 2, 1_000_000_000, 2_000_000_000),
            gap(1, 3, 5_000_000_000, 2_000_000_000),
        ];
        sort(&mut gaps);
        assert_eq!(gaps.each_ref().map(|gap| gap.winner.target.0[0]), [3, 1, 2]);
        let domains = domains(&gaps);
        assert_eq!(domains.len(), 2);
        assert_eq!((domains[0].targets, domains[0].mean_gap), (2, 2.0));
        assert_eq!((domains[1].targets, domains[1].mean_gap), (1, -1.0));
    }

    #[test]
    fn a_gap_is_of_exact_losses_and_a_model_without_one_loses_by_all() {
        let (scorer, models) = (Scorer::new().unwrap(), models());
        let mut epochs = Epochs::default();
        let seed = Seed([5; 32]);
        let directions = epochs.directions(Epoch(1), &seed, &models[0]).clone();
        let exact = scorer.score(&models[0], DATA, &directions).unwrap().loss_nano();
        let winner = gap(1, 1, 0, 7).winner;
        let found = measure(scorer, &models[0], winner, DATA, &directions).unwrap();
        assert_eq!(found.nano(), i128::from(exact) - 7);
        assert!(gap(1, 1, LOSS_NONE, 7).nano() > 1 << 62);
    }
}
