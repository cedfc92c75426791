//! Directions in the shared embedding space, exact on every machine (docs/protocol.md, section 2).
//!
//! An [`Embedding`] is a unit vector in Q15: coordinate `c` stands for `c / 2^15`. Coordinates are
//! rounded toward zero, so the sum of squares never exceeds 2^30 and by Cauchy-Schwarz every partial
//! sum of a dot product fits an `i32`: its value does not depend on the order of the additions.

use std::{
    fmt,
    io::{self, Read, Write},
    str::FromStr,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{hash::domain_xof, id::Seed};

/// The largest dimension an embedding can have: four times V1's.
pub const MAX_EMBEDDING_DIM: usize = 8192;

/// The square of the unit length: 1.0 in Q30.
pub const UNIT_Q30: i32 = 1 << 30;

/// The least squared length of an embedding, 0.98 in Q30. Rounding costs far less than the gap.
pub const MIN_SQUARED_LENGTH_Q30: i32 = (UNIT_Q30 as i64 * 98 / 100) as i32;

/// Uniform 16-bit draws summed for one normal coordinate in [`Embedding::draw`].
const DRAWS_PER_COORDINATE: usize = 16;

/// Coordinates encoded at a time.
const PIECE: usize = 64;

/// Magnitudes are brought below 2^40 before squaring, so 2^13 squares times 2^30 fit a `u128`.
const MAGNITUDE_BITS: u32 = 40;

/// Why a vector is no embedding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// No coordinates, or too many.
    #[error("an embedding has 1 to {MAX_EMBEDDING_DIM} coordinates, not {0}")]
    Dimension(usize),
    /// All coordinates are zero, so there is no direction.
    #[error("an embedding of all zeros has no direction: give a vector with a nonzero coordinate")]
    Zero,
    /// The squared length is outside [0.98, 1].
    #[error("the squared length {0}/2^30 is outside [0.98, 1]: scale the vector to unit length")]
    Length(i64),
    /// A coordinate is NaN or infinite.
    #[error("coordinate {0} is not a finite number")]
    NotFinite(usize),
    /// The text form is not base64 of little-endian 16-bit integers.
    #[error("an embedding is written as base64 of little-endian 16-bit integers")]
    Encoding,
}

/// A unit vector in Q15. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Embedding(Arc<[i16]>);

impl Embedding {
    /// Takes Q15 coordinates as they are.
    ///
    /// # Errors
    /// When the dimension is out of bounds or the squared length is outside [0.98, 1] in Q30.
    pub fn from_q15(coordinates: Vec<i16>) -> Result<Self, EmbeddingError> {
        check_dimension(coordinates.len())?;
        let squared: i64 = coordinates.iter().map(|&c| i64::from(c) * i64::from(c)).sum();
        match squared {
            0 => Err(EmbeddingError::Zero),
            _ if squared < i64::from(MIN_SQUARED_LENGTH_Q30) || squared > i64::from(UNIT_Q30) => {
                Err(EmbeddingError::Length(squared))
            }
            _ => Ok(Self(coordinates.into())),
        }
    }

    /// The direction of an integer vector of any length: coordinate i is
    /// `trunc(2^15 * v[i] / |v|)`, exactly (magnitudes of 2^40 and more first lose their low bits).
    ///
    /// # Errors
    /// When the dimension is out of bounds or the vector is zero.
    pub fn from_direction(vector: &[i64]) -> Result<Self, EmbeddingError> {
        check_dimension(vector.len())?;
        let largest = vector.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
        let shift = (u64::BITS - largest.leading_zeros()).saturating_sub(MAGNITUDE_BITS);
        let magnitude = |v: &i64| u128::from(v.unsigned_abs() >> shift);
        let squared: u128 = vector.iter().map(|v| magnitude(v) * magnitude(v)).sum();
        if squared == 0 {
            return Err(EmbeddingError::Zero);
        }
        // |v| with its bits moved up to the top of 48: dividing by it errs by less than 2^-32.
        let lift = (96 - (u128::BITS - squared.leading_zeros())) / 2;
        let length = (squared << (2 * lift)).isqrt() as u64;
        let coordinates = vector
            .iter()
            .map(|v| {
                // The largest r with r / 2^15 <= |v[i]| / |v|: the quotient or one less.
                let magnitude = magnitude(v);
                let quotient = ((magnitude as u64) << (lift + 15)) / length;
                let square = u128::from(quotient) * u128::from(quotient);
                let rounded = quotient - u64::from(square * squared > (magnitude * magnitude) << 30);
                let rounded = (rounded as i32).min(i32::from(i16::MAX)) as i16;
                if *v < 0 { -rounded } else { rounded }
            })
            .collect();
        Self::from_q15(coordinates)
    }

