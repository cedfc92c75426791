//! Which models a target goes to (PROTOCOL.md, section 6).
//!
//! score = kappa * similarity + ln(stake), kappa = 2 sqrt(dim), ties to the lower id. In fixed point:
//! a dot product in Q30 times kappa in Q16 is kappa * similarity in Q46, exactly; ln(stake) is added in
//! Q46. The largest magnitude, 2 * 91 * 2^46 + 37 * 2^46, is below 2^54.
//!
//! The table is frozen for an epoch. It is kept in memory by [`RoutingCache`] under the digest that the
//! state records, and rebuilt from the state when it is not there (after a restart, on another fork).

use std::{cmp::Ordering, sync::Arc};

use soma_types::{
    Embedding, ModelId, Shannons, embedding::dot_q30, objects::ModelStatus, transaction::PoolId,
};

use crate::{
    bank::Ledger,
    error::{Broken, OrBroken, Stop},
    fixed::{ln_q46, sqrt_q16},
    tables::{EMBEDDINGS, LIVE_MODEL_AT, MODELS, POOLS, ROUTING, RoutingRecord},
};

/// A model's part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    id: ModelId,
    /// Its weights' place in the order of commits.
    sequence: u64,
    ln_stake_q46: i64,
}

/// The active models with what routing needs, frozen for an epoch.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    dim: usize,
    kappa_q16: i64,
    entries: Vec<Entry>,
    /// The embeddings, one after the other.
    rows: Vec<i16>,
    hasher: blake3::Hasher,
}

impl RoutingTable {
    /// An empty table for embeddings of `dim` coordinates.
    #[must_use]
    pub fn new(dim: u32) -> Self {
        Self {
            dim: dim as usize,
            kappa_q16: 2 * sqrt_q16(dim) as i64,
            entries: Vec::new(),
            rows: Vec::new(),
            hasher: blake3::Hasher::new_derive_key("soma 2026 routing table"),
        }
    }

    /// Adds a model. One without stake, or of another dimension, is left out.
    pub fn push(&mut self, id: ModelId, sequence: u64, stake: Shannons, embedding: &Embedding) {
        if stake.is_zero() || embedding.dim() != self.dim {
            return;
        }
        self.entries.push(Entry {
            id,
            sequence,
            ln_stake_q46: ln_q46(stake.0),
        });
        self.rows.extend_from_slice(embedding.as_slice());
        self.hasher.update(&id.0);
        self.hasher.update(&sequence.to_le_bytes());
        self.hasher.update(&stake.0.to_le_bytes());
        for coordinate in embedding.as_slice() {
            self.hasher.update(&coordinate.to_le_bytes());
        }
    }

    /// How many models compete.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn record(&self) -> RoutingRecord {
        RoutingRecord {
            models: self.entries.len() as u64,
            digest: *self.hasher.finalize().as_bytes(),
        }
    }

    /// The `count` models of each target (all, where there are fewer), in the order in which their
    /// weights were committed. Each model's embedding is read once for all targets.
    #[must_use]
    pub fn route(&self, targets: &[Embedding], count: usize) -> Vec<Vec<ModelId>> {
        let mut best: Vec<Vec<(i64, u32)>> = vec![Vec::with_capacity(count + 1); targets.len()];
        for (index, (entry, row)) in self
            .entries
            .iter()
            .zip(self.rows.chunks_exact(self.dim))
            .enumerate()
        {
            for (target, best) in targets.iter().zip(&mut best) {
                let score = i64::from(dot_q30(row, target.as_slice())) * self.kappa_q16 + entry.ln_stake_q46;
                self.keep(best, (score, index as u32), count);
            }
        }
        best.into_iter()
            .map(|chosen| {
                let mut chosen: Vec<&Entry> = chosen
                    .iter()
                    .map(|(_, index)| &self.entries[*index as usize])
                    .collect();
                chosen.sort_by_key(|entry| (entry.sequence, entry.id));
                chosen.into_iter().map(|entry| entry.id).collect()
            })
            .collect()
    }

    /// Keeps the `count` best of those seen, best first.
    fn keep(&self, best: &mut Vec<(i64, u32)>, new: (i64, u32), count: usize) {
        if best.len() == count
            && best
                .last()
                .is_none_or(|last| self.compare(last, &new) != Ordering::Greater)
        {
            return;
        }
        let place = best.partition_point(|old| self.compare(old, &new) == Ordering::Less);
        best.insert(place, new);
        best.truncate(count);
    }

    /// `Less` when `a` is preferred: the higher score, then the lower id.
    fn compare(&self, a: &(i64, u32), b: &(i64, u32)) -> Ordering {
        let id = |index: u32| self.entries[index as usize].id;
        b.0.cmp(&a.0).then_with(|| id(a.1).cmp(&id(b.1)))
    }
}

/// Keeps the routing table between blocks. Holds nothing that the state does not determine.
#[derive(Clone, Debug, Default)]
pub struct RoutingCache {
    digest: [u8; 32],
    table: Option<Arc<RoutingTable>>,
}

