//! Documents on their way through a model: cut into pieces, many of which go through together.

use std::{iter::Peekable, ops::ControlFlow};

use rayon::prelude::*;
use soma_types::Architecture;

use super::error::{ModelError, ScoreError};
use crate::{
    device::{Findings, Place},
    forward::all_in_range,
    kernels::{POINTS, floating_point_is_ieee},
    model::Model,
    sigreg::{DIRECTIONS, Directions},
    tokenizer::{Chunk, VOCAB, chunks},
};

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
/// The same on a device, which pays for every pass.
const DEVICE_PASS_CHUNKS: usize = 256;
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

/// Sends pieces through the model, many at once, and hands what was found of each to `each`, in the pieces'
/// order.
pub(super) fn each_piece<'a>(
    place: Place,
    model: &Model,
    pieces: impl Iterator<Item = Piece<'a>>,
    directions: Option<&Directions>,
    watch: &Watch<'_>,
    mut each: impl FnMut(&Piece<'_>, Result<Findings, ModelError>),
) -> Result<(), ScoreError> {
    let mut pieces = pieces.peekable();
    let bounds = Bounds::of(place, model.architecture());
    let mut tokens = 0;
    loop {
        if watch(tokens).is_break() {
            return Err(ScoreError::Cancelled);
        }
        let mut passes = Vec::new();
        while passes.len() < bounds.passes && pieces.peek().is_some() {
            passes.push(next_pass(&mut pieces, &bounds));
        }
        if passes.is_empty() {
            return Ok(());
        }
        let results: Vec<_> = match &passes[..] {
            [pass] => vec![pass_through(place, model, pass, directions)],
            passes => passes
                .par_iter()
                .map(|pass| pass_through(place, model, pass, directions))
                .collect(),
        };
        for (pass, results) in passes.iter().zip(results) {
            pass.iter()
                .zip(results?)
                .for_each(|(piece, found)| each(piece, in_range(piece, found)));
        }
        tokens = passes
            .iter()
            .flatten()
            .map(|piece| piece.chunk.len() as u64)
            .sum();
    }
}

/// How much goes through a model at once.
struct Bounds {
    /// Tokens of a pass.
    rows: usize,
    /// Chunks of a pass.
    chunks: usize,
    /// Passes between two looks at the watch.
    passes: usize,
}

impl Bounds {
    fn of(place: Place, architecture: &Architecture) -> Self {
        let (rows, chunks, passes) = match place {
            Place::Device(device) => (device.pass_tokens(architecture), DEVICE_PASS_CHUNKS, 1),
            // A large model keeps all threads on one pass, which bounds memory.
            Place::Processor(_) if splits(architecture) => (LARGE_PASS_ROWS, PASS_CHUNKS, 1),
            Place::Processor(_) => (
                SMALL_PASS_ROWS,
                PASS_CHUNKS,
                PASSES_PER_THREAD * rayon::current_num_threads(),
            ),
        };
        Self { rows, chunks, passes }
    }
}

/// One pass.
fn pass_through(
    place: Place,
    model: &Model,
    pass: &[Piece<'_>],
    directions: Option<&Directions>,
) -> Result<Vec<Findings>, ScoreError> {
    floating_point_is_ieee()?;
    let chunks: Vec<_> = pass.iter().map(|piece| piece.chunk).collect();
    Ok(place.pass(model, &chunks, directions)?)
}

/// What was found of a piece, if all of it is in range.
fn in_range(piece: &Piece<'_>, found: Findings) -> Result<Findings, ModelError> {
    let not_finite = |what| ModelError::NotFinite {
        what,
        position: piece.position,
    };
    if !found.in_range {
        Err(not_finite("representation"))
    } else if !all_in_range(&found.losses) {
        Err(not_finite("token loss"))
    } else {
        Ok(found)
    }
}

/// The next pieces, together within `bounds`, but at least one piece.
fn next_pass<'a>(pieces: &mut Peekable<impl Iterator<Item = Piece<'a>>>, bounds: &Bounds) -> Vec<Piece<'a>> {
    let mut pass: Vec<_> = pieces.next().into_iter().collect();
    let mut rows: usize = pass.iter().map(|piece| piece.chunk.len()).sum();
    while pass.len() < bounds.chunks
        && let Some(piece) = pieces.next_if(|piece| rows + piece.chunk.len() <= bounds.rows)
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

/// Whether one chunk is enough work for all threads. Of smaller models every thread had better run a pass of
/// its own.
#[must_use]
pub fn splits(architecture: &Architecture) -> bool {
    architecture
        .parameters()
        .saturating_mul(u64::from(architecture.max_seq_len))
        > CHUNK_WORK_MAX
}
