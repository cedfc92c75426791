//! The search for each target's models, by all cores.

use std::{
    cmp::Ordering,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use rayon::prelude::*;
use soma_types::{Embedding, ModelId};

use crate::{
    shortlist::Shortlist,
    similarity::Targets,
    table::{Entry, RoutingTable},
};

/// Rows that one thread takes at a time: about one MiB at dimension 2048.
const ROWS_PER_TASK: usize = 10 * ROWS_PER_LOOK;
/// Rows looked at together: what is found of them stays in the cache.
const ROWS_PER_LOOK: usize = 24;
/// Less than any score.
const NO_SCORE: i64 = -(1 << 56);

/// A model that competes for a target: score and row.
type Candidate = (i64, u32);

/// A search for the `count` best models of each target.
struct Search<'a> {
    table: &'a RoutingTable,
    targets: &'a [Embedding],
    count: usize,
    tiles: Targets,
    shortlist: Option<Shortlist<'a>>,
    /// The best models of each target so far, best first, found by all threads together.
    best: Vec<Mutex<Vec<Candidate>>>,
}

impl RoutingTable {
    /// The `count` models of each target (all, where there are fewer), in the order in which their weights
    /// were committed. Each model's embedding is read from memory once for all targets, and the rows are
    /// shared among the machine's cores: the best are the same whoever finds them, and in whichever order.
    ///
    /// # Panics
    /// When a target's dimension is not the table's.
    #[must_use]
    pub fn route(&self, targets: &[Embedding], count: usize) -> Vec<Vec<ModelId>> {
        assert!(
            targets.iter().all(|target| target.dim() == self.dim),
            "one architecture"
        );
        let rounded = self.rounded().filter(|_| !self.is_empty());
        let search = Search {
            table: self,
            targets,
            count,
            tiles: Targets::new(targets),
            shortlist: rounded.map(|rounded| {
                let rows = (self.rows.as_slice(), self.stride);
                Shortlist::new(rounded, rows, targets, self.kappa_q16, NO_SCORE)
            }),
            best: targets.iter().map(|_| Mutex::default()).collect(),
        };
        let tasks = (0..self.len().div_ceil(ROWS_PER_TASK)).into_par_iter();
        let rows = |task: usize| task * ROWS_PER_TASK..self.len().min((task + 1) * ROWS_PER_TASK);
        let lasts = || vec![None; targets.len()];
        match tasks.len() {
            // Waking other threads takes longer than a small table.
            0 | 1 => search.take(rows(0), &mut lasts()),
            _ => tasks.for_each_init(lasts, |lasts, task| search.take(rows(task), lasts)),
        }
        let best = search.best.into_iter().map(Mutex::into_inner);
        best.map(|best| {
            let best = best.unwrap_or_else(PoisonError::into_inner);
            let mut chosen: Vec<&Entry> = best.iter().map(|(_, row)| &self.entries[*row as usize]).collect();
            chosen.sort_by_key(|entry| (entry.sequence, entry.id));
            chosen.into_iter().map(|entry| entry.id).collect()
        })
        .collect()
    }

    /// `Less` when `a` is preferred: the higher score, then the lower id.
    fn compare(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let id = |index: u32| self.entries[index as usize].id;
        b.0.cmp(&a.0).then_with(|| id(a.1).cmp(&id(b.1)))
    }
}

