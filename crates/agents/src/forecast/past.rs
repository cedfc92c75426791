//! Epochs that are over, read from a node.

use std::collections::BTreeMap;

use soma_client::{ClientError, NodeClient, TargetFilter};
use soma_types::{
    Embedding, Epoch, ModelId, Shannons,
    api::TargetView,
    objects::{EpochRecord, EpochState, Weights},
};

use crate::bench::{BenchError, competed_in, weights_in, weights_of};

/// A model as it competed in an epoch.
#[derive(Clone, Debug)]
pub struct Rival {
    /// Its name.
    pub id: ModelId,
    /// Its embedding then.
    pub embedding: Embedding,
    /// Its stake that counts now.
    pub stake: Shannons,
    /// Its weights then.
    pub weights: Weights,
}

/// An epoch that is over.
#[derive(Clone, Debug)]
pub struct Past {
    /// How it stood when it closed.
    pub state: EpochState,
    /// What each of its hits earned.
    pub reward_per_hit: Shannons,
    /// Its targets, latest first.
    pub targets: Vec<TargetView>,
    /// The models that they name.
    pub rivals: BTreeMap<ModelId, Rival>,
}

impl Past {
    /// What each hit would have earned with so many more: hits beyond the goal share the same.
    #[must_use]
    pub fn reward_with(&self, more: u64, hits_goal: u64) -> Shannons {
        reward_with(self.reward_per_hit, self.state.hits, more, hits_goal)
    }
}

/// See [`Past::reward_with`].
#[must_use]
pub fn reward_with(per_hit: Shannons, hits: u64, more: u64, hits_goal: u64) -> Shannons {
    let shared = |hits: u64| u128::from(hits.max(hits_goal).max(1));
    let all = u128::from(per_hit.0) * shared(hits);
    let each = all / shared(hits.saturating_add(more));
    // Even, so that it halves; less than it was, so it fits.
    Shannons(u64::try_from(each & !1).unwrap_or(u64::MAX))
}

/// The last `count` epochs that are over, latest first.
///
/// # Errors
/// When the node does not answer.
pub async fn epochs(node: &NodeClient, count: u64) -> Result<Vec<EpochRecord>, ClientError> {
    let current = node.status().await?.epoch;
    let mut records = Vec::new();
    for back in 1..=count {
        let Some(epoch) = current.minus(back) else { break };
        records.extend(node.epoch(Some(epoch)).await?.record);
    }
    Ok(records)
}

/// All that a forecast needs of an epoch.
///
/// # Errors
/// When the node does not answer, or does not know with which weights a model competed.
pub async fn read(node: &NodeClient, record: &EpochRecord) -> Result<Past, BenchError> {
    let state = record.state;
    let filter = TargetFilter {
        phase: None,
        epoch: Some(state.epoch),
    };
    let targets = node.targets(&filter).await?;
    let mut rivals = BTreeMap::new();
    for id in targets.iter().flat_map(|view| &view.target.models) {
        if !rivals.contains_key(id) {
            rivals.insert(*id, rival(node, id, &state).await?);
        }
    }
    Ok(Past {
        state,
        reward_per_hit: record.reward_per_hit,
        targets,
        rivals,
    })
}

async fn rival(node: &NodeClient, id: &ModelId, epoch: &EpochState) -> Result<Rival, BenchError> {
    let unknown = |epoch: Epoch| BenchError::NoWeights { model: *id, epoch };
    let view = node.model(id).await?;
    let generations = node.generations(id).await?;
    let generation = generations
        .iter()
        .find(|one| competed_in(one, epoch.epoch))
        .ok_or_else(|| unknown(epoch.epoch))?;
    let weights = match weights_of(generation, epoch) {
        Some(weights) => weights,
        None => weights_in(node, id, epoch).await?,
    };
    Ok(Rival {
        id: *id,
        embedding: generation.embedding.clone().ok_or_else(|| unknown(epoch.epoch))?,
        stake: view.pool.counted,
        weights,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_share_what_there_is_once_the_goal_is_reached() {
        let with = |hits, more| reward_with(Shannons(1_000), hits, more, 64).0;
        assert_eq!((with(3, 0), with(3, 61)), (1_000, 1_000));
        assert_eq!((with(64, 64), with(100, 100)), (500, 500));
        assert_eq!(with(64, 1), 984, "even, rounded down");
        assert_eq!(
            reward_with(Shannons(u64::MAX), u64::MAX, u64::MAX, 1).0,
            u64::MAX - 1
        );
        assert_eq!(reward_with(Shannons(10), 0, 0, 0).0, 10);
    }
}
