//! Sums over tokens, which are integers, and what they come to.

use soma_types::Embedding;

use super::{
    error::{ModelError, ScoreError},
    passes::{Piece, Watch, each_piece},
    result::Score,
};
use crate::{
    device::{Findings, Place},
    kernels::REPRESENTATION_ONE,
    model::Model,
    sigreg::{self, Directions},
};

/// Token losses are summed in units of 2^-24 nats.
pub(crate) const LOSS_ONE: u64 = 1 << 24;
const NANO: u64 = 1_000_000_000;

/// Sums over tokens.
#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) losses: u64,
    pub(crate) predicted: u64,
    pub(crate) tokens: u64,
    pub(crate) representations: Vec<i64>,
    pub(crate) characteristic: Vec<i64>,
}

impl Sums {
    fn add(&mut self, other: Self) {
        if self.tokens == 0 {
            *self = other;
            return;
        }
        self.losses += other.losses;
        self.predicted += other.predicted;
        self.tokens += other.tokens;
        for (sums, others) in [
            (&mut self.representations, other.representations),
            (&mut self.characteristic, other.characteristic),
        ] {
            for (sum, other) in sums.iter_mut().zip(others) {
                *sum += other;
            }
        }
    }
}

/// The sums over one chunk, from what was found of it.
fn sums_of(piece: &Piece<'_>, found: Findings) -> Sums {
    Sums {
        // A loss is at least 0 and below the limit, so the product is a small whole number.
        losses: found
            .losses
            .iter()
            .map(|loss| (f64::from(*loss) * LOSS_ONE as f64).round_ties_even() as u64)
            .sum(),
        predicted: found.losses.len() as u64,
        tokens: piece.chunk.len() as u64,
        representations: found.representations,
        characteristic: found.characteristic,
    }
}

/// Hands the sums over each document's pieces to `each`, or where the model first failed on it, in the
/// documents' order. Sums are large beside scores, so those of one document at a time are kept.
pub(super) fn sum_pieces<'a>(
    place: Place,
    model: &Model,
    pieces: impl Iterator<Item = Piece<'a>>,
    directions: Option<&Directions>,
    watch: &Watch<'_>,
    mut each: impl FnMut(Result<Sums, ModelError>),
) -> Result<(), ScoreError> {
    let mut current: Option<(usize, Result<Sums, ModelError>)> = None;
    each_piece(place, model, pieces, directions, watch, |piece, found| {
        let sums = found.map(|found| sums_of(piece, found));
        match &mut current {
            Some((document, total)) if *document == piece.document => match (total.as_mut(), sums) {
                (Ok(total), Ok(sums)) => total.add(sums),
                (Ok(_), Err(error)) => *total = Err(error),
                // What follows a failure changes nothing.
                (Err(_), _) => {}
            },
            current => {
                if let Some((_, total)) = current.replace((piece.document, sums)) {
                    each(total);
                }
            }
        }
    })?;
    if let Some((_, total)) = current {
        each(total);
    }
    Ok(())
}

/// Means and rounding, from sums that are known to be in range.
pub(super) fn finish(sums: &Sums, directions: &Directions) -> Result<Score, ModelError> {
    let denominator = u128::from(sums.predicted) * u128::from(LOSS_ONE);
    let cross_entropy = (u128::from(sums.losses) * u128::from(NANO) + denominator / 2) / denominator;
    let scale = sums.tokens as f64 * REPRESENTATION_ONE;
    Ok(Score {
        cross_entropy_nano: cross_entropy as u64,
        sigreg_nano: sigreg::evaluate(&sums.characteristic, directions.len(), sums.tokens),
        predicted_tokens: sums.predicted,
        embedding: Embedding::from_direction(&sums.representations)?,
        mean_embedding: sums
            .representations
            .iter()
            .map(|sum| (*sum as f64 / scale) as f32)
            .collect(),
    })
}
