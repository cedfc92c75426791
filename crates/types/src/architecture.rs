//! The shape that every model of a network shares (docs/scoring-spec.md, section 1). Protocol data:
//! validators can upgrade it.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::embedding::MAX_EMBEDDING_DIM;

/// Tokens: 256 byte values, PAD, EOS and 6 reserved.
pub const VOCAB: usize = 264;
/// The padding token.
pub const PAD: u16 = 256;
/// The end-of-data token.
pub const EOS: u16 = 257;
/// Added to the variance in layer norms.
pub const LAYER_NORM_EPSILON: f32 = 1e-5;

/// Dimensions of the V1 transformer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Width of the residual stream, and dimension of embeddings.
    pub embedding_dim: u32,
    /// Attention heads; each has `embedding_dim / heads` dimensions, an even number.
    pub heads: u32,
    /// Transformer layers.
    pub layers: u32,
    /// Width of the feed-forward's hidden layer.
    pub ffn_dim: u32,
    /// Bytes per chunk: the longest context.
    pub max_seq_len: u32,
    /// RoPE's longest wavelength divided by 2 pi. A whole number; `10000.0` in JSON is taken too.
    #[serde(deserialize_with = "whole_number")]
    pub rope_wavelength: u32,
}

/// Why a set of dimensions is no architecture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchitectureError {
    /// A field is zero or beyond its limit.
    #[error("architecture: {field} is {value}, must be 1 to {limit}")]
    Range {
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: u32,
        /// The largest allowed.
        limit: u32,
    },
    /// Heads do not divide the width into even parts.
    #[error("architecture: {embedding_dim} dimensions do not split into {heads} heads of an even size")]
    Heads {
        /// The width of a representation.
        embedding_dim: u32,
        /// How many heads it is to be divided into.
        heads: u32,
    },
    /// Neither a preset's name nor valid JSON.
    #[error("architecture: {0}")]
    Json(String),
}

impl Architecture {
    /// The public network's architecture.
    pub const V1: Self = Self {
        embedding_dim: 2048,
        heads: 8,
        layers: 24,
        ffn_dim: 8192,
        max_seq_len: 1024,
        rope_wavelength: 10_000,
    };

    /// The localnet's default: the same design, small enough to train on a laptop in a minute.
    pub const NANO: Self = Self {
        embedding_dim: 128,
        heads: 4,
        layers: 4,
        ffn_dim: 512,
        max_seq_len: 256,
        rope_wavelength: 10_000,
    };

    /// Checks that the dimensions make sense together and are bounded.
    ///
    /// # Errors
    /// Names the field, its value and its limit.
    pub fn validate(self) -> Result<Self, ArchitectureError> {
        let bounds = [
            ("embedding_dim", self.embedding_dim, MAX_EMBEDDING_DIM as u32),
            ("heads", self.heads, 256),
            ("layers", self.layers, 256),
            ("ffn_dim", self.ffn_dim, 65_536),
            ("max_seq_len", self.max_seq_len, 65_536),
            ("rope_wavelength", self.rope_wavelength, 1_000_000_000),
        ];
        for (field, value, limit) in bounds {
            if value == 0 || value > limit {
                return Err(ArchitectureError::Range { field, value, limit });
            }
        }
        if !self.embedding_dim.is_multiple_of(2 * self.heads) {
            return Err(ArchitectureError::Heads {
                embedding_dim: self.embedding_dim,
                heads: self.heads,
            });
        }
        Ok(self)
    }

    /// Dimensions of one attention head.
    #[must_use]
    pub const fn head_dim(&self) -> u32 {
        self.embedding_dim / self.heads
    }

    /// The number of weights: what training fits and a weights file stores.
    #[must_use]
    pub const fn parameters(&self) -> u64 {
        let (d, f, v) = (self.embedding_dim as u64, self.ffn_dim as u64, VOCAB as u64);
        let layer = 2 * 2 * d + 4 * (d * d + d) + (d * f + f) + (f * d + d);
        v * d + self.layers as u64 * layer + 2 * d + (d * v + v)
    }
}

/// Accepts integers and floats with no fraction.
fn whole_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = <f64 as Deserialize>::deserialize(deserializer)?;
    if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
        Ok(value as u32)
    } else {
        Err(serde::de::Error::custom(format!(
            "rope_wavelength {value} is not a whole number up to 2^32"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_counted() {
        assert_eq!(Architecture::V1.validate(), Ok(Architecture::V1));
        assert_eq!(Architecture::NANO.validate(), Ok(Architecture::NANO));
        assert_eq!(Architecture::NANO.parameters(), 861_192);
        assert_eq!(Architecture::V1.head_dim(), 256);
    }

    #[test]
    fn nonsense_is_refused() {
        let heads = Architecture {
            heads: 3,
            ..Architecture::NANO
        };
        assert!(matches!(heads.validate(), Err(ArchitectureError::Heads { .. })));
        let layers = Architecture {
            layers: 0,
            ..Architecture::NANO
        };
        assert!(matches!(
            layers.validate(),
            Err(ArchitectureError::Range { field: "layers", .. })
        ));
    }

    #[test]
    fn json_takes_the_vectors_form() {
        let json = r#"{"embedding_dim":32,"heads":2,"layers":2,"ffn_dim":128,"max_seq_len":32,"rope_wavelength":10000.0}"#;
        assert_eq!(
            serde_json::from_str::<Architecture>(json)
                .unwrap()
                .rope_wavelength,
            10_000
        );
        assert!(serde_json::from_str::<Architecture>(&json.replace("10000.0", "0.5")).is_err());
        assert!(serde_json::from_str::<Architecture>(&json.replace("heads", "head")).is_err());
    }
}
