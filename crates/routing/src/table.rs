//! The models that compete, with what routing needs of them.

use std::sync::OnceLock;

use rayon::prelude::*;
use soma_types::{Embedding, ModelId, Shannons};

use crate::{
    fixed::{ln_q46, sqrt_q16},
    shortlist::Rounded,
    similarity::LANES,
};

/// Bytes hashed at a time.
const HASHED_BYTES: usize = 1 << 16;

/// A model's part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub id: ModelId,
    /// Its weights' place in the order of commits.
    pub sequence: u64,
    stake: Shannons,
    pub ln_stake_q46: i64,
}

/// The active models with what routing needs, frozen for an epoch.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    pub(crate) dim: usize,
    /// Coordinates from one row to the next.
    pub(crate) stride: usize,
    pub(crate) kappa_q16: i64,
    pub(crate) entries: Vec<Entry>,
    /// The embeddings, one after the other, each padded with zeros.
    pub(crate) rows: Vec<i16>,
    /// The same in 8 bits, made when first asked for; `None` where that does not make routing faster.
    pub(crate) rounded: OnceLock<Option<Rounded>>,
}

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
            rounded: OnceLock::new(),
        }
    }

    /// Adds a model. One without stake, or of another dimension, is left out.
    pub fn push(&mut self, id: ModelId, sequence: u64, stake: Shannons, embedding: &Embedding) {
        self.push_row(id, sequence, stake, embedding.as_slice());
    }

    /// [`RoutingTable::push`] of an embedding's coordinates, as [`RoutingTable::row`] gives them.
    pub fn push_row(&mut self, id: ModelId, sequence: u64, stake: Shannons, row: &[i16]) {
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
        self.rounded = OnceLock::new();
    }

    /// Makes room for `models` more.
    pub fn reserve(&mut self, models: usize) {
        self.entries.reserve_exact(models);
        self.rows.reserve_exact(models * self.stride);
    }

    pub(crate) fn rounded(&self) -> Option<&Rounded> {
        let stakes = self.entries.par_iter().map(|entry| entry.ln_stake_q46);
        let rounded = || Rounded::new(&self.rows, self.stride, stakes, self.kappa_q16);
        self.rounded.get_or_init(rounded).as_ref()
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

    /// The models, in the order in which they were added.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = ModelId> + '_ {
        self.entries.iter().map(|entry| entry.id)
    }

    /// The coordinates of the embedding at `place`.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn row(&self, place: usize) -> &[i16] {
        &self.rows[place * self.stride..][..self.dim]
    }

    /// Names the table: a digest of ids, places in the order of commits, stakes and embeddings.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
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
        *hasher.finalize().as_bytes()
    }
}
