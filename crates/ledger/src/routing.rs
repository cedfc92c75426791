//! Which models a target goes to (PROTOCOL.md, section 6).
//!
//! score = kappa * similarity + ln(stake), kappa = 4 sqrt(dim), ties to the lower id. In fixed point:
//! a dot product in Q30 times kappa in Q16 is kappa * similarity in Q46, exactly; ln(stake) is added in
//! Q46. The largest magnitude, 4 * 91 * 2^46 + 37 * 2^46, is below 2^55.
//!
//! **Why 4.** With it, a model one standard deviation of chance closer makes up for e^4 = 55 times the stake. Models that
//! descend from one ancestor are less apart than chance has it, and established pools hold a thousand times
//! the least stake: with kappa = 2 sqrt(dim) no newcomer was ever routed to, however good, so none could
//! show that it deserved stake (docs/economy.md, with the figures of both).
//!
//! The table is frozen for an epoch. It is kept in memory by [`RoutingCache`] under the digest that the
//! state records, and rebuilt from the state when it is not there (after a restart, on another fork).

use std::{cmp::Ordering, collections::BTreeMap, ops::Range, sync::Arc};

use rayon::prelude::*;
use soma_types::{Embedding, ModelId, Shannons, objects::ModelStatus, transaction::PoolId};

use crate::{
    bank::Ledger,
    error::{Broken, OrBroken, Stop},
    fixed::{ln_q46, sqrt_q16},
    similarity::{LANES, Targets},
    tables::{EMBEDDINGS, LIVE_MODEL_AT, MODELS, POOLS, ROUTING, RoutingRecord},
};

/// Rows that one thread takes at a time: one MiB at dimension 2048.
const ROWS_PER_TASK: usize = 256;
/// Rows whose dot products are looked at together: what they are written to stays in the cache.
const ROWS_PER_LOOK: usize = 16;
/// Bytes hashed at a time.
const HASHED_BYTES: usize = 1 << 16;

/// A model's part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    id: ModelId,
    /// Its weights' place in the order of commits.
    sequence: u64,
    stake: Shannons,
    ln_stake_q46: i64,
}

/// The active models with what routing needs, frozen for an epoch.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    dim: usize,
    /// Coordinates from one row to the next.
    stride: usize,
    kappa_q16: i64,
    entries: Vec<Entry>,
    /// The embeddings, one after the other, each padded with zeros.
    rows: Vec<i16>,
}

/// The best models of a target so far, best first: score and row.
type Best = Vec<(i64, u32)>;