impl RoutingCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Ledger<'_> {
    /// Builds the table of the current epoch from the state.
    fn build_table(&mut self) -> Result<RoutingTable, Stop> {
        let count = self.hot.counters.live_models;
        let keys: Vec<Vec<u8>> = (0..count).map(|index| LIVE_MODEL_AT.key(&index)).collect();
        self.prefetch(&keys)?;
        let mut ids = Vec::new();
        for index in 0..count {
            ids.push(self.expect(&LIVE_MODEL_AT, &index)?);
        }
        let keys: Vec<Vec<u8>> = ids
            .iter()
            .flat_map(|id| [MODELS.key(id), POOLS.key(&PoolId::Model(*id)), EMBEDDINGS.key(id)])
            .collect();
        self.prefetch(&keys)?;
        let mut table = RoutingTable::new(self.hot.params.architecture.embedding_dim);
        for id in &ids {
            let model = self.expect(&MODELS, id)?;
            if model.status != ModelStatus::Active {
                continue;
            }
            let weights = model.weights.or_broken("an active model without weights")?;
            let pool = self.expect(&POOLS, &PoolId::Model(*id))?;
            let embedding = self.expect(&EMBEDDINGS, id)?;
            table.push(*id, weights.committed.sequence, pool.counted, &embedding);
        }
        Ok(table)
    }

    /// At a boundary: builds the new epoch's table and records its digest.
    pub(crate) fn renew_table(&mut self) -> Result<Arc<RoutingTable>, Stop> {
        let table = self.build_table()?;
        self.set(&ROUTING, &(), &table.record());
        self.hot.now.models = table.len() as u64;
        Ok(Arc::new(table))
    }

    /// The epoch's table, from the cache if that has it.
    pub(crate) fn table(&mut self, cache: &RoutingCache) -> Result<Arc<RoutingTable>, Stop> {
        let record = self.expect(&ROUTING, &())?;
        if let Some(table) = cache.table.as_ref().filter(|_| cache.digest == record.digest) {
            return Ok(table.clone());
        }
        let table = self.build_table()?;
        if table.record() != record {
            return Err(Broken("routing table").into());
        }
        Ok(Arc::new(table))
    }
}

impl RoutingCache {
    /// Remembers a table.
    pub(crate) fn keep(&mut self, table: Arc<RoutingTable>) {
        self.digest = table.record().digest;
        self.table = Some(table);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soma_types::Seed;

    use super::*;

    fn table_of(stakes: &[u64], dim: u32) -> (RoutingTable, Vec<Embedding>) {
        let mut table = RoutingTable::new(dim);
        let mut embeddings = Vec::new();
        for (index, stake) in stakes.iter().enumerate() {
            let embedding = Embedding::draw(&Seed([3; 32]).derive("model", index as u64), dim as usize);
            table.push(
                ModelId([index as u8; 32]),
                index as u64,
                Shannons(*stake),
                &embedding,
            );
            embeddings.push(embedding);
        }
        (table, embeddings)
    }

    #[test]
    fn a_standard_deviation_is_worth_a_factor_of_e_squared() {
        // Similarity differs by 1/sqrt(dim): kappa times that is 2 = ln(e^2).
        let table = RoutingTable::new(64);
        let one_deviation = (1_i64 << 30) / 8;
        let gain = one_deviation * table.kappa_q16;
        assert_eq!(gain, 2 << 46);
        let stake = |times: u64| ln_q46(1_000_000_000 * times);
        assert!(gain > stake(7) - stake(1) && gain < stake(8) - stake(1));
    }

    #[test]
    fn ties_go_to_the_lower_id_and_order_is_by_commit() {
        let embedding = Embedding::draw(&Seed([1; 32]), 16);
        let mut table = RoutingTable::new(16);
        for (id, sequence) in [(9, 1), (2, 5), (4, 0)] {
            table.push(ModelId([id; 32]), sequence, Shannons(10), &embedding);
        }
        let routed = table.route(std::slice::from_ref(&embedding), 2);
        assert_eq!(routed, vec![vec![ModelId([4; 32]), ModelId([2; 32])]]);
        assert_eq!(table.route(&[embedding], 9)[0].len(), 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn routing_equals_sorting(stakes in prop::collection::vec(1_u64..1 << 50, 1..40), count in 1_usize..6, seed in any::<[u8; 32]>()) {
            let (table, embeddings) = table_of(&stakes, 32);
            let target = Embedding::draw(&Seed(seed), 32);
            let mut all: Vec<(i64, usize)> = (0..stakes.len())
                .map(|i| (-(i64::from(embeddings[i].dot(&target)) * table.kappa_q16 + ln_q46(stakes[i])), i))
                .collect();
            all.sort_unstable();
            let mut expected: Vec<ModelId> = all.iter().take(count).map(|(_, i)| ModelId([*i as u8; 32])).collect();
            expected.sort_unstable();
            prop_assert_eq!(&table.route(&[target], count)[0], &expected);
        }
    }
}
