//! What a round trains on, and what it is judged by. Nothing is both, in any round: the owner's text is
//! parted as everywhere ([`soma_train::split`]), and of data that won, its hash decides.

use soma_data::{DataError, Dataset, Document};
use soma_model::{Directions, LOSS_NONE, Model, ScoreError, Scorer};
use soma_train::split::split;
use soma_types::{ContentHash, Seed};

/// Data that won is held out where its hash begins with less: a tenth of it.
const HELD_OUT_BELOW: u8 = 26;
/// Texts that a comparison scores.
const COMPARED_MAX: usize = 64;

/// Whether data that won is for judging, and not to be trained on.
#[must_use]
pub const fn is_held_out(data: &ContentHash) -> bool {
    data.0[0] < HELD_OUT_BELOW
}

/// A round's text.
#[derive(Debug)]
pub struct Text {
    /// To train on.
    pub train: Dataset,
    /// To judge by: those with the smallest hashes, so that rounds are judged by the same.
    pub held_out: Vec<Vec<u8>>,
}

impl Text {
    /// Of the owner's text and of data that won. `won` has been chosen to be trained on, `held_out` not.
    ///
    /// # Errors
    /// When the owner's text is too short to hold out a part of it.
    pub fn new(
        own: &Dataset,
        won: impl IntoIterator<Item = (ContentHash, Vec<u8>)>,
        held_out: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Self, DataError> {
        let parts = split("the trainer's --data", own)?;
        let won = won.into_iter().map(|(hash, data)| Document {
            origin: hash.to_string().into(),
            data,
        });
        let train = parts.train.documents().iter().cloned().chain(won);
        let pieces = parts
            .held_out
            .documents()
            .iter()
            .map(|document| document.data.clone());
        let mut held_out: Vec<Vec<u8>> = pieces.chain(held_out).collect();
        held_out.sort_by_cached_key(|data| ContentHash::of(data));
        held_out.dedup();
        held_out.truncate(COMPARED_MAX);
        Ok(Self {
            train: Dataset::new("the trainer's text", train)?,
            held_out,
        })
    }
}

/// The mean loss of `model` on texts, as the network scores them with one fixed seed, in nano-nats;
/// [`LOSS_NONE`] where it has none on one of them.
///
/// # Errors
/// When nothing can be scored.
pub fn mean_loss_nano(scorer: Scorer, model: &Model, texts: &[Vec<u8>]) -> Result<u64, ScoreError> {
    let directions = Directions::draw(&Seed::default(), model.architecture());
    let mut sum = 0_u128;
    for text in texts {
        match scorer.score(model, text, &directions) {
            Ok(score) => sum += u128::from(score.loss_nano()),
            Err(ScoreError::Model { .. }) => return Ok(LOSS_NONE),
            Err(error) => return Err(error),
        }
    }
    Ok(u64::try_from(sum / texts.len().max(1) as u128).unwrap_or(LOSS_NONE))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::test_cast::{DATA, models};

    #[test]
    fn nothing_is_trained_on_and_judged_by() {
        let own = Document {
            origin: "own".into(),
            data: (0..300_000_u32).flat_map(u32::to_le_bytes).collect(),
        };
        let own = Dataset::new("own", [own]).unwrap();
        let all: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; 40]).collect();
        let (held, won): (Vec<_>, Vec<_>) = all
            .iter()
            .map(|data| (ContentHash::of(data), data.clone()))
            .partition(|(hash, _)| is_held_out(hash));
        assert!((5..40).contains(&held.len()), "about a tenth: {}", held.len());
        let text = Text::new(&own, won.clone(), held.into_iter().map(|(_, data)| data)).unwrap();
        assert_eq!(text.held_out.len(), COMPARED_MAX);
        let train: BTreeSet<&[u8]> = text.train.documents().iter().map(|d| &d.data[..]).collect();
        for held in &text.held_out {
            assert!(
                !train
                    .iter()
                    .any(|data| data.windows(held.len()).any(|part| part == held))
            );
        }
        assert!(won.iter().all(|(_, data)| train.contains(&data[..])));
        // Whatever won meanwhile, the owner's text is judged by the same.
        let again = Text::new(&own, won, []).unwrap();
        let own_pieces = |text: &Text| {
            text.held_out
                .iter()
                .filter(|t| t.len() > 40)
                .cloned()
                .collect::<Vec<_>>()
        };
        let (before, after) = (own_pieces(&text), own_pieces(&again));
        assert!(before.iter().all(|piece| after.contains(piece)));
    }

    #[test]
    fn a_mean_is_of_the_networks_own_losses() {
        let (scorer, model) = (Scorer::new().unwrap(), &models()[0]);
        let directions = Directions::draw(&Seed::default(), model.architecture());
        let texts = [DATA.to_vec(), b"another".to_vec()];
        let losses = texts
            .each_ref()
            .map(|text| scorer.score(model, text, &directions).unwrap().loss_nano());
        assert_eq!(
            mean_loss_nano(scorer, model, &texts).unwrap(),
            losses.iter().sum::<u64>() / 2
        );
        assert!(mean_loss_nano(scorer, model, &[Vec::new()]).is_err());
    }
}
