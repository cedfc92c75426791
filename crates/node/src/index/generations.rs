//! The weights that models have had, from their commits on.
//!
//! The ledger forgets a model's weights once others have taken over twice. Who checks an old winner, or asks
//! what other weights would have earned, needs those of then; and so does whoever keeps them.

use std::collections::HashMap;

use soma_types::{
    ContentHash, Epoch, ModelId, SignedTransaction, Transaction, TransactionKind, event::Event,
};

use super::Record;

/// A transaction's place: the height of its block, and its position there.
pub type Place = (u64, u32);

/// One file of weights of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// BLAKE3 of the encrypted file.
    pub hash: ContentHash,
    /// The transaction that committed to it.
    pub committed: Place,
    /// The transaction that revealed its key.
    pub revealed: Option<Place>,
    /// The first epoch in which it competed.
    pub active_from: Option<Epoch>,
    /// The last, once it does no more.
    pub active_until: Option<Epoch>,
}

impl Generation {
    /// The last epoch, up to `now`, in which it competed.
    fn last_active(&self, now: Epoch) -> Option<Epoch> {
        self.active_from.map(|_| self.active_until.unwrap_or(now))
    }
}

/// All models' weights.
#[derive(Debug, Default)]
pub struct Generations {
    /// In the order of their commits.
    models: HashMap<ModelId, Vec<Generation>>,
    /// The models that have committed to a file.
    owners: HashMap<ContentHash, Vec<ModelId>>,
}

impl Generations {
    /// Takes in what a block did, after those before it.
    pub(super) fn learn(&mut self, record: &Record) {
        for event in &record.events {
            match event {
                Event::ModelActivated { model } => self.activated(model, record.epoch),
                // At the boundary into this epoch.
                Event::ModelInactive { model, .. } => self.ended(model, record.epoch),
                _ => {}
            }
        }
        for receipt in &record.receipts {
            let place = (record.height.0, receipt.index);
            let of_weights =
                |event: &Event| matches!(event, Event::ModelCommitted { .. } | Event::ModelRevealed { .. });
            if receipt.events.iter().any(of_weights)
                && let Some(transaction) = transaction(record, receipt.index)
            {
                match transaction.kind {
                    TransactionKind::CommitModel { model, hash, .. } => self.committed(model, hash, place),
                    TransactionKind::RevealModel { model, .. } => self.revealed(&model, place),
                    _ => {}
                }
            }
        }
    }

    fn committed(&mut self, model: ModelId, hash: ContentHash, committed: Place) {
        self.models.entry(model).or_default().push(Generation {
            hash,
            committed,
            revealed: None,
            active_from: None,
            active_until: None,
        });
        let owners = self.owners.entry(hash).or_default();
        if !owners.contains(&model) {
            owners.push(model);
        }
    }

    /// Nothing else is committed before what was committed last is revealed.
    fn revealed(&mut self, model: &ModelId, place: Place) {
        if let Some(generation) = self.models.get_mut(model).and_then(|all| all.last_mut()) {
            generation.revealed = Some(place);
        }
    }

    fn activated(&mut self, model: &ModelId, epoch: Epoch) {
        self.ended(model, epoch);
        let all = self.models.get_mut(model);
        let waits = |one: &&mut Generation| one.revealed.is_some();
        if let Some(generation) = all.and_then(|all| all.iter_mut().rfind(waits)) {
            generation.active_from = Some(epoch);
            generation.active_until = None;
        }
    }

    /// What competed does no more, from `epoch` on.
    fn ended(&mut self, model: &ModelId, epoch: Epoch) {
        let all = self.models.get_mut(model).into_iter().flatten();
        for generation in all.filter(|one| one.active_from.is_some() && one.active_until.is_none()) {
            generation.active_until = epoch.minus(1);
        }
    }

    /// A model's, in the order of their commits.
    pub(super) fn of(&self, model: &ModelId) -> &[Generation] {
        self.models.get(model).map_or(&[], Vec::as_slice)
    }

