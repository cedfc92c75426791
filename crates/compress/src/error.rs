//! Why something cannot be compressed, or not opened.

use std::io;

use soma_model::ScoreError;
use soma_types::ContentHash;

/// Why blocks are not coded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockError {
    #[error("stopped")]
    Stopped,
    #[error(transparent)]
    Model(#[from] ScoreError),
}

/// Why a text is not compressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// None, or too many.
    #[error("{found} models: give 1 to {limit}")]
    Experts {
        /// As many as were given.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// Models that differ in their dimensions.
    #[error("the models are of different architectures: compress with models of one")]
    Architectures,
    /// Somebody wanted it to stop.
    #[error("stopped")]
    Stopped,
    /// The text could not be read, or what became of it not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A model has no distribution over what follows.
    #[error(transparent)]
    Model(#[from] ScoreError),
}

/// Why something is not opened.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// It begins otherwise.
    #[error("this is no file of `soma compress`: it does not begin as one")]
    Foreign,
    /// Of a later version.
    #[error("the file is of version {0}, this program opens version 1: use a later one")]
    Version(u8),
    /// A number of the header is out of its range, though nothing damaged it.
    #[error(
        "the file's header says {what} {value}, the limit is {limit}: it was not written by `soma compress`"
    )]
    Header {
        /// What the number is.
        what: &'static str,
        /// The number.
        value: u64,
        /// The most it may be.
        limit: u64,
    },
    /// Dimensions that no model has.
    #[error("the file's header names an architecture that cannot be: {0}")]
    Architecture(String),
    /// The header is not what was written.
    #[error("the file's header is damaged: its checksum differs")]
    HeaderDamaged,
    /// It ends too early.
    #[error("the file is cut off in block {block}, after {bytes} bytes of the text: it is not complete")]
    Truncated {
        /// The block, counted from 0.
        block: u64,
        /// Bytes of the text before that block.
        bytes: u64,
    },
    /// A block is not what was written.
    #[error("block {block} is damaged: the {bytes} bytes of the text before it are sound")]
    Damaged {
        /// The block, counted from 0.
        block: u64,
        /// Bytes of the text before that block.
        bytes: u64,
    },
    /// All blocks are sound, but they are not all there, or others.
    #[error("the text as a whole differs from what was compressed: blocks are missing, doubled or exchanged")]
    Whole,
    /// It goes on after its end.
    #[error("the file goes on after its end: something was appended to it")]
    Trailing,
    /// The wrong number of models was given.
    #[error("{found} models: the file was made with {expected}")]
    Count {
        /// As many as the header names.
        expected: usize,
        /// As many as were given.
        found: usize,
    },
    /// A model has other dimensions than those it was compressed with.
    #[error("model {0} has another architecture than the file names")]
    Other(ContentHash),
    /// Somebody wanted it to stop.
    #[error("stopped")]
    Stopped,
    /// The file could not be read, or the text not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A model has no distribution over what follows.
    #[error(transparent)]
    Model(#[from] ScoreError),
}

impl From<BlockError> for CompressError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Stopped => Self::Stopped,
            BlockError::Model(error) => Self::Model(error),
        }
    }
}

impl From<BlockError> for DecompressError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Stopped => Self::Stopped,
            BlockError::Model(error) => Self::Model(error),
        }
    }
}
