//! The container (docs/compression.md). All numbers are little-endian.
//!
//! | part | fields |
//! |---|---|
//! | header | `somapack`, version u8, six dimensions u32, bytes of a block u32, models u16, each its weights' BLAKE3 and stake u64; checksum |
//! | each block | bytes of text u32, bytes of code u32, checksum; the code, or the text where both lengths are the same |
//! | end | 0 u32, bytes of all text u64, BLAKE3 of all text |
//!
//! A checksum is the first 4 bytes of a BLAKE3: of the header before it, and of a block's number (u64), text
//! and body.

use std::io::{self, Read, Write};

use soma_types::{Architecture, ContentHash};

use crate::error::DecompressError;

const MAGIC: [u8; 8] = *b"somapack";
const VERSION: u8 = 1;
/// Models that a file may be made with.
pub const EXPERTS_MAX: usize = 256;
/// Sequences of a block: few enough that many blocks are decoded side by side, and so many that what a model
/// says at their beginnings, knowing little, weighs nothing.
const BLOCK_SEQUENCES: u32 = 64;
/// The longest block.
pub const BLOCK_BYTES_MAX: u32 = 1 << 20;
const CHECK_BYTES: usize = 4;

/// A model that a file was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// BLAKE3 of its weights file.
    pub weights: ContentHash,
    /// What it counts for before anything is known.
    pub stake: u64,
}

/// The most bytes of a block for models of sequences so long.
fn block_bytes_of(max_seq_len: u32) -> u32 {
    max_seq_len.saturating_mul(BLOCK_SEQUENCES).min(BLOCK_BYTES_MAX)
}

/// What a file says of itself before its first block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub(crate) architecture: Architecture,
    pub(crate) block_bytes: u32,
    pub(crate) experts: Vec<Named>,
}

impl Header {
    /// That of a file which these models make.
    pub(crate) fn new(architecture: Architecture, experts: Vec<Named>) -> Self {
        Self {
            architecture,
            block_bytes: block_bytes_of(architecture.max_seq_len),
            experts,
        }
    }

    /// The dimensions of all its models.
    #[must_use]
    pub const fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Its models, in the order in which they are mixed.
    #[must_use]
    pub fn experts(&self) -> &[Named] {
        &self.experts
    }

    /// The first part of a file, checked. What follows is left unread.
    ///
    /// # Errors
    /// When it is no such file, of another version, cut off, damaged, or says what cannot be.
    pub fn read(source: &mut impl Read) -> Result<Self, DecompressError> {
        let mut source = Hashed::new(source);
        if source.take::<8>().map_err(foreign)? != MAGIC {
            return Err(DecompressError::Foreign);
        }
        let cut_off = |error| truncated(error, Place::START);
        let [version] = source.take().map_err(cut_off)?;
        if version != VERSION {
            return Err(DecompressError::Version(version));
        }
        let mut numbers = [0; 7];
        for number in &mut numbers {
            *number = u32::from_le_bytes(source.take().map_err(cut_off)?);
        }
        let count = usize::from(u16::from_le_bytes(source.take().map_err(cut_off)?));
        // Looked at before the checksum: so many models are read to get there.
        within("models", count as u64, EXPERTS_MAX as u64)?;
        let mut experts = Vec::with_capacity(count);
        for _ in 0..count {
            experts.push(Named {
                weights: ContentHash(source.take().map_err(cut_off)?),
                stake: u64::from_le_bytes(source.take().map_err(cut_off)?),
            });
        }
        let expected = check(&source.hasher);
        if source.take().map_err(cut_off)? != expected {
            return Err(DecompressError::HeaderDamaged);
        }
        let [
            embedding_dim,
            heads,
            layers,
            ffn_dim,
            max_seq_len,
            rope_wavelength,
            block_bytes,
        ] = numbers;
        within(
            "bytes of a block",
            block_bytes.into(),
            block_bytes_of(max_seq_len).into(),
        )?;
        let architecture = Architecture {
            embedding_dim,
            heads,
            layers,
            ffn_dim,
            max_seq_len,
            rope_wavelength,
        };
        Ok(Self {
            architecture: architecture
                .validate()
                .map_err(|error| DecompressError::Architecture(error.to_string()))?,
            block_bytes,
            experts,
        })
    }

