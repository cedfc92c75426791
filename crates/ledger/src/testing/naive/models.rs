//! The life of a model, and who is routed to (docs/protocol.md, sections 5 and 6).

use std::cmp::Reverse;

use soma_routing::fixed::ln_q46;
use soma_types::{
    Address, Architecture, Commitment, ContentHash, DecryptionKey, Embedding, Epoch, Height, ModelId,
    Rejection, TransactionHash, Url,
    objects::{CommittedWeights, Inactivity, ModelStatus, Seat, Weights, embedding_commitment},
    transaction::{BasisPoints, PoolId},
};

use super::{Economy, Model, money, part, root_q16, set_rate, shannons};

impl Economy {
    pub(super) fn create_model(
        &mut self,
        sender: Address,
        hash: TransactionHash,
        commission: BasisPoints,
        stake: u128,
        architecture: Architecture,
    ) -> Result<ModelId, Rejection> {
        if stake < money(self.params.model_stake_min) {
            return Err(Rejection::StakeTooSmall {
                amount: shannons(stake),
                minimum: self.params.model_stake_min,
            });
        }
        if architecture != self.params.architecture {
            return Err(Rejection::WrongArchitecture {});
        }
        let id = ModelId::created_by(&hash);
        self.stake(sender, PoolId::Model(id), stake)?;
        let model = Model {
            owner: sender,
            commission: vec![(self.now.epoch, commission)],
            status: ModelStatus::Created,
            retiring: None,
            weights: None,
            previous: None,
            revealed: None,
            committed: None,
            faulted: None,
            hits: 0,
            hits_total: 0,
            rewards_total: 0,
        };
        self.models.insert(id, model);
        Ok(id)
    }

    fn own_model(&mut self, sender: &Address, id: ModelId) -> Result<&mut Model, Rejection> {
        let model = self
            .models
            .get_mut(&id)
            .ok_or(Rejection::NoSuchModel { model: id })?;
        if model.owner != *sender {
            return Err(Rejection::NotOwner { owner: model.owner });
        }
        if !model.is_live() {
            return Err(Rejection::ModelRetired {});
        }
        Ok(model)
    }

    pub(super) fn commit_model(
        &mut self,
        sender: Address,
        id: ModelId,
        url: &Url,
        size_bytes: u64,
        hash: ContentHash,
        embedding: Option<Commitment>,
    ) -> Result<(), Rejection> {
        let model = self.own_model(&sender, id)?.clone();
        if let Some(waiting) = &model.committed {
            return Err(Rejection::AlreadyCommitted { epoch: waiting.epoch });
        }
        let limit_bytes = self.params.weights_size_max_bytes;
        if size_bytes == 0 || size_bytes > limit_bytes {
            return Err(Rejection::WeightsSize {
                size_bytes,
                limit_bytes,
            });
        }
        if self.params.bound_embeddings == 1 && embedding.is_none() {
            return Err(Rejection::EmbeddingNotCommitted {});
        }
        // Choice: the least own stake is asked for at each commit; stake added in this epoch is in it.
        let (_, stake) = self.pools[&PoolId::Model(id)].stake_of(&sender, self.now.epoch);
        if stake < money(self.params.model_stake_min) {
            return Err(Rejection::SelfStakeTooSmall {
                stake: shannons(stake),
                minimum: self.params.model_stake_min,
            });
        }
        let mib_epochs = u128::from(size_bytes) * u128::from(self.params.refresh_epochs);
        let rent = (self.now.rent_rate * mib_epochs).div_ceil(1 << 20);
        self.take(&sender, rent)?;
        self.now.rent += rent;
        // Choice: whoever commits the file they already compete with keeps their place in the order.
        let same = [&model.revealed, &model.weights]
            .into_iter()
            .flatten()
            .find(|(weights, _)| weights.committed.hash == hash)
            .map(|(weights, _)| weights.committed.sequence);
        let sequence = match same {
            Some(sequence) => sequence,
            None => self.next_sequence(),
        };
        let (epoch, architecture) = (Epoch(self.now.epoch), self.params.architecture);
        self.own_model(&sender, id)?.committed = Some(CommittedWeights {
            url: url.clone(),
            size_bytes,
            hash,
            epoch,
            architecture,
            sequence,
            embedding,
        });
        Ok(())
    }