    /// The last epoch, up to `now`, in which a model competed with a file.
    pub(super) fn last_active(&self, hash: &ContentHash, now: Epoch) -> Option<Epoch> {
        let owners = self.owners.get(hash)?.iter();
        owners
            .flat_map(|model| self.of(model))
            .filter(|generation| generation.hash == *hash)
            .filter_map(|generation| generation.last_active(now))
            .max()
    }
}

/// A transaction of a block.
pub(crate) fn transaction(record: &Record, index: u32) -> Option<Transaction> {
    let encoded = record.transactions.get(index as usize)?;
    let signed: SignedTransaction = borsh::from_slice(encoded).ok()?;
    Some(signed.transaction)
}

#[cfg(test)]
mod tests {
    use soma_types::{
        ChainId, DecryptionKey, Embedding, Height, Keypair, Receipt, Seed, Shannons, objects::Inactivity,
        receipt::Outcome,
    };

    use super::*;

    const MODEL: ModelId = ModelId([7; 32]);

    /// A block of `epoch`, in which the given transactions applied.
    fn block(height: u64, epoch: u64, kinds: Vec<TransactionKind>, events: Vec<Event>) -> Record {
        let keys = Keypair::from_secret_bytes([1; 32]);
        let mut record = Record {
            height: Height(height),
            epoch: Epoch(epoch),
            timestamp_ms: 0,
            transactions: Vec::new(),
            receipts: Vec::new(),
            events,
        };
        for (index, kind) in kinds.into_iter().enumerate() {
            let event = match &kind {
                TransactionKind::CommitModel { model, .. } => Event::ModelCommitted {
                    model: *model,
                    rent: Shannons::ZERO,
                },
                _ => Event::ModelRevealed { model: MODEL },
            };
            let transaction = Transaction {
                chain: ChainId([0; 32]),
                sender: keys.public_key(),
                nonce: 0,
                expires: Epoch(9),
                max_fee: Shannons::ZERO,
                kind,
            };
            let signed = transaction.sign(&keys);
            record.receipts.push(Receipt {
                transaction: signed.hash(),
                sender: keys.address(),
                height: Height(height),
                index: index as u32,
                fee: Shannons::ZERO,
                outcome: Outcome::Applied { created: None },
                events: vec![event],
            });
            record.transactions.push(signed.encode().into());
        }
        record
    }

    fn commit(byte: u8) -> TransactionKind {
        TransactionKind::CommitModel {
            model: MODEL,
            url: "soma:weights".parse().unwrap(),
            size_bytes: 1,
            hash: ContentHash([byte; 32]),
            embedding: None,
        }
    }

    fn reveal() -> TransactionKind {
        TransactionKind::RevealModel {
            model: MODEL,
            key: DecryptionKey([1; 32]),
            embedding: Embedding::draw(&Seed([1; 32]), 64),
        }
    }

    /// Updates one upon the other, one that is never revealed, and the end.
    #[test]
    fn a_models_life_is_followed() {
        let activated = || vec![Event::ModelActivated { model: MODEL }];
        let mut all = Generations::default();
        for record in [
            block(1, 0, vec![commit(1)], vec![]),
            block(12, 1, vec![reveal(), commit(2)], vec![]),
            block(21, 2, vec![], activated()),
            block(22, 2, vec![reveal(), commit(3)], vec![]),
            block(31, 3, vec![], activated()),
            block(
                51,
                5,
                vec![],
                vec![Event::ModelInactive {
                    model: MODEL,
                    reason: Inactivity::Stale,
                }],
            ),
        ] {
            all.learn(&record);
        }
        let found: Vec<_> = all
            .of(&MODEL)
            .iter()
            .map(|one| (one.hash.0[0], one.revealed, one.active_from, one.active_until))
            .collect();
        assert_eq!(
            found,
            [
                (1, Some((12, 0)), Some(Epoch(2)), Some(Epoch(2))),
                (2, Some((22, 0)), Some(Epoch(3)), Some(Epoch(4))),
                (3, None, None, None),
            ]
        );
        let last = |byte| all.last_active(&ContentHash([byte; 32]), Epoch(9));
        assert_eq!(
            (last(1), last(2), last(3)),
            (Some(Epoch(2)), Some(Epoch(4)), None)
        );
        assert_eq!(last(4), None);
    }
}
