//! Documents on their way through a model: cut into pieces, many of which go through together.

use std::{iter::Peekable, ops::ControlFlow};

use rayon::prelude::*;
use soma_types::Architecture;

use super::error::{ModelError, ScoreError};
use crate::{
    forward,
    kernels::{BackendError, Kernels, POINTS, floating_point_is_ieee},
    model::Model,
    sigreg::DIRECTIONS,
    tokenizer::{Chunk, VOCAB, chunks},
};

/// Token losses (nats) and representations from here on are refused.
const MAGNITUDE_LIMIT: f32 = 32_768.0;
/// Models of more multiply-adds per chunk keep all threads on one pass, which bounds memory.
const CHUNK_WORK_MAX: u64 = 1 << 32;
/// Tokens that go through a large model together (V1: 64 KiB of memory each): enough that its weights
/// are read rarely, however short the documents.
const LARGE_PASS_ROWS: usize = 2048;
/// The same for small models, of which every thread runs its own pass in its cache.
const SMALL_PASS_ROWS: usize = 256;
/// Chunks that go through a model together: each has sums of its own, of 64 KiB and more, whatever its
/// length.
const PASS_CHUNKS: usize = 64;
/// Passes of small models between two looks at the watch, for each thread.
const PASSES_PER_THREAD: usize = 16;

/// Follows long work: told the tokens done since it was last called, it says whether to go on. Called
/// before anything is done, with 0, and after every few chunks.
pub type Watch<'a> = dyn Fn(u64) -> ControlFlow<()> + Sync + 'a;

/// Watches nothing and never stops.
pub(crate) const UNWATCHED: &Watch<'static> = &|_| ControlFlow::Continue(());

/// A chunk, and where it belongs.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    /// The document's place in the call.
    pub(super) document: usize,
    /// First byte in the document.
    position: usize,
    pub(super) chunk: Chunk<'a>,
}

/// The pieces of one document.
pub(super) fn pieces(document: usize, data: &[u8], length: usize) -> impl Iterator<Item = Piece<'_>> {
    chunks(data, length).enumerate().map(move |(index, chunk)| Piece {
        document,
        position: index * length,
        chunk,
    })
}