    pub(super) fn reveal_model(
        &mut self,
        sender: Address,
        id: ModelId,
        key: DecryptionKey,
        embedding: &Embedding,
    ) -> Result<(), Rejection> {
        let (epoch, expected) = (self.now.epoch, self.params.architecture.embedding_dim);
        // The first part of the epoch's blocks, and the first block whatever the part.
        let taken = part(
            u128::from(self.params.epoch_blocks),
            self.params.weights_reveal_share,
        );
        let until = self.now.first_height + (taken as u64).saturating_sub(1);
        let is_late = self.height > until;
        let model = self.own_model(&sender, id)?;
        let committed = model.committed.clone().ok_or(Rejection::NothingCommitted {})?;
        let due = committed.epoch.0 + 1;
        if epoch < due {
            return Err(Rejection::RevealTooEarly { due: Epoch(due) });
        }
        if embedding.dim() != expected as usize {
            let given = embedding.dim() as u32;
            return Err(Rejection::WrongDimension { given, expected });
        }
        if is_late {
            return Err(Rejection::RevealTooLate { until: Height(until) });
        }
        let shown = embedding_commitment(&sender, &key, embedding);
        if committed.embedding.is_some_and(|fixed| fixed != shown) {
            return Err(Rejection::EmbeddingMismatch {});
        }
        let weights = Weights {
            committed,
            key,
            active_from: Epoch(due + 1),
        };
        model.committed = None;
        model.revealed = Some((weights, embedding.clone()));
        Ok(())
    }

    pub(super) fn set_model_commission(
        &mut self,
        sender: Address,
        id: ModelId,
        commission: BasisPoints,
    ) -> Result<(), Rejection> {
        let epoch = self.now.epoch;
        set_rate(&mut self.own_model(&sender, id)?.commission, commission, epoch);
        Ok(())
    }

    pub(super) fn deactivate_model(&mut self, sender: Address, id: ModelId) -> Result<(), Rejection> {
        self.own_model(&sender, id)?.retiring = Some(Inactivity::Deactivated);
        Ok(())
    }

    pub(super) fn report_model(&mut self, sender: Address, id: ModelId) -> Result<(), Rejection> {
        let seats = self.seats().to_vec();
        if seats.iter().all(|seat| seat.validator != sender) {
            return Err(Rejection::NotInCommittee {});
        }
        let epoch = self.now.epoch;
        let model = self.models.get(&id).ok_or(Rejection::NoSuchModel { model: id })?;
        if !model.is_live() {
            return Err(Rejection::ModelRetired {});
        }
        let newest = model.revealed.as_ref().or(model.weights.as_ref());
        let (weights, _) = newest
            .filter(|(weights, _)| weights.committed.architecture == self.params.architecture)
            .ok_or(Rejection::NothingToReport {})?;
        let sequence = weights.committed.sequence;
        if !self.reports.insert((id, sequence, epoch, sender)) {
            return Err(Rejection::AlreadyReported {});
        }
        let total: u128 = seats.iter().map(|seat| money(seat.stake)).sum();
        // Those of this epoch and of the one before count.
        let counts = |seat: &&Seat| {
            let since = epoch.saturating_sub(1);
            (since..=epoch).any(|at| self.reports.contains(&(id, sequence, at, seat.validator)))
        };
        let reported: u128 = seats.iter().filter(counts).map(|seat| money(seat.stake)).sum();
        if 3 * reported > 2 * total {
            let share = self.params.fault_slash;
            self.slash_owner(id, share);
            if let Some(model) = self.models.get_mut(&id) {
                model.retiring = Some(Inactivity::Faulted);
                model.faulted = Some(sequence);
                model.revealed = None;
            }
        }
        Ok(())
    }

