//! What everyone can see: the whole input of every strategy besides its own memory.

use std::collections::BTreeMap;

use soma_ledger::{
    threshold_q30,
    view::{self, AuditTask},
};
use soma_types::{
    ModelId, TargetId,
    event::Event,
    objects::{AuditStage, EpochState, Model, Target},
    params::Params,
    transaction::PoolId,
};

use crate::{
    chain::{Chain, present},
    error::SimError,
    space::{Mind, Vector, dot, floats},
};

/// A target that waits for a hit, with what scoring against it needs.
#[derive(Clone, Debug)]
pub struct OpenTarget {
    /// Its name.
    pub id: TargetId,
    /// Where it is.
    pub position: Vector,
    /// The least dot product of a hit when it opened, in Q30.
    pub threshold_q30: i64,
    /// Its models, as positions in [`Board::minds`].
    pub models: Vec<usize>,
    /// The cosines of target and models.
    pub cosines: Vec<f32>,
    /// The offset from which a commit for it that was not revealed has expired.
    pub claimed_until: u64,
}

/// A staking pool as delegators look at it.
#[derive(Clone, Copy, Debug)]
pub struct PoolView {
    /// Whose pool it is.
    pub id: PoolId,
    /// The stake that counts, in SOMA.
    pub stake: f64,
    /// What its share price has grown by in an epoch, averaged over about eight.
    pub growth: f64,
    price: f64,
}

/// Weight of the newest epoch in a pool's average growth.
const GROWTH_WEIGHT: f64 = 1.0 / 8.0;

/// What everyone can see.
#[derive(Clone, Debug)]
pub struct Board {
    /// The parameters.
    pub params: Params,
    /// The epoch in progress.
    pub now: EpochState,
    /// Blocks of the epoch that came before the next.
    pub offset: u64,
    /// The open targets, by slot.
    pub targets: Vec<Option<OpenTarget>>,
    /// What each model can do: anyone may download and score it.
    pub minds: Vec<Mind>,
    /// The models, in the order of their minds.
    pub models: Vec<ModelId>,
    places: BTreeMap<ModelId, usize>,
    /// The pools one can stake with.
    pub pools: Vec<PoolView>,
    /// The winners on which votes begin: those of the sample when an epoch begins, challenged ones when their
    /// auditors are drawn, and both when hearings do.
    pub audits: Vec<AuditTask>,
}

impl Board {
    pub(crate) fn new(chain: &mut Chain, params: Params) -> Result<Self, SimError> {
        Ok(Self {
            targets: vec![None; params.open_targets as usize],
            params,
            now: chain.epoch()?,
            offset: 0,
            minds: Vec::new(),
            models: Vec::new(),
            places: BTreeMap::new(),
            pools: Vec::new(),
            audits: Vec::new(),
        })
    }

    /// The targets that are open and that nobody was seen to commit to.
    pub fn open(&self) -> impl Iterator<Item = &OpenTarget> {
        let free = |target: &&OpenTarget| target.claimed_until <= self.offset;
        self.targets.iter().flatten().filter(free)
    }

    /// The threshold that the difficulty in force would give a new target, in Q30.
    #[must_use]
    pub fn threshold_now_q30(&self) -> i64 {
        let dim = self.params.architecture.embedding_dim;
        threshold_q30(self.now.difficulty.z_q16, dim)
    }

    /// Whether a find made now can still be revealed in this epoch.
    #[must_use]
    pub fn time_to_reveal(&self) -> bool {
        self.offset + 1 < self.now.length_blocks
    }

    /// The stage of audits whose first votes can be in the next block, if that is the first in which
    /// validators act on it.
    #[must_use]
    pub fn votes_begin(&self) -> Option<AuditStage> {
        match self.offset {
            1 => Some(AuditStage::Drawn),
            offset if offset == self.params.challenge_blocks() + 1 => Some(AuditStage::Drawn),
            offset if offset == self.params.hearing_from() + 1 => Some(AuditStage::Hearing),
            _ => None,
        }
    }