    /// The direction of a float vector of any length. For what trainers report; nothing that is
    /// decided exactly passes through here.
    ///
    /// # Errors
    /// When the dimension is out of bounds, a coordinate is not finite, or the vector is zero.
    pub fn from_f32(vector: &[f32]) -> Result<Self, EmbeddingError> {
        check_dimension(vector.len())?;
        if let Some(index) = vector.iter().position(|v| !v.is_finite()) {
            return Err(EmbeddingError::NotFinite(index));
        }
        let largest = vector
            .iter()
            .fold(0.0_f64, |largest, v| largest.max(f64::from(*v).abs()));
        if largest == 0.0 {
            return Err(EmbeddingError::Zero);
        }
        let scale = (1_u64 << (MAGNITUDE_BITS - 2)) as f64;
        let scaled: Vec<i64> = vector
            .iter()
            .map(|v| (f64::from(*v) / largest * scale) as i64)
            .collect();
        Self::from_direction(&scaled)
    }

    /// A direction drawn uniformly from the sphere: each coordinate is a sum of sixteen uniform
    /// 16-bit integers from the seed's BLAKE3 stream (normal to within the central limit), and the
    /// vector is normalised exactly. Integers only, so everyone draws the same.
    ///
    /// # Panics
    /// When `dim` is 0 or above [`MAX_EMBEDDING_DIM`]: an `Architecture` guarantees it is not.
    #[must_use]
    pub fn draw(seed: &Seed, dim: usize) -> Self {
        let mut bytes = vec![0_u8; 2 * DRAWS_PER_COORDINATE * dim];
        domain_xof("soma 2026 embedding draw", &[&seed.0]).fill(&mut bytes);
        let vector: Vec<i64> = bytes
            .chunks_exact(2 * DRAWS_PER_COORDINATE)
            .map(|draws| {
                let sum: i32 = draws
                    .chunks_exact(2)
                    .map(|pair| i32::from(u16::from_le_bytes([pair[0], pair[1]])))
                    .sum();
                // Twice the sum less twice its mean: odd multiples stay exact.
                i64::from(2 * sum) - (DRAWS_PER_COORDINATE as i64) * i64::from(u16::MAX)
            })
            .collect();
        Self::from_direction(&vector).expect("the dimension is in bounds and 2^-256 is the chance of zero")
    }

    /// The coordinates in Q15.
    #[must_use]
    pub fn as_slice(&self) -> &[i16] {
        &self.0
    }

    /// The number of coordinates.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.0.len()
    }

    /// The dot product in Q30; similarity is this over 2^30. Exact.
    ///
    /// # Panics
    /// In debug builds, when the dimensions differ: callers compare embeddings of one architecture.
    #[must_use]
    pub fn dot(&self, other: &Self) -> i32 {
        dot_q30(&self.0, &other.0)
    }

    /// Base64 of the little-endian coordinates.
    #[must_use]
    pub fn to_base64(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().flat_map(|c| c.to_le_bytes()).collect();
        STANDARD.encode(bytes)
    }

    /// Reads [`Embedding::to_base64`].
    ///
    /// # Errors
    /// When the text is not that form, or the vector is no embedding.
    pub fn from_base64(text: &str) -> Result<Self, EmbeddingError> {
        let bytes = STANDARD.decode(text).map_err(|_| EmbeddingError::Encoding)?;
        if bytes.len() % 2 != 0 {
            return Err(EmbeddingError::Encoding);
        }
        Self::from_q15(
            bytes
                .chunks_exact(2)
                .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
        )
    }
}

/// The dot product of two Q15 vectors of squared length at most 2^30, in Q30.
#[must_use]
pub fn dot_q30(a: &[i16], b: &[i16]) -> i32 {
    debug_assert_eq!(
        a.len(),
        b.len(),
        "embeddings of one architecture have one dimension"
    );
    // Wrapping never wraps (see the module's head); it lets the loop vectorise with overflow checks on.
    a.iter().zip(b).fold(0_i32, |sum, (&x, &y)| {
        sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(y)))
    })
}

fn check_dimension(dim: usize) -> Result<(), EmbeddingError> {
    if (1..=MAX_EMBEDDING_DIM).contains(&dim) {
        Ok(())
    } else {
        Err(EmbeddingError::Dimension(dim))
    }
}

impl FromStr for Embedding {
    type Err = EmbeddingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_base64(text)
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Embedding(dim {}, {:?}..)",
            self.dim(),
            &self.0[..self.dim().min(3)]
        )
    }
}

impl BorshSerialize for Embedding {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(&(self.dim() as u16).to_le_bytes())?;
        // In pieces, not one by one: embeddings are most of what is hashed and stored.
        let mut bytes = [0; 2 * PIECE];
        self.0.chunks(PIECE).try_for_each(|piece| {
            for (pair, coordinate) in bytes.chunks_exact_mut(2).zip(piece) {
                pair.copy_from_slice(&coordinate.to_le_bytes());
            }
            writer.write_all(&bytes[..2 * piece.len()])
        })
    }
}

impl BorshDeserialize for Embedding {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let invalid = |error: EmbeddingError| io::Error::new(io::ErrorKind::InvalidData, error);
        let dim = usize::from(u16::deserialize_reader(reader)?);
        check_dimension(dim).map_err(invalid)?;
        let mut bytes = vec![0; 2 * dim];
        reader.read_exact(&mut bytes)?;
        let coordinates = bytes
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        Self::from_q15(coordinates).map_err(invalid)
    }
}

impl Serialize for Embedding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for Embedding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests;
