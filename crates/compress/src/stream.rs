//! From a reader to a writer: some blocks at a time, so that memory does not grow with the text.

use std::{
    io::{self, Read, Write},
    sync::atomic::AtomicBool,
};

use soma_model::{Model, Scorer, Sequence, score::splits};
use soma_types::{Architecture, ContentHash};

use crate::{
    block::{Coded, SMALL_BATCH, decode_each, encode_each, goes_on},
    error::{CompressError, DecompressError},
    format::{EXPERTS_MAX, End, Frame, Header, Named, Next, Place, next},
};

/// Memory for what experts have read in the blocks at hand. One block is always taken.
const READ_BYTES_MAX: u64 = 2 << 30;
/// Most blocks at once of models that fill all threads alone.
const LARGE_BATCH: usize = 64;

/// A model to compress with.
#[derive(Clone, Copy)]
pub struct Expert<'a> {
    /// BLAKE3 of its weights file: what the container calls it.
    pub weights: ContentHash,
    /// What it counts for before anything is known.
    pub stake: u64,
    /// Its weights.
    pub model: &'a Model,
}

/// How long something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The text.
    pub text_bytes: u64,
    /// What became of it.
    pub packed_bytes: u64,
}

/// Blocks that are in hand at once, and so how much memory is taken: it does not show in what is written.
#[must_use]
pub fn blocks_at_once(architecture: &Architecture, experts: usize) -> usize {
    let threads = rayon::current_num_threads();
    let most = if splits(architecture) {
        LARGE_BATCH
    } else {
        SMALL_BATCH * threads
    };
    let each = Sequence::memory_bytes_max(architecture).saturating_mul(experts as u64);
    usize::try_from(READ_BYTES_MAX / each.max(1)).map_or(most, |fit| fit.clamp(1, most))
}

