//! How much memory a run needs, from its settings: so that one for which there is not enough is not begun.

use std::num::NonZeroUsize;

use soma_model::memory::{Shortage, require};
use soma_types::architecture::VOCAB;

use crate::{kernels::attention::Sizes, settings::TrainConfig};

/// Bytes of a float.
const FLOAT: u64 = 4;
/// What the allocator cannot use, as a share of the rest: an eighth.
const SLACK: u64 = 8;
/// What a process needs besides tensors.
const BASE_BYTES: u64 = 32 << 20;

impl TrainConfig {
    /// Most memory that training takes on `threads` threads, in bytes, besides the data.
    ///
    /// The run holds the weights and their two moments, and the gradient that is being summed; each thread a
    /// copy of the weights, their gradient, and what the backward pass needs of the forward one.
    #[must_use]
    pub fn memory_bytes(&self, threads: usize) -> u64 {
        let weights = FLOAT * self.architecture.parameters();
        let threads = threads.clamp(1, self.grad_accum.max(1)) as u64;
        let summed = if threads < self.grad_accum as u64 { 1 } else { 0 };
        let tensors = (3 + summed) * weights + threads * (2 * weights + self.pass_bytes());
        tensors + tensors / SLACK + BASE_BYTES
    }

    /// With as many threads as there is memory for, which changes no weight.
    ///
    /// # Errors
    /// If it does not suffice for one.
    pub fn fitted(self) -> Result<Self, Shortage> {
        self.fitted_beside(|_, _| 0)
    }

    /// The same beside what `others_bytes` takes with a number of threads.
    ///
    /// # Errors
    /// If memory does not suffice for one thread.
    pub fn fitted_beside(self, others_bytes: impl Fn(&Self, usize) -> u64) -> Result<Self, Shortage> {
        let needed = |threads| {
            self.memory_bytes(threads)
                .saturating_add(others_bytes(&self, threads))
        };
        let threads = (1..=self.thread_count())
            .rev()
            .find(|threads| require(needed(*threads)).is_ok())
            .unwrap_or(1);
        require(needed(threads))?;
        Ok(Self {
            threads: NonZeroUsize::new(threads),
            ..self
        })
    }

    /// What a teacher takes besides: their weights, and a copy for each thread.
    #[must_use]
    pub fn teacher_bytes(&self, threads: usize) -> u64 {
        FLOAT * self.architecture.parameters() * (1 + threads as u64)
    }

    /// What one pass keeps for its way back, and works with at its widest.
    fn pass_bytes(&self) -> u64 {
        let a = &self.architecture;
        let (d, f, v) = (u64::from(a.embedding_dim), u64::from(a.ffn_dim), VOCAB as u64);
        let sizes = Sizes {
            batch: self.batch_size,
            sequence: a.max_seq_len as usize,
            heads: a.heads as usize,
            head_dim: a.head_dim() as usize,
        };
        let tokens = self.batch_size as u64 * u64::from(a.max_seq_len);
        let dropped = if self.dropout > 0.0 { 2 * d } else { 0 };
        // Two norms with their inputs' forms, turned queries and keys, values, mixed heads; the inner layer
        // and its slope.
        let layer = 8 * d + 2 * f + dropped;
        let probabilities = sizes.kept() as u64 * self.batch_size as u64 * u64::from(a.heads);
        // The final norm, SIGReg's slope and projections, logits and their slope.
        let top = 3 * d + 2 * v + self.sigreg_directions as u64;
        // The layer that is being differentiated.
        let work = 4 * d + 3 * f;
        FLOAT * (u64::from(a.layers) * (tokens * layer + probabilities) + tokens * (top + work))
    }
}

#[cfg(test)]
mod tests {
    use soma_types::Architecture;

    use super::*;

    #[test]
    fn v1_needs_what_nobody_has_by_chance() {
        let v1 = TrainConfig::new(Architecture::V1, 1);
        let one = v1.memory_bytes(1);
        assert!((30 << 30..60 << 30).contains(&one), "{one}");
        assert!(v1.memory_bytes(2) > one + 2 * FLOAT * Architecture::V1.parameters());
        assert_eq!(
            v1.memory_bytes(8),
            v1.memory_bytes(100),
            "no more threads than passes"
        );
        let nano = TrainConfig::new(Architecture::NANO, 1);
        assert!(nano.memory_bytes(2) < 200 << 20);
    }
}