    pub(crate) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let Architecture {
            embedding_dim,
            heads,
            layers,
            ffn_dim,
            max_seq_len,
            rope_wavelength,
        } = self.architecture;
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        for number in [
            embedding_dim,
            heads,
            layers,
            ffn_dim,
            max_seq_len,
            rope_wavelength,
            self.block_bytes,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend((self.experts.len() as u16).to_le_bytes());
        for Named { weights, stake } in &self.experts {
            bytes.extend(weights.0);
            bytes.extend(stake.to_le_bytes());
        }
        bytes.extend(check(blake3::Hasher::new().update(&bytes)));
        output.write_all(&bytes)
    }
}

/// A number of a header that has to be at least 1, and at most so much.
fn within(what: &'static str, value: u64, limit: u64) -> Result<(), DecompressError> {
    match value {
        0 => Err(DecompressError::Header { what, value, limit }),
        value if value > limit => Err(DecompressError::Header { what, value, limit }),
        _ => Ok(()),
    }
}

/// Where in the text a file was read to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many blocks lie before it.
    pub block: u64,
    /// Bytes of the text.
    pub bytes: u64,
}

impl Place {
    pub const START: Self = Self { block: 0, bytes: 0 };

    pub const fn damaged(self) -> DecompressError {
        let Self { block, bytes } = self;
        DecompressError::Damaged { block, bytes }
    }
}

/// A block in its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of text.
    pub length: usize,
    check: [u8; CHECK_BYTES],
    /// The code, or the text itself.
    pub body: Vec<u8>,
}

impl Frame {
    /// A block with its code, if that is shorter.
    pub fn new(block: u64, text: &[u8], code: Vec<u8>) -> Self {
        let is_shorter = code.len() < text.len();
        let body = if is_shorter { code } else { text.to_vec() };
        Self {
            length: text.len(),
            check: check_of(block, text, &body),
            body,
        }
    }

    /// Whether the body is the text.
    pub fn is_stored(&self) -> bool {
        self.body.len() == self.length
    }

    /// Whether this is the text of the block.
    pub fn holds(&self, block: u64, text: &[u8]) -> bool {
        self.check == check_of(block, text, &self.body)
    }

    pub fn write(&self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(&(self.length as u32).to_le_bytes())?;
        output.write_all(&(self.body.len() as u32).to_le_bytes())?;
        output.write_all(&self.check)?;
        output.write_all(&self.body)
    }
}

/// What comes next in a file.
pub enum Next {
    Block(Frame),
    End(End),
}

/// All of a text, at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub length: u64,
    pub hash: [u8; 32],
}

impl End {
    pub fn write(&self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(&0_u32.to_le_bytes())?;
        output.write_all(&self.length.to_le_bytes())?;
        output.write_all(&self.hash)
    }
}

/// Reads the next block, or the end. No length is trusted beyond what the header allows.
pub fn next(source: &mut impl Read, header: &Header, place: Place) -> Result<Next, DecompressError> {
    let cut_off = |error| truncated(error, place);
    let length = u32::from_le_bytes(take(source).map_err(cut_off)?);
    if length == 0 {
        return Ok(Next::End(End {
            length: u64::from_le_bytes(take(source).map_err(cut_off)?),
            hash: take(source).map_err(cut_off)?,
        }));
    }
    let body = u32::from_le_bytes(take(source).map_err(cut_off)?);
    if length > header.block_bytes || body > length {
        return Err(place.damaged());
    }
    let check = take(source).map_err(cut_off)?;
    let mut bytes = vec![0; body as usize];
    source.read_exact(&mut bytes).map_err(cut_off)?;
    Ok(Next::Block(Frame {
        length: length as usize,
        check,
        body: bytes,
    }))
}

fn truncated(error: io::Error, Place { block, bytes }: Place) -> DecompressError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => DecompressError::Truncated { block, bytes },
        _ => DecompressError::Io(error),
    }
}

/// What is shorter than a file's first bytes is no such file either.
fn foreign(error: io::Error) -> DecompressError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => DecompressError::Foreign,
        _ => DecompressError::Io(error),
    }
}

fn take<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Of the body too: some of a code's last bits do not show in the text.
fn check_of(block: u64, text: &[u8], body: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    check(hasher.update(&block.to_le_bytes()).update(text).update(body))
}

fn check(hasher: &blake3::Hasher) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

/// Bytes that are hashed as they are read.
struct Hashed<'r, R> {
    source: &'r mut R,
    hasher: blake3::Hasher,
}

impl<'r, R: Read> Hashed<'r, R> {
    fn new(source: &'r mut R) -> Self {
        let hasher = blake3::Hasher::new();
        Self { source, hasher }
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let bytes = take(self.source)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}