impl Search<'_> {
    /// Looks for the best among `rows`. Where too many of them are close to the best, as in a cluster of
    /// models, a shortlist costs more than it saves, and the rest of these rows go without.
    fn take(&self, rows: Range<usize>, lasts: &mut [Option<Candidate>]) {
        let mut shortlist = self.shortlist.as_ref();
        // Scored one look later, when they have come from memory.
        let mut waiting = Vec::new();
        for first in rows.clone().step_by(ROWS_PER_LOOK) {
            let look = first..rows.end.min(first + ROWS_PER_LOOK);
            if let Some(found) = shortlist.and_then(|list| list.candidates(look.clone())) {
                self.take_some(&std::mem::replace(&mut waiting, found), lasts);
            } else {
                shortlist = None;
                self.take_all(look, lasts);
            }
        }
        self.take_some(&waiting, lasts);
    }

    /// Enters these pairs of row and target of the shortlist.
    fn take_some(&self, pairs: &[(usize, usize)], lasts: &mut [Option<Candidate>]) {
        for (row, target) in pairs {
            if let Some(list) = &self.shortlist {
                let score = list.score_q46(*row, &self.targets[*target]);
                self.enter((score, *row as u32), *target, &mut lasts[*target]);
            }
        }
    }

    /// Enters each of `rows` for each target.
    fn take_all(&self, rows: Range<usize>, lasts: &mut [Option<Candidate>]) {
        let stride = self.table.stride;
        let mut dots = vec![0; rows.len() * lasts.len()];
        let coordinates = &self.table.rows[rows.start * stride..rows.end * stride];
        self.tiles.dots(coordinates, stride, &mut dots);
        for (row, dots) in rows.zip(dots.chunks_exact(lasts.len().max(1))) {
            let ln_stake_q46 = self.table.entries[row].ln_stake_q46;
            for ((target, dot), last) in dots.iter().enumerate().zip(&mut *lasts) {
                let score = i64::from(*dot) * self.table.kappa_q16 + ln_stake_q46;
                self.enter((score, row as u32), target, last);
            }
        }
    }

    /// Enters a candidate for a target. `last` is the last of its best when that was looked at last.
    #[inline]
    fn enter(&self, new: Candidate, target: usize, last: &mut Option<Candidate>) {
        if last.is_some_and(|last| self.table.compare(&last, &new) == Ordering::Less) {
            return;
        }
        let mut best = self.best[target].lock().unwrap_or_else(PoisonError::into_inner);
        let place = best.partition_point(|old| self.table.compare(old, &new) == Ordering::Less);
        best.insert(place, new);
        best.truncate(self.count);
        if best.len() == self.count
            && let Some(floor) = best.last()
        {
            *last = Some(*floor);
            if let Some(list) = &self.shortlist {
                list.raise(target, floor.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;
    use soma_types::{Seed, Shannons};

    use super::*;
    use crate::fixed::ln_q46;

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

    /// What routing is.
    fn by_sorting(models: &[(ModelId, u64, Embedding)], target: &Embedding, count: usize) -> Vec<ModelId> {
        let kappa_q16 = RoutingTable::new(target.dim() as u32).kappa_q16;
        let mut all: Vec<_> = models
            .iter()
            .enumerate()
            .map(|(place, (id, stake, embedding))| {
                let score = i64::from(embedding.dot(target)) * kappa_q16 + ln_q46(*stake);
                (-score, *id, place)
            })
            .collect();
        all.sort_unstable();
        all.truncate(count);
        all.sort_by_key(|(_, _, place)| *place);
        all.into_iter().map(|(_, id, _)| id).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        /// Also among models too alike for a shortlist to tell apart, exact copies, stakes that outweigh any
        /// similarity, and embeddings with one large coordinate.
        #[test]
        fn routing_equals_sorting(
            // A draw in one dimension may be zero.
            dim in prop_oneof![2_usize..8, 32_usize..100],
            models in 1_u64..700,
            distinct in prop_oneof![1_u64..10, 700_u64..701],
            closeness in prop_oneof![Just(0_i64), Just(3), 0_i64..10_000],
            peak in prop_oneof![Just(0_i64), Just(1 << 24)],
            stake_bits in prop_oneof![Just(0_u32), 1_u32..64],
            targets in 1_u64..90,
            count in 1_usize..6,
            seed in any::<[u8; 32]>(),
        ) {
            let draw = |name, index| Embedding::draw(&Seed(seed).derive(name, index), dim);
            let common = draw("common", 0);
            let embedding = |index: u64| {
                let pairs = common.as_slice().iter().zip(draw("model", index).as_slice().to_vec());
                let mut sum: Vec<i64> = pairs.map(|(a, b)| closeness * i64::from(*a) + i64::from(b)).collect();
                sum[index as usize % dim] += peak;
                Embedding::from_direction(&sum).unwrap_or_else(|_| common.clone())
            };
            let models: Vec<(ModelId, u64, Embedding)> = (0..models)
                .map(|index| {
                    let id = Seed(seed).derive("id", index).0;
                    let stake = u64::from_le_bytes(*id.last_chunk().unwrap()) & ((1_u64 << stake_bits) - 1);
                    (ModelId(id), stake.max(1), embedding(index % distinct))
                })
                .collect();
            let mut targets: Vec<Embedding> = (0..targets).map(|index| draw("target", index)).collect();
            targets[0] = models[0].2.clone();
            let mut table = RoutingTable::new(dim as u32);
            for ((id, stake, embedding), sequence) in models.iter().zip(0..) {
                table.push(*id, sequence, Shannons(*stake), embedding);
            }
            let expected: Vec<Vec<ModelId>> =
                targets.iter().map(|target| by_sorting(&models, target, count)).collect();
            prop_assert_eq!(&table.route(&targets, count), &expected);
            // Without a shortlist, as where the processor cannot make one.
            table.rounded = OnceLock::from(None);
            prop_assert_eq!(&table.route(&targets, count), &expected);
        }
    }
}
