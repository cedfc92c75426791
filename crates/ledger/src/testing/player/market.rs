//! What a history tries with models and submissions.

use soma_types::{
    ContentHash, Embedding, ModelId, Salt, Seed, Shannons, SubmissionId, TransactionKind as Kind, list::List,
    objects::Target, transaction::Payment,
};

use super::{ACCOUNTS, Pending};
use crate::testing::{DIM, Player, address, basis, commit_model_fixed, reveal_model};

impl Player<'_> {
    /// Few contents in an epoch, so that several submissions want the same; some are old.
    pub(super) fn content(&mut self, data: u8) -> ContentHash {
        let mut hash = [data % 12; 32];
        hash[0] = self.world.epoch().0 as u8;
        if data > 250 {
            hash[0] = hash[0].wrapping_sub(1);
        }
        ContentHash(hash)
    }

    pub(super) fn commit(&mut self, who: u8, target: &Target, data: u8, fault: u8) {
        let mut find = self
            .world
            .find(who, target, data, data as usize % target.models.len());
        find.salt = Salt([data; 32]);
        find.reveal.data_hash = self.content(data);
        find.reveal.data_size_bytes = 1 + 997 * u64::from(data);
        let params = self.params();
        let (low, high, limit) = (
            params.cross_entropy_min_nano,
            params.cross_entropy_max_nano,
            params.data_size_max_bytes(),
        );
        let reveal = &mut find.reveal;
        let models = reveal.losses_nano.len();
        match fault {
            0 => reveal.losses_nano = List::new(vec![1; models + 1]).unwrap(),
            1 => reveal.data_size_bytes = params.data_size_min_bytes() - 1,
            2 => reveal.data_size_bytes = limit + 1,
            3 => reveal.data_size_bytes = limit,
            4 => reveal.embedding = Embedding::draw(&target.seed, DIM as usize + 1),
            5 => reveal.cross_entropy_nano = u64::MAX,
            6 => reveal.cross_entropy_nano = low - 1,
            7 => reveal.cross_entropy_nano = low,
            8 | 9 => {
                reveal.losses_nano = List::new(vec![u64::MAX; models]).unwrap();
                reveal.cross_entropy_nano = high + u64::from(fault - 8);
            }
            10 => {
                let opposite = reveal.embedding.as_slice().iter().map(|c| -*c).collect();
                reveal.embedding = Embedding::from_q15(opposite).unwrap();
            }
            11..16 => reveal.embedding = Embedding::draw(&Seed([data; 32]), DIM as usize),
            _ => {}
        }
        let nonce = self.nonce(who);
        let transaction = self.world.transaction(who, nonce, find.commit());
        self.next.push(Pending {
            transaction,
            who,
            find: Some(find),
        });
    }

    /// Mostly the newest finds: older ones have had their chance.
    pub(super) fn reveal(&mut self, pick: u8, odd: u8) {
        let Some(index) = self.finds.len().checked_sub(1 + pick as usize % 4) else {
            return;
        };
        let (find, id) = self.finds[index].clone();
        let mut kind = find.reveal(id);
        if let Kind::RevealSubmission { submission, salt, .. } = &mut kind {
            match odd {
                0 => *submission = SubmissionId([pick; 32]),
                1..12 => salt.0[0] ^= 1,
                _ => {}
            }
        }
        let who = if (12..20).contains(&odd) {
            odd % ACCOUNTS
        } else {
            find.who
        };
        self.push(who, kind);
    }

    /// A model and mostly its owner, sometimes another, or no model.
    pub(super) fn odd_model(&self, pick: u8, odd: u8) -> (u8, ModelId) {
        let (owner, model) = self.model(pick);
        match odd {
            0..4 => (owner, ModelId([odd; 32])),
            4..12 => (odd % ACCOUNTS, model),
            _ => (owner, model),
        }
    }

    pub(super) fn model_owner(&self, id: ModelId) -> u8 {
        let known = self.models.iter().find(|(_, model)| *model == id);
        known.map_or(0, |(owner, _)| *owner)
    }

    /// Someone becomes rich enough to go on, and the network does not run out of models: a new one is
    /// created, committed, and revealed.
    pub(super) fn renew(&mut self, who: u8) {
        let richest = (0..ACCOUNTS)
            .max_by_key(|who| self.world.balance(*who))
            .unwrap_or(0);
        let payments = List::new(vec![Payment {
            to: address(who),
            amount: Shannons(self.world.balance(richest) / 3),
        }])
        .unwrap();
        self.push(richest, Kind::Transfer { payments });
        self.flush();
        let params = self.params();
        self.push(
            who,
            Kind::CreateModel {
                commission: basis(1_000),
                stake: Shannons(params.model_stake_min.0.saturating_mul(2)),
                architecture: params.architecture,
            },
        );
        self.flush();
        let (owner, model) = *self.models.last().expect("there are always some");
        self.push(owner, commit_model_fixed(owner, model, who, who));
        self.until(0);
        self.push(owner, reveal_model(model, who));
        self.flush();
    }
}