    fn slash_owner(&mut self, id: ModelId, share: BasisPoints) {
        let owner = self.models[&id].owner;
        let pool = self.pools.entry(PoolId::Model(id)).or_default();
        let slashed = pool.slash(&owner, share, self.now.epoch);
        self.forfeit(slashed);
    }

    /// The boundary: commitments lapse, revealed weights take over, old ones go stale, models retire.
    pub(super) fn roll_models(&mut self) {
        let now = self.now.epoch;
        let (refresh, share) = (self.params.refresh_epochs, self.params.lapse_slash);
        for id in self.models.keys().copied().collect::<Vec<_>>() {
            let id_pool = PoolId::Model(id);
            let retired = self.models[&id].status == ModelStatus::Retired;
            if let Some(pool) = self.pools.get_mut(&id_pool)
                && !(retired && pool.is_mature())
            {
                pool.roll(now);
            }
            let model = self.models.get_mut(&id).expect("listed");
            model.hits = 0;
            // Of another shape than the network's, nothing is of use: it is dropped at no loss.
            let network = self.params.architecture;
            model.committed.take_if(|one| one.architecture != network);
            model
                .revealed
                .take_if(|(one, _)| one.committed.architecture != network);
            let outgrown = model
                .weights
                .as_ref()
                .is_some_and(|(one, _)| one.committed.architecture != network);
            if model.status == ModelStatus::Active && outgrown {
                model.status = ModelStatus::Stale;
            }
            // Choice: one that retires while it owes a reveal, or before what it revealed has competed, does
            // not get away with it.
            let retiring = model.retiring.is_some();
            let owed = model
                .committed
                .take_if(|committed| committed.epoch.0 + 1 < now || retiring)
                .is_some();
            let lapsed = model.revealed.take_if(|_| retiring).is_some() || owed;
            if let Some(next) = model.revealed.take() {
                model.previous = model.weights.replace(next).map(|(weights, _)| weights);
                model.status = ModelStatus::Active;
            }
            let too_old = model
                .weights
                .as_ref()
                .is_some_and(|(weights, _)| weights.active_from.0 + refresh <= now);
            if model.status == ModelStatus::Active && too_old {
                model.status = ModelStatus::Stale;
            }
            if model.retiring.is_some() {
                model.status = ModelStatus::Retired;
            }
            if lapsed {
                self.slash_owner(id, share);
                self.pools.entry(id_pool).or_default().count();
            }
        }
    }

    /// The models that compete, with the stake that counts.
    pub(super) fn competing(&self) -> Vec<(ModelId, u64, u128, Embedding)> {
        self.models
            .iter()
            .filter(|(_, model)| model.status == ModelStatus::Active)
            .filter_map(|(id, model)| {
                let (weights, embedding) = model.weights.clone()?;
                let stake = self.pools[&PoolId::Model(*id)].counted;
                (stake > 0).then_some((*id, weights.committed.sequence, stake, embedding))
            })
            .collect()
    }

    /// kappa * similarity + ln(stake), the highest first, ties to the lower id; then in the order of commits.
    pub(super) fn route(&self, target: &Embedding) -> Vec<ModelId> {
        let kappa_q16 = 4 * root_q16(target.dim() as u32) as i128;
        let mut models = self.competing();
        models.sort_by_key(|(id, _, stake, embedding)| {
            let similarity_q30 = i128::from(embedding.dot(target));
            let ln_stake_q46 = i128::from(ln_q46(shannons(*stake).0));
            (Reverse(kappa_q16 * similarity_q30 + ln_stake_q46), *id)
        });
        models.truncate(self.params.models_per_target as usize);
        models.sort_by_key(|(id, sequence, _, _)| (*sequence, *id));
        models.into_iter().map(|(id, _, _, _)| id).collect()
    }
}
