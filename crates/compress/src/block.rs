//! A block of text to words and back. Blocks know nothing of one another, so many are coded side by side, and
//! decoded in step: each expert's weights are read once for a byte of all of them.

use std::sync::atomic::{AtomicBool, Ordering};

use constriction::{
    backends::Cursor,
    stream::{
        Decode, Encode,
        queue::{DefaultRangeDecoder, DefaultRangeEncoder},
    },
};
use rayon::prelude::*;
use soma_model::{Model, Reading, ScoreError, Scorer};

use crate::{
    error::BlockError,
    shares::{PRECISION, Shares},
};

/// Models with their stakes, in order.
pub type Experts<'a> = [(&'a Model, u64)];

/// Bytes of a word of code.
const WORD_BYTES: usize = size_of::<u32>();

/// Blocks that each thread takes at once of models that do not fill all threads alone.
pub const SMALL_BATCH: usize = 32;

/// Blocks of which a byte each is worth a task.
const TASK_BLOCKS: usize = 8;

/// Bytes of a block that are coded until it is looked whether to stop: what experts read in one pass.
const PART_BYTES: usize = 256;

/// The code of each block, a whole number of words.
pub fn encode_each(
    scorer: &Scorer,
    experts: &Experts<'_>,
    blocks: &[&[u8]],
    stopped: &AtomicBool,
) -> Result<Vec<Vec<u8>>, BlockError> {
    let encode = |block: &&[u8]| encode(scorer, experts, block, stopped);
    if fills_threads(experts) {
        blocks.iter().map(encode).collect()
    } else {
        blocks.par_iter().map(encode).collect()
    }
}

fn encode(
    scorer: &Scorer,
    experts: &Experts<'_>,
    block: &[u8],
    stopped: &AtomicBool,
) -> Result<Vec<u8>, BlockError> {
    let mut coder = DefaultRangeEncoder::new();
    let mut reading = Reading::new(scorer, experts)?;
    for part in block.chunks(PART_BYTES) {
        goes_on(stopped)?;
        reading.read(part, |byte, before| {
            let shares = before
                .probabilities()
                .map_or_else(Shares::even, |probabilities| Shares::of(&probabilities));
            let coded = Encode::<PRECISION>::encode_symbol(&mut coder, byte, &shares);
            coded.expect("every byte has a share, and memory takes all words");
        })?;
    }
    let words = coder.into_compressed().unwrap_or_else(|never| match never {});
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// The code of a block of `length` bytes.
pub struct Coded<'c> {
    pub length: usize,
    pub code: &'c [u8],
}

/// The blocks of some codes; none for what is no code of such a length.
pub fn decode_each(
    scorer: &Scorer,
    experts: &Experts<'_>,
    coded: &[Coded<'_>],
    stopped: &AtomicBool,
) -> Result<Vec<Option<Vec<u8>>>, BlockError> {
    if fills_threads(experts) {
        return decode_batch(scorer, experts, coded, stopped);
    }
    let threads = rayon::current_num_threads();
    let batch = coded.len().div_ceil(threads).clamp(1, SMALL_BATCH);
    let batches: Vec<_> = coded
        .par_chunks(batch)
        .map(|coded| decode_batch(scorer, experts, coded, stopped))
        .collect::<Result<_, _>>()?;
    Ok(batches.into_iter().flatten().collect())
}

/// A block on its way back.
struct Decoding<'a> {
    reading: Reading<'a>,
    coder: DefaultRangeDecoder<Cursor<u32, Vec<u32>>>,
    length: usize,
    /// None once the code turned out to be none.
    text: Option<Vec<u8>>,
}

impl Decoding<'_> {
    /// The next byte; none where the text has all of them, or cannot.
    fn next(&mut self) -> Option<u8> {
        let text = self.text.as_mut().filter(|text| text.len() < self.length)?;
        let shares = self
            .reading
            .before()
            .probabilities()
            .map_or_else(Shares::even, |probabilities| Shares::of(&probabilities));
        match Decode::<PRECISION>::decode_symbol(&mut self.coder, &shares) {
            Ok(byte) => {
                text.push(byte);
                // Nothing follows the last.
                (text.len() < self.length).then_some(byte)
            }
            Err(_) => {
                self.text = None;
                None
            }
        }
    }
}

fn decode_batch(
    scorer: &Scorer,
    experts: &Experts<'_>,
    coded: &[Coded<'_>],
    stopped: &AtomicBool,
) -> Result<Vec<Option<Vec<u8>>>, BlockError> {
    let begin = |coded: &Coded<'_>| {
        let (words, _) = coded.code.as_chunks::<WORD_BYTES>();
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        Ok(Decoding {
            reading: Reading::new(scorer, experts)?,
            coder: DefaultRangeDecoder::from_compressed(words).unwrap_or_else(|never| match never {}),
            length: coded.length,
            text: Some(Vec::with_capacity(coded.length)),
        })
    };
    let mut all: Vec<Decoding<'_>> = coded.iter().map(begin).collect::<Result<_, ScoreError>>()?;
    loop {
        goes_on(stopped)?;
        let (mut readings, bytes): (Vec<&mut Reading<'_>>, Vec<u8>) = all
            .par_iter_mut()
            .with_min_len(TASK_BLOCKS)
            .filter_map(|decoding| {
                let byte = decoding.next()?;
                Some((&mut decoding.reading, byte))
            })
            .unzip();
        if readings.is_empty() {
            return Ok(all.into_iter().map(|decoding| decoding.text).collect());
        }
        Reading::read_each(&mut readings, &bytes)
            .into_iter()
            .collect::<Result<(), _>>()?;
    }
}

/// Looks whether somebody wants it to stop.
pub fn goes_on(stopped: &AtomicBool) -> Result<(), BlockError> {
    if stopped.load(Ordering::Relaxed) {
        return Err(BlockError::Stopped);
    }
    Ok(())
}

/// Whether a pass of an expert is enough work for all threads.
fn fills_threads(experts: &Experts<'_>) -> bool {
    experts
        .iter()
        .any(|(model, _)| soma_model::score::splits(model.architecture()))
}
