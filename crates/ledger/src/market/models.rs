//! Models (docs/protocol.md, section 5): create, commit in epoch N, reveal in N + 1, compete from N + 2.
//!
//! Upon *commit*: rent is paid for the refresh time; the commit takes its place in the order of all commits,
//! which later breaks ties between equal models. Upon *reveal* in the first part of the next epoch: key and
//! embedding, which have to be what the commit fixed, wait for the boundary. Upon a *boundary*: revealed
//! weights take over, a commitment that was due lapses and costs a share of the owner's stake, weights past
//! their refresh time stop competing, so do weights of another shape than the network's, retiring models
//! leave. What a deactivated model has committed or revealed by then lapses, too: nobody can report it any
//! more. Within an epoch, what a model competes with never changes.

use std::ops::Range;

use soma_types::{
    Address, Architecture, Commitment, ContentHash, DecryptionKey, Embedding, ModelId, Rejection, Shannons,
    TransactionHash, Url,
    event::Event,
    objects::{
        Commission, CommittedWeights, EpochState, Inactivity, Model, ModelStatus, Pool, Weights,
        embedding_commitment,
    },
    params::Params,
    transaction::{BasisPoints, PoolId},
};

use crate::{
    error::{OrBroken, Stop},
    ledger::Ledger,
    money::bank::Bucket,
    stake::pool::{counting, is_mature},
    tables::{EMBEDDINGS, LIVE_MODEL_AT, MODEL_AT, MODELS, POOLS, REVEALED_EMBEDDINGS},
};

/// Bytes in one MiB, the unit of rent.
const MIB: u128 = 1 << 20;

/// What storing `size_bytes` for the refresh time costs, rounded up.
pub(crate) fn rent(params: &Params, now: &EpochState, size_bytes: u64) -> Shannons {
    let rate = u128::from(now.rent_per_mib_epoch.0);
    // 2^30 * 2^40 * 2^24 is well below 2^128; a rent beyond u64 is beyond any balance. A size that the rules
    // do not allow is asked about, too.
    let rent = rate
        .saturating_mul(u128::from(size_bytes))
        .saturating_mul(u128::from(params.refresh_epochs))
        .div_ceil(MIB);
    Shannons(u64::try_from(rent).unwrap_or(u64::MAX))
}

