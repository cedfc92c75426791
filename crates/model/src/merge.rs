//! Averages of two models' weights (docs/strategies.md).
//!
//! Tensor by tensor: no more than one of each file is in memory, so models of V1's size are averaged on a
//! small machine. The result is F32 and canonical: equal inputs give equal bytes.

use std::{
    borrow::Cow,
    io::{Read, Seek, Write},
};

use soma_types::Architecture;

use crate::{
    layout::layout,
    safetensors::{Tensors, WeightsError, write_each},
};

/// Why two files are not averaged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// No share of a whole.
    #[error("the competitor's part is {0}, must be 0 to 1")]
    Ratio(f64),
    /// The first file is unusable.
    #[error("the first of the two: {0}")]
    Mine(#[source] WeightsError),
    /// The second file is unusable.
    #[error("the second of the two: {0}")]
    Theirs(#[source] WeightsError),
    /// The result cannot be written.
    #[error(transparent)]
    Result(#[from] WeightsError),
}

/// Weights to be averaged: where they are read from, and how many bytes that holds.
#[derive(Debug)]
pub struct Source<R> {
    /// A safetensors file.
    pub file: R,
    /// Its length.
    pub size_bytes: u64,
}

/// Writes `(1 - beta) * mine + beta * theirs` for each weight: computed in binary64, rounded once.
///
/// # Errors
/// When `beta` is not 0 to 1, either file is anything but weights of the architecture, or `out` fails.
pub fn merge<A: Read + Seek, B: Read + Seek>(
    architecture: &Architecture,
    mine: Source<A>,
    theirs: Source<B>,
    beta: f64,
    out: &mut dyn Write,
) -> Result<(), MergeError> {
    if !(0.0..=1.0).contains(&beta) {
        return Err(MergeError::Ratio(beta));
    }
    let specs = layout(&architecture.validate().map_err(WeightsError::from)?);
    let mut a = Tensors::open(mine.file, mine.size_bytes, specs.clone()).map_err(MergeError::Mine)?;
    let mut b = Tensors::open(theirs.file, theirs.size_bytes, specs.clone()).map_err(MergeError::Theirs)?;
    write_each(&specs, out, |index| {
        let mut values = a.read(index).map_err(MergeError::Mine)?;
        let others = b.read(index).map_err(MergeError::Theirs)?;
        for (value, other) in values.iter_mut().zip(others) {
            *value = ((1.0 - beta) * f64::from(*value) + beta * f64::from(other)) as f32;
        }
        Ok(Cow::Owned(values))
    })
}
