//! Why a weights file was refused.

use std::io;

/// Largest header taken. V1's is about 50 KB.
pub const HEADER_BYTES_MAX: u64 = 4 << 20;

/// Why a weights file was refused.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be read.
    #[error("weights: cannot read: {0}")]
    Io(#[from] io::Error),
    /// The file ends before the header or the values it announces.
    #[error("weights: truncated: {what} needs {needed} bytes, the file has {available}")]
    Truncated {
        /// What was being read.
        what: String,
        /// Bytes it takes, from the start of the file.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
    /// The header claims to be larger than any real one.
    #[error(
        "weights: a header of {length} bytes is over the limit of {HEADER_BYTES_MAX}: this is no safetensors file, or a damaged one"
    )]
    HeaderTooLarge {
        /// The claimed length.
        length: u64,
    },
    /// The header is not the JSON the format asks for.
    #[error("weights: the header is malformed: {0}")]
    Header(String),
    /// A name appears twice.
    #[error("weights: tensor '{name}' appears twice")]
    Duplicate {
        /// The tensor.
        name: String,
    },
    /// The architecture needs a tensor that the file lacks.
    #[error("weights: tensor '{name}' of shape {shape:?} is missing")]
    Missing {
        /// The tensor.
        name: String,
        /// The shape it must have.
        shape: Vec<usize>,
    },
    /// The file holds a tensor that the architecture does not know.
    #[error("weights: unknown tensor '{name}': the architecture has no such part")]
    Unknown {
        /// The tensor.
        name: String,
    },
    /// A tensor's shape does not fit the architecture.
    #[error("weights: tensor '{name}' has shape {found:?}, the architecture needs {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// What the architecture needs.
        expected: Vec<usize>,
        /// What the file says.
        found: Vec<u64>,
    },
    /// A tensor is stored in a type other than F32, BF16 or F16.
    #[error("weights: tensor '{name}' has dtype {dtype}: store it as F32, BF16 or F16")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its dtype.
        dtype: String,
    },
    /// A tensor's byte range is backwards or does not fit its shape and dtype.
    #[error("weights: tensor '{name}' takes {expected} bytes, but its range is {begin}..{end}")]
    Range {
        /// The tensor.
        name: String,
        /// Bytes its shape and dtype take.
        expected: u64,
        /// Start of its range.
        begin: u64,
        /// End of its range.
        end: u64,
    },
    /// Two tensors share bytes, or there are bytes between them that belong to none.
    #[error(
        "weights: tensor '{name}' starts at byte {begin} of the values, but the one before ends at {end}"
    )]
    Gap {
        /// The later tensor.
        name: String,
        /// Where it starts.
        begin: u64,
        /// Where the one before it ends.
        end: u64,
    },
    /// Bytes follow the last tensor.
    #[error("weights: {0} bytes follow the last tensor")]
    Trailing(u64),
    /// A value is NaN or infinite.
    #[error("weights: tensor '{name}' holds {value} at index {index}: every weight must be finite")]
    NotFinite {
        /// The tensor.
        name: String,
        /// The first such value.
        value: f32,
        /// Its index in row-major order.
        index: usize,
    },
    /// A tensor given in memory has another number of values than its shape.
    #[error("weights: tensor '{name}' has {found} values, its shape takes {expected}")]
    Length {
        /// The tensor.
        name: String,
        /// Values its shape takes.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// The architecture itself makes no sense.
    #[error(transparent)]
    Architecture(#[from] soma_types::architecture::ArchitectureError),
}