    /// Whether the next block is the first in which votes of a stage can be revealed.
    #[must_use]
    pub fn reveals_begin(&self) -> bool {
        [
            self.params.audit_commit_blocks,
            self.params.hearing_reveals_from(),
        ]
        .contains(&self.offset)
    }

    /// The place of a model's mind.
    #[must_use]
    pub fn place(&self, model: &ModelId) -> Option<usize> {
        self.places.get(model).copied()
    }

    pub(crate) fn enter(&mut self, model: ModelId, mind: Mind) {
        self.places.insert(model, self.minds.len());
        self.models.push(model);
        self.minds.push(mind);
    }

    /// Takes over what a block changed before its transactions.
    pub(crate) fn follow(
        &mut self,
        chain: &mut Chain,
        events: &[Event],
        boundary: bool,
    ) -> Result<(), SimError> {
        self.now = chain.epoch()?;
        self.offset = chain.height().0 + 1 - self.now.first_height.0;
        if boundary {
            self.targets.iter_mut().for_each(|target| *target = None);
            self.look_at_pools(chain)?;
        }
        if let Some(stage) = self.votes_begin() {
            let everything = stage == AuditStage::Hearing;
            self.audits.clear();
            if self.offset == 1 || everything {
                self.audits.extend(view::audit_tasks(chain.state(), 0, u64::MAX)?);
            }
            if self.offset > 1 {
                self.audits
                    .extend(view::challenge_tasks(chain.state(), 0, u64::MAX)?);
            }
        }
        for event in events {
            match event {
                Event::TargetOpened { target, .. } => {
                    let target = present(view::target(chain.state(), *target)?, "target")?;
                    let slot = target.slot as usize;
                    self.targets[slot] = Some(self.opened(&target));
                }
                Event::TargetFilled { target, .. } => {
                    let filled = |open: &OpenTarget| open.id == *target;
                    if let Some(slot) = self
                        .targets
                        .iter_mut()
                        .find(|open| open.as_ref().is_some_and(filled))
                    {
                        *slot = None;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes a commit for a target, which all can see.
    pub(crate) fn claim(&mut self, target: &TargetId) {
        let until = self.offset + self.params.reveal_blocks + 1;
        for open in self
            .targets
            .iter_mut()
            .flatten()
            .filter(|open| open.id == *target)
        {
            open.claimed_until = until;
        }
    }

    fn opened(&self, target: &Target) -> OpenTarget {
        let position = floats(&soma_types::Embedding::draw(
            &target.seed,
            self.params.architecture.embedding_dim as usize,
        ));
        let models: Vec<usize> = target.models.iter().filter_map(|id| self.place(id)).collect();
        OpenTarget {
            id: target.id,
            position,
            threshold_q30: target.threshold_q30,
            cosines: models
                .iter()
                .map(|place| dot(&position, &self.minds[*place].position))
                .collect(),
            models,
            claimed_until: 0,
        }
    }

    fn look_at_pools(&mut self, chain: &mut Chain) -> Result<(), SimError> {
        let counters = present(view::counters(chain.state())?, "counters")?;
        let mut ids = Vec::new();
        for index in 0..counters.validators {
            let address = present(view::validator_at(chain.state(), index)?, "validator")?;
            ids.push(PoolId::Validator(address));
        }
        for index in 0..counters.live_models {
            let id = present(view::live_model_at(chain.state(), index)?, "model")?;
            let model = present(view::model(chain.state(), id)?, "model")?;
            if Model::is_live(&model) {
                ids.push(PoolId::Model(id));
            }
        }
        let before: BTreeMap<PoolId, PoolView> = self.pools.drain(..).map(|pool| (pool.id, pool)).collect();
        for id in ids {
            let pool = present(view::pool(chain.state(), id)?, "pool")?;
            let price = (pool.stake.0 as f64 + 1.0) / (pool.shares.0 as f64 + 1_000.0);
            let growth = before.get(&id).map_or(0.0, |old| {
                old.growth + GROWTH_WEIGHT * (price / old.price - 1.0 - old.growth)
            });
            self.pools.push(PoolView {
                id,
                stake: crate::scale::in_soma(pool.counted),
                growth,
                price,
            });
        }
        Ok(())
    }
}