/// Compresses all of `input` into `output`, until `stopped` is set.
///
/// # Errors
/// When there are no models, or too many, or of different architectures; when reading, writing or a model
/// fails, or it is stopped.
pub fn compress(
    scorer: &Scorer,
    experts: &[Expert<'_>],
    input: &mut impl Read,
    output: &mut impl Write,
    stopped: &AtomicBool,
) -> Result<Sizes, CompressError> {
    let architecture = match experts {
        [first, ..] if experts.len() <= EXPERTS_MAX => *first.model.architecture(),
        _ => {
            return Err(CompressError::Experts {
                found: experts.len(),
                limit: EXPERTS_MAX,
            });
        }
    };
    if experts
        .iter()
        .any(|expert| *expert.model.architecture() != architecture)
    {
        return Err(CompressError::Architectures);
    }
    let named = experts.iter().map(|Expert { weights, stake, .. }| Named {
        weights: *weights,
        stake: *stake,
    });
    let header = Header::new(architecture, named.collect());
    let models: Vec<(&Model, u64)> = experts
        .iter()
        .map(|expert| (expert.model, expert.stake))
        .collect();
    let mut output = Counted::new(output);
    header.write(&mut output)?;
    let mut whole = Whole::default();
    let batch = blocks_at_once(&architecture, experts.len()) * header.block_bytes as usize;
    loop {
        goes_on(stopped)?;
        let mut text = Vec::new();
        input.take(batch as u64).read_to_end(&mut text)?;
        let blocks: Vec<&[u8]> = text.chunks(header.block_bytes as usize).collect();
        let codes = encode_each(scorer, &models, &blocks, stopped)?;
        for (block, code) in blocks.into_iter().zip(codes) {
            Frame::new(whole.place.block, block, code).write(&mut output)?;
            whole.add(block);
        }
        if text.len() < batch {
            break;
        }
    }
    whole.end().write(&mut output)?;
    output.flush()?;
    Ok(Sizes {
        text_bytes: whole.place.bytes,
        packed_bytes: output.bytes,
    })
}

impl Header {
    /// Opens the rest of a file, whose header this is, with its models in its order, until `stopped` is set.
    /// What was written before an error is sound as far as its block's checksum says; all of it is, where
    /// there is none.
    ///
    /// # Errors
    /// When the models are not those of the header in number or dimensions, the file is cut off, damaged or
    /// goes on after its end, when reading, writing or a model fails, or it is stopped.
    pub fn decompress(
        &self,
        scorer: &Scorer,
        models: &[&Model],
        input: &mut impl Read,
        output: &mut impl Write,
        stopped: &AtomicBool,
    ) -> Result<Sizes, DecompressError> {
        if models.len() != self.experts.len() {
            return Err(DecompressError::Count {
                expected: self.experts.len(),
                found: models.len(),
            });
        }
        for (model, named) in models.iter().zip(&self.experts) {
            if *model.architecture() != self.architecture {
                return Err(DecompressError::Other(named.weights));
            }
        }
        let stakes = self.experts.iter().map(|named| named.stake);
        let experts: Vec<(&Model, u64)> = models.iter().copied().zip(stakes).collect();
        let mut header = Counted::new(io::sink());
        self.write(&mut header)?;
        let mut input = Counted {
            inner: input,
            bytes: header.bytes,
        };
        let batch = blocks_at_once(&self.architecture, models.len());
        let mut whole = Whole::default();
        loop {
            // Places of blocks whose text is not known yet.
            goes_on(stopped)?;
            let (mut place, mut frames, mut end) = (whole.place, Vec::new(), None);
            while frames.len() < batch && end.is_none() {
                match next(&mut input, self, place) {
                    Ok(Next::Block(frame)) => {
                        place.block += 1;
                        place.bytes += frame.length as u64;
                        frames.push(frame);
                    }
                    Ok(Next::End(found)) => end = Some(Ok(found)),
                    // What stands before it is opened first.
                    Err(error) => end = Some(Err(error)),
                }
            }
            let coded = frames.iter().filter(|frame| !frame.is_stored());
            let coded: Vec<Coded<'_>> = coded
                .map(|frame| Coded {
                    length: frame.length,
                    code: &frame.body,
                })
                .collect();
            let decoded = decode_each(scorer, &experts, &coded, stopped)?;
            whole.open(&frames, decoded, output)?;
            let Some(end) = end else { continue };
            if end? != whole.end() {
                return Err(DecompressError::Whole);
            }
            if input.read(&mut [0])? > 0 {
                return Err(DecompressError::Trailing);
            }
            output.flush()?;
            return Ok(Sizes {
                text_bytes: whole.place.bytes,
                packed_bytes: input.bytes,
            });
        }
    }
}

/// All of a text so far.
struct Whole {
    place: Place,
    hasher: blake3::Hasher,
}

impl Default for Whole {
    fn default() -> Self {
        Self {
            place: Place::START,
            hasher: blake3::Hasher::new(),
        }
    }
}

impl Whole {
    /// Writes the text of some blocks, of which those that are not stored were decoded in their order.
    fn open(
        &mut self,
        frames: &[Frame],
        decoded: Vec<Option<Vec<u8>>>,
        output: &mut impl Write,
    ) -> Result<(), DecompressError> {
        let mut decoded = decoded.into_iter();
        for frame in frames {
            let text = if frame.is_stored() {
                Some(frame.body.clone())
            } else {
                decoded.next().flatten()
            };
            let text = text.filter(|text| frame.holds(self.place.block, text));
            let text = text.ok_or_else(|| self.place.damaged())?;
            output.write_all(&text)?;
            self.add(&text);
        }
        Ok(())
    }

    fn add(&mut self, block: &[u8]) {
        self.place.block += 1;
        self.place.bytes += block.len() as u64;
        self.hasher.update(block);
    }

    fn end(&self) -> End {
        End {
            length: self.place.bytes,
            hash: *self.hasher.finalize().as_bytes(),
        }
    }
}

/// Counts what passes.
struct Counted<T> {
    inner: T,
    bytes: u64,
}

impl<T> Counted<T> {
    const fn new(inner: T) -> Self {
        Self { inner, bytes: 0 }
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
