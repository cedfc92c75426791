//! A claim without data: the target's own direction as the embedding, and losses such that the model it
//! wants wins.

use soma_types::{Embedding, ModelId, transaction::Verdict};

use crate::{
    board::Board,
    desk::Find,
    participants::{Submitting, Wallet, data_hash},
};

/// Claims a hit for each document it would have had to score.
#[derive(Clone, Copy, Debug)]
pub struct FalseClaim {
    /// The model it lets win where it can: its own. Without one any model will do.
    pub accomplice: Option<ModelId>,
}

impl Submitting for FalseClaim {
    fn finds(&self, board: &Board, wallet: &Wallet<'_>) -> Vec<Find> {
        let own = self.accomplice.and_then(|model| board.place(&model));
        let suits = |models: &[usize]| own.is_none_or(|own| models.contains(&own));
        let targets = board.open().filter(|target| suits(&target.models));
        let claim = |(document, target): (&crate::space::Document, &crate::board::OpenTarget)| {
            let loss = |place: &usize| 1_000_000_000 + u64::from(own.is_some_and(|own| own != *place));
            Some(Find {
                by: wallet.me,
                target: target.id,
                data: data_hash(document.number),
                size_bytes: 1,
                losses_nano: target.models.iter().map(loss).collect(),
                embedding: Embedding::from_f32(&target.position).ok()?,
                truth: Verdict::FalseScore,
            })
        };
        wallet
            .documents
            .iter()
            .take(wallet.bonds)
            .zip(targets)
            .filter_map(claim)
            .collect()
    }
}