impl Ledger<'_> {
    pub(crate) fn create_model(
        &mut self,
        sender: &Address,
        transaction: &TransactionHash,
        commission: BasisPoints,
        stake: Shannons,
        architecture: Architecture,
    ) -> Result<ModelId, Stop> {
        let minimum = self.hot.params.model_stake_min;
        if stake < minimum {
            return Err(Rejection::StakeTooSmall {
                amount: stake,
                minimum,
            }
            .into());
        }
        if architecture != self.hot.params.architecture {
            return Err(Rejection::WrongArchitecture {}.into());
        }
        let id = ModelId::created_by(transaction);
        self.add_pending(PoolId::Model(id), sender, stake)?;

        // From here on nothing is rejected.
        let model = Model {
            id,
            index: self.hot.counters.models,
            owner: *sender,
            commission: Commission::new(commission, self.epoch()),
            architecture,
            created: self.epoch(),
            status: ModelStatus::Created,
            retiring: None,
            weights: None,
            previous: None,
            revealed: None,
            committed: None,
            reports: Vec::new(),
            faulted: None,
            hits: 0,
            hits_total: 0,
            rewards_total: Shannons::ZERO,
        };
        self.set(&MODELS, &id, &model);
        self.set(&MODEL_AT, &self.hot.counters.models.clone(), &id);
        self.set(&LIVE_MODEL_AT, &self.hot.counters.live_models.clone(), &id);
        self.hot.counters.models += 1;
        self.hot.counters.live_models += 1;
        self.emit(Event::ModelCreated {
            model: id,
            owner: *sender,
        });
        Ok(id)
    }

    /// A live model of `sender`.
    fn own_model(&mut self, sender: &Address, id: &ModelId) -> Result<Model, Stop> {
        let model = self
            .get(&MODELS, id)?
            .ok_or(Rejection::NoSuchModel { model: *id })?;
        if model.owner != *sender {
            return Err(Rejection::NotOwner { owner: model.owner }.into());
        }
        if !model.is_live() {
            return Err(Rejection::ModelRetired {}.into());
        }
        Ok(model)
    }

    pub(crate) fn commit_model(
        &mut self,
        sender: &Address,
        id: &ModelId,
        url: &Url,
        size_bytes: u64,
        hash: ContentHash,
        embedding: Option<Commitment>,
    ) -> Result<(), Stop> {
        let mut model = self.own_model(sender, id)?;
        if let Some(committed) = &model.committed {
            return Err(Rejection::AlreadyCommitted {
                epoch: committed.epoch,
            }
            .into());
        }
        let limit_bytes = self.hot.params.weights_size_max_bytes;
        if size_bytes == 0 || size_bytes > limit_bytes {
            return Err(Rejection::WeightsSize {
                size_bytes,
                limit_bytes,
            }
            .into());
        }
        if embedding.is_none() && self.hot.params.bound_embeddings != 0 {
            return Err(Rejection::EmbeddingNotCommitted {}.into());
        }
        let minimum = self.hot.params.model_stake_min;
        let stake = self.staked(PoolId::Model(*id), sender)?;
        if stake < minimum {
            return Err(Rejection::SelfStakeTooSmall { stake, minimum }.into());
        }
        let rent = rent(&self.hot.params, &self.hot.now, size_bytes);
        self.debit(sender, rent, Bucket::Rent)?;

        // From here on nothing is rejected.
        self.hot.now.rent = self.hot.now.rent.checked_add(rent).or_broken("rent overflowed")?;
        // The same file again is not a later copy of itself.
        let same = [&model.revealed, &model.weights]
            .into_iter()
            .flatten()
            .find(|weights| weights.committed.hash == hash)
            .map(|weights| weights.committed.sequence);
        let sequence = match same {
            Some(sequence) => sequence,
            None => self.next_sequence()?,
        };
        model.architecture = self.hot.params.architecture;
        model.committed = Some(CommittedWeights {
            url: url.clone(),
            size_bytes,
            hash,
            epoch: self.epoch(),
            architecture: model.architecture,
            sequence,
            embedding,
        });
        self.set(&MODELS, id, &model);
        self.emit(Event::ModelCommitted { model: *id, rent });
        Ok(())
    }

    pub(crate) fn reveal_model(
        &mut self,
        sender: &Address,
        id: &ModelId,
        key: DecryptionKey,
        embedding: &Embedding,
    ) -> Result<(), Stop> {
        let mut model = self.own_model(sender, id)?;
        let Some(committed) = model.committed.take() else {
            return Err(Rejection::NothingCommitted {}.into());
        };
        let due = committed.epoch.next();
        if self.epoch() < due {
            return Err(Rejection::RevealTooEarly { due }.into());
        }
        let expected = self.hot.params.architecture.embedding_dim;
        if embedding.dim() != expected as usize {
            return Err(Rejection::WrongDimension {
                given: embedding.dim() as u32,
                expected,
            }
            .into());
        }
        let blocks = self.hot.params.weights_reveal_blocks();
        if self.hot.epoch_offset(self.block) >= blocks {
            let until = self.hot.now.first_height.plus(blocks - 1);
            return Err(Rejection::RevealTooLate { until }.into());
        }
        let opens = |commitment| commitment == embedding_commitment(sender, &key, embedding);
        if !committed.embedding.is_none_or(opens) {
            return Err(Rejection::EmbeddingMismatch {}.into());
        }

        // From here on nothing is rejected.
        model.revealed = Some(Weights {
            committed,
            key,
            active_from: due.next(),
        });
        self.set(&MODELS, id, &model);
        self.set(&REVEALED_EMBEDDINGS, id, embedding);
        self.emit(Event::ModelRevealed { model: *id });
        Ok(())
    }

    pub(crate) fn set_model_commission(
        &mut self,
        sender: &Address,
        id: &ModelId,
        commission: BasisPoints,
    ) -> Result<(), Stop> {
        let mut model = self.own_model(sender, id)?;
        model.commission.set(commission, self.epoch());
        self.set(&MODELS, id, &model);
        Ok(())
    }

    pub(crate) fn deactivate_model(&mut self, sender: &Address, id: &ModelId) -> Result<(), Stop> {
        let mut model = self.own_model(sender, id)?;
        model.retiring = Some(Inactivity::Deactivated);
        self.set(&MODELS, id, &model);
        Ok(())
    }

    /// Asks for what [`Ledger::roll_model`] reads of the live models at `indices`.
    pub(crate) fn read_models(&mut self, indices: Range<u64>) -> Result<(), Stop> {
        let ids = self.expect_all(&LIVE_MODEL_AT, indices)?;
        self.prefetch(ids.iter().flat_map(|id| {
            [
                MODELS.key(id),
                POOLS.key(&PoolId::Model(*id)),
                REVEALED_EMBEDDINGS.key(id),
            ]
        }))
    }

    /// At the boundary into the current epoch: brings the live model at `index` up to date. Writes only what
    /// changed: most models do not.
    /// A retired model leaves its place to the last of the list, so the list is walked from its end.
    pub(crate) fn roll_model(&mut self, index: u64) -> Result<(), Stop> {
        let id = self.expect(&LIVE_MODEL_AT, &index)?;
        let pool_id = PoolId::Model(id);
        let (mut model, mut pool) = (self.expect(&MODELS, &id)?, self.expect(&POOLS, &pool_id)?);
        let before = (model.clone(), pool);
        let epoch = self.epoch();
        let closed = epoch.minus(1).or_broken("a boundary before the first epoch")?;
        model.hits = 0;
        model.reports.retain(|report| report.epoch >= closed);
        self.roll_pool(pool_id, &mut pool)?;
        let retiring = model.retiring.filter(|_| model.status != ModelStatus::Retired);
        self.outgrow(&mut model);

        let overdue = model
            .committed
            .as_ref()
            .is_some_and(|committed| committed.epoch < closed || retiring.is_some());
        if overdue || (retiring.is_some() && model.revealed.is_some()) {
            self.lapse(&mut model, &mut pool)?;
        }
        if let Some(weights) = model.revealed.take() {
            REVEALED_EMBEDDINGS.relocate(self.state, &id, &EMBEDDINGS)?;
            model.previous = model.weights.replace(weights);
            model.status = ModelStatus::Active;
            self.emit(Event::ModelActivated { model: id });
        }
        let expires = model
            .weights
            .as_ref()
            .map(|weights| weights.active_from.plus(self.hot.params.refresh_epochs));
        if model.status == ModelStatus::Active && expires.is_some_and(|expires| expires <= epoch) {
            model.status = ModelStatus::Stale;
            self.emit(Event::ModelInactive {
                model: id,
                reason: Inactivity::Stale,
            });
        }
        if let Some(reason) = retiring {
            model.status = ModelStatus::Retired;
            self.emit(Event::ModelInactive { model: id, reason });
        }
        // A retired model stays in the list until its pool needs no more boundaries.
        if model.status == ModelStatus::Retired && is_mature(&pool) {
            let last = self.hot.counters.live_models - 1;
            let moved = self.expect(&LIVE_MODEL_AT, &last)?;
            self.set(&LIVE_MODEL_AT, &index, &moved);
            self.remove(&LIVE_MODEL_AT, &last);
            self.hot.counters.live_models = last;
        }
        if pool != before.1 {
            self.set(&POOLS, &pool_id, &pool);
        }
        if model != before.0 {
            self.set(&MODELS, &id, &model);
        }
        Ok(())
    }

    /// Once the network has another architecture, what a model has of the old one is of no use.
    fn outgrow(&mut self, model: &mut Model) {
        let network = self.hot.params.architecture;
        model
            .committed
            .take_if(|committed| committed.architecture != network);
        let revealed = model
            .revealed
            .take_if(|weights| weights.committed.architecture != network);
        if revealed.is_some() {
            self.remove(&REVEALED_EMBEDDINGS, &model.id);
        }
        let competing = model.weights.as_ref();
        if model.status == ModelStatus::Active
            && competing.is_some_and(|weights| weights.committed.architecture != network)
        {
            model.status = ModelStatus::Stale;
            self.emit(Event::ModelInactive {
                model: model.id,
                reason: Inactivity::Outgrown,
            });
        }
    }

    /// A commitment was not opened in time, or its weights will never compete.
    fn lapse(&mut self, model: &mut Model, pool: &mut Pool) -> Result<(), Stop> {
        model.committed = None;
        if model.revealed.take().is_some() {
            self.remove(&REVEALED_EMBEDDINGS, &model.id);
        }
        let share = self.hot.params.lapse_slash;
        let slashed = self.slash_position(PoolId::Model(model.id), pool, &model.owner, share)?;
        pool.counted = counting(pool)?;
        self.emit(Event::ModelLapsed {
            model: model.id,
            slashed,
        });
        Ok(())
    }
}