/// Sends pieces through the model, many at once, and hands `then`'s results for their representations
/// and token losses to `each`, in the pieces' order.
pub(super) fn each_piece<'a, T: Send>(
    kernels: &dyn Kernels,
    model: &Model,
    pieces: impl Iterator<Item = Piece<'a>>,
    watch: &Watch<'_>,
    then: impl Fn(&Piece<'_>, &[f32], &[f32]) -> T + Sync,
    mut each: impl FnMut(&Piece<'_>, Result<T, ModelError>),
) -> Result<(), ScoreError> {
    let mut pieces = pieces.peekable();
    // A large model keeps all threads on one pass, which bounds memory.
    let (rows_max, passes_max) = if splits(model.architecture()) {
        (LARGE_PASS_ROWS, 1)
    } else {
        (SMALL_PASS_ROWS, PASSES_PER_THREAD * rayon::current_num_threads())
    };
    let mut tokens = 0;
    loop {
        if watch(tokens).is_break() {
            return Err(ScoreError::Cancelled);
        }
        let mut passes = Vec::new();
        while passes.len() < passes_max && pieces.peek().is_some() {
            passes.push(next_pass(&mut pieces, rows_max));
        }
        if passes.is_empty() {
            return Ok(());
        }
        let results: Vec<_> = match &passes[..] {
            [pass] => vec![pass_through(kernels, model, pass, &then)],
            passes => passes
                .par_iter()
                .map(|pass| pass_through(kernels, model, pass, &then))
                .collect(),
        };
        for (pass, results) in passes.iter().zip(results) {
            pass.iter()
                .zip(results?)
                .for_each(|(piece, result)| each(piece, result));
        }
        tokens = passes
            .iter()
            .flatten()
            .map(|piece| piece.chunk.len() as u64)
            .sum();
    }
}

/// One pass: `then` of every piece whose numbers are all in range.
fn pass_through<T>(
    kernels: &dyn Kernels,
    model: &Model,
    pass: &[Piece<'_>],
    then: impl Fn(&Piece<'_>, &[f32], &[f32]) -> T,
) -> Result<Vec<Result<T, ModelError>>, BackendError> {
    floating_point_is_ieee()?;
    let chunks: Vec<_> = pass.iter().map(|piece| piece.chunk).collect();
    let representations = forward::representations(kernels, model, &chunks);
    let losses = forward::token_losses(kernels, model, &representations, &chunks);
    let width = model.architecture().embedding_dim as usize;
    let (mut representations, mut losses) = (&representations[..], &losses[..]);
    let own = |piece: &Piece<'_>| {
        let (own, own_losses);
        (own, representations) = representations.split_at(piece.chunk.len() * width);
        (own_losses, losses) = losses.split_at(piece.chunk.predicted());
        check_range(own, "representation", piece.position)?;
        check_range(own_losses, "token loss", piece.position)?;
        Ok(then(piece, own, own_losses))
    };
    Ok(pass.iter().map(own).collect())
}

/// The next pieces, together of at most `rows_max` tokens, but at least one piece.
fn next_pass<'a>(pieces: &mut Peekable<impl Iterator<Item = Piece<'a>>>, rows_max: usize) -> Vec<Piece<'a>> {
    let mut pass: Vec<_> = pieces.next().into_iter().collect();
    let mut rows: usize = pass.iter().map(|piece| piece.chunk.len()).sum();
    while pass.len() < PASS_CHUNKS
        && let Some(piece) = pieces.next_if(|piece| rows + piece.chunk.len() <= rows_max)
    {
        rows += piece.chunk.len();
        pass.push(piece);
    }
    pass
}

/// The most memory that scoring `chunks` chunks takes beside the weights, on the threads of the current rayon
/// pool.
#[must_use]
pub fn working_bytes_max(architecture: &Architecture, chunks: u64) -> u64 {
    let (rows, at_once, passes) = if splits(architecture) {
        (LARGE_PASS_ROWS, 1, 1)
    } else {
        let threads = rayon::current_num_threads();
        (SMALL_PASS_ROWS, threads, PASSES_PER_THREAD * threads)
    };
    let [width, ffn, length] = [
        architecture.embedding_dim,
        architecture.ffn_dim,
        architecture.max_seq_len,
    ]
    .map(u64::from);
    let rows = (rows as u64).max(length) * at_once as u64;
    let rows = rows.min(chunks.saturating_mul(length));
    // A row's x, norm, q, k, v, output and one copy; its inner layer, logits and projections.
    let row = 7 * width + ffn + (VOCAB + DIRECTIONS) as u64;
    let sums = (width + (2 * POINTS * DIRECTIONS) as u64) * (PASS_CHUNKS * passes) as u64;
    let sums = sums.min(chunks.saturating_mul(width + (2 * POINTS * DIRECTIONS) as u64));
    size_of::<f32>() as u64 * (rows * row + width * DIRECTIONS as u64) + size_of::<i64>() as u64 * sums
}

/// Whether one chunk is enough work for all threads.
fn splits(architecture: &Architecture) -> bool {
    architecture
        .parameters()
        .saturating_mul(u64::from(architecture.max_seq_len))
        > CHUNK_WORK_MAX
}

fn check_range(values: &[f32], what: &'static str, position: usize) -> Result<(), ModelError> {
    // NaN is not below anything.
    let in_range = values
        .iter()
        .fold(true, |all, value| all & (value.abs() < MAGNITUDE_LIMIT));
    if in_range {
        Ok(())
    } else {
        Err(ModelError::NotFinite { what, position })
    }
}