impl RoutingTable {
    /// An empty table for embeddings of `dim` coordinates.
    #[must_use]
    pub fn new(dim: u32) -> Self {
        Self {
            dim: dim as usize,
            stride: (dim as usize).next_multiple_of(LANES),
            kappa_q16: 4 * sqrt_q16(dim) as i64,
            entries: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Adds a model. One without stake, or of another dimension, is left out.
    pub fn push(&mut self, id: ModelId, sequence: u64, stake: Shannons, embedding: &Embedding) {
        self.push_row(id, sequence, stake, embedding.as_slice());
    }

    fn push_row(&mut self, id: ModelId, sequence: u64, stake: Shannons, row: &[i16]) {
        if stake.is_zero() || row.len() != self.dim {
            return;
        }
        self.entries.push(Entry {
            id,
            sequence,
            stake,
            ln_stake_q46: ln_q46(stake.0),
        });
        self.rows.extend_from_slice(row);
        self.rows.resize(self.entries.len() * self.stride, 0);
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

    /// The embedding at `place`, without its padding.
    fn row(&self, place: usize) -> &[i16] {
        &self.rows[place * self.stride..][..self.dim]
    }

    pub(crate) fn record(&self) -> RoutingRecord {
        let mut hasher = blake3::Hasher::new_derive_key("soma 2026 routing table");
        let mut bytes = Vec::with_capacity(HASHED_BYTES + 2 * self.dim);
        for (place, entry) in self.entries.iter().enumerate() {
            bytes.extend_from_slice(&entry.id.0);
            bytes.extend_from_slice(&entry.sequence.to_le_bytes());
            bytes.extend_from_slice(&entry.stake.0.to_le_bytes());
            let row = bytes.len();
            bytes.resize(row + 2 * self.dim, 0);
            for (pair, coordinate) in bytes[row..].chunks_exact_mut(2).zip(self.row(place)) {
                pair.copy_from_slice(&coordinate.to_le_bytes());
            }
            if bytes.len() >= HASHED_BYTES {
                hasher.update(&bytes);
                bytes.clear();
            }
        }
        hasher.update(&bytes);
        RoutingRecord {
            models: self.entries.len() as u64,
            digest: *hasher.finalize().as_bytes(),
        }
    }

    /// The `count` models of each target (all, where there are fewer), in the order in which their
    /// weights were committed. Each model's embedding is read from memory once for all targets, and the rows are
    /// shared among the machine's cores: the best are the same whoever finds them.
    ///
    /// # Panics
    /// When a target's dimension is not the table's.
    #[must_use]
    pub fn route(&self, targets: &[Embedding], count: usize) -> Vec<Vec<ModelId>> {
        assert!(
            targets.iter().all(|target| target.dim() == self.dim),
            "one architecture"
        );
        let tiles = Targets::new(targets);
        let tasks = (0..self.len().div_ceil(ROWS_PER_TASK)).into_par_iter();
        let rows = |task: usize| task * ROWS_PER_TASK..self.len().min((task + 1) * ROWS_PER_TASK);
        let best = match tasks.len() {
            // Waking other threads takes longer than a small table.
            0 | 1 => self.best(rows(0), &tiles, targets.len(), count),
            _ => tasks
                .map(|task| self.best(rows(task), &tiles, targets.len(), count))
                .reduce(
                    || vec![Best::new(); targets.len()],
                    |mut some, others| {
                        for (best, other) in some.iter_mut().zip(others) {
                            other.into_iter().for_each(|new| self.keep(best, new, count));
                        }
                        some
                    },
                ),
        };
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

    /// The best `count` of `rows` for each of the `targets` in `tiles`.
    fn best(&self, rows: Range<usize>, tiles: &Targets, targets: usize, count: usize) -> Vec<Best> {
        let mut best = vec![Best::with_capacity(count + 1); targets];
        let mut dots = vec![0; ROWS_PER_LOOK * targets];
        for first in rows.clone().step_by(ROWS_PER_LOOK) {
            let look = first..rows.end.min(first + ROWS_PER_LOOK);
            tiles.dots(
                &self.rows[look.start * self.stride..look.end * self.stride],
                self.stride,
                &mut dots,
            );
            for (row, dots) in look.zip(dots.chunks_exact(targets.max(1))) {
                let ln_stake_q46 = self.entries[row].ln_stake_q46;
                for (best, dot) in best.iter_mut().zip(dots) {
                    let score = i64::from(*dot) * self.kappa_q16 + ln_stake_q46;
                    self.keep(best, (score, row as u32), count);
                }
            }
        }
        best
    }

    /// Keeps the `count` best of those seen, best first.
    fn keep(&self, best: &mut Best, new: (i64, u32), count: usize) {
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

    /// The table of `record`, if that is what is here.
    fn find(&self, record: &RoutingRecord) -> Option<Arc<RoutingTable>> {
        self.table.clone().filter(|_| self.digest == record.digest)
    }

    fn keep(&mut self, record: &RoutingRecord, table: RoutingTable) -> Arc<RoutingTable> {
        let table = Arc::new(table);
        self.digest = record.digest;
        self.table = Some(table.clone());
        table
    }
}

impl Ledger<'_> {
    /// Builds the table of the current epoch from the state. At a boundary, `before` is the table of the
    /// epoch that closed: rows that are in it and did not change are not read again.
    fn build_table(&mut self, before: Option<&RoutingTable>) -> Result<RoutingTable, Stop> {
        let count = self.hot.counters.live_models;
        let keys: Vec<Vec<u8>> = (0..count).map(|index| LIVE_MODEL_AT.key(&index)).collect();
        self.prefetch(&keys)?;
        let mut ids = Vec::new();
        for index in 0..count {
            ids.push(self.expect(&LIVE_MODEL_AT, &index)?);
        }
        let keys: Vec<Vec<u8>> = ids
            .iter()
            .flat_map(|id| [MODELS.key(id), POOLS.key(&PoolId::Model(*id))])
            .collect();
        self.prefetch(&keys)?;
        let mut known = BTreeMap::new();
        if let Some(before) = before {
            known.extend(before.entries.iter().map(|entry| entry.id).zip(0..));
        }
        let mut competing = Vec::with_capacity(ids.len());
        for id in &ids {
            let model = self.expect(&MODELS, id)?;
            if model.status != ModelStatus::Active {
                continue;
            }
            let weights = model.weights.or_broken("an active model without weights")?;
            // New weights come with a new embedding.
            let place = known.get(id).filter(|_| weights.active_from < self.epoch());
            competing.push((*id, weights.committed.sequence, place.copied()));
        }
        let keys: Vec<Vec<u8>> = competing
            .iter()
            .filter(|(_, _, place)| place.is_none())
            .map(|(id, _, _)| EMBEDDINGS.key(id))
            .collect();
        self.prefetch(&keys)?;
        let mut table = RoutingTable::new(self.hot.params.architecture.embedding_dim);
        table.entries.reserve_exact(competing.len());
        table.rows.reserve_exact(competing.len() * table.stride);
        for (id, sequence, place) in competing {
            let stake = self.expect(&POOLS, &PoolId::Model(id))?.counted;
            match before.zip(place) {
                Some((before, place)) => table.push_row(id, sequence, stake, before.row(place)),
                None => table.push(id, sequence, stake, &self.expect(&EMBEDDINGS, &id)?),
            }
        }
        Ok(table)
    }

    /// At a boundary: builds the new epoch's table and records its digest.
    pub(crate) fn renew_table(&mut self, cache: &mut RoutingCache) -> Result<(), Stop> {
        let before = cache.find(&self.expect(&ROUTING, &())?);
        let table = self.build_table(before.as_deref())?;
        let record = table.record();
        self.set(&ROUTING, &(), &record);
        self.hot.now.models = record.models;
        cache.keep(&record, table);
        Ok(())
    }

    /// The epoch's table, from the cache if that has it.
    pub(crate) fn table(&mut self, cache: &mut RoutingCache) -> Result<Arc<RoutingTable>, Stop> {
        let record = self.expect(&ROUTING, &())?;
        if let Some(table) = cache.find(&record) {
            return Ok(table);
        }
        let table = self.build_table(None)?;
        if table.record() != record {
            return Err(Broken("routing table").into());
        }
        Ok(cache.keep(&record, table))
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
    fn a_standard_deviation_is_worth_a_factor_of_e_to_the_fourth() {
        // Similarity differs by 1/sqrt(dim): kappa times that is 4 = ln(e^4).
        let table = RoutingTable::new(64);
        let one_deviation = (1_i64 << 30) / 8;
        let gain = one_deviation * table.kappa_q16;
        assert_eq!(gain, 4 << 46);
        let stake = |times: u64| ln_q46(1_000_000_000 * times);
        assert!(gain > stake(54) - stake(1) && gain < stake(55) - stake(1));
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
