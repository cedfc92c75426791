//! Single operations: inputs, and what must come of them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    kernels::{Kernels, POINTS, Rope},
    matrix::Matrix,
};

/// Values by their bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits<T>(pub(super) Vec<T>);

/// binary32 values.
pub(super) type Floats = Bits<u32>;
/// Sums in fixed point.
pub(super) type Sums = Bits<i64>;

impl Floats {
    pub(super) fn of(values: &[f32]) -> Self {
        Self(values.iter().map(|value| value.to_bits()).collect())
    }

    fn values(&self) -> Vec<f32> {
        self.0.iter().map(|bits| f32::from_bits(*bits)).collect()
    }
}

macro_rules! bits_as_base64 {
    ($word:ty) => {
        impl Serialize for Bits<$word> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
                serializer.serialize_str(&STANDARD.encode(bytes))
            }
        }

        impl<'de> Deserialize<'de> for Bits<$word> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
                let (words, rest) = bytes.as_chunks();
                if rest.is_empty() {
                    Ok(Self(
                        words
                            .iter()
                            .map(|word| <$word>::from_le_bytes(*word))
                            .collect(),
                    ))
                } else {
                    Err(de::Error::custom("a value is cut off"))
                }
            }
        }
    };
}

bits_as_base64!(u32);
bits_as_base64!(i64);

/// One operation on one input, and its result. Matrices are row-major; the numbers of rows follow from
/// the lengths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Case {
    /// `out[T, outputs] = bias + x[T, inputs] weight[inputs, outputs]`.
    Linear {
        /// Columns of `x`.
        inputs: usize,
        /// Columns of `out`.
        outputs: usize,
        /// The input.
        x: Floats,
        /// The matrix.
        weight: Floats,
        /// Where every sum starts; at zero if null.
        bias: Option<Floats>,
        /// The result.
        out: Floats,
    },
    /// [`Case::Linear`] with a bias, then [`Case::Gelu`].
    LinearGelu {
        /// Columns of `x`.
        inputs: usize,
        /// Columns of `out`.
        outputs: usize,
        /// The input.
        x: Floats,
        /// The matrix.
        weight: Floats,
        /// Where every sum starts.
        bias: Floats,
        /// The result.
        out: Floats,
    },
    /// `out = sum + y`, where `y` is what [`Case::Linear`] makes of the others.
    AddLinear {
        /// Columns of `x`.
        inputs: usize,
        /// Columns of `sum`.
        outputs: usize,
        /// What the result is added to.
        sum: Floats,
        /// The input.
        x: Floats,
        /// The matrix.
        weight: Floats,
        /// Where every sum starts.
        bias: Floats,
        /// The result.
        out: Floats,
    },
    /// Layer norm of each row.
    LayerNorm {
        /// The input.
        x: Floats,
        /// Scale; its length is the rows'.
        gamma: Floats,
        /// What is added to each coordinate.
        beta: Floats,
        /// The result.
        out: Floats,
    },
    /// GELU of each value.
    Gelu {
        /// The input.
        x: Floats,
        /// The result.
        out: Floats,
    },
    /// `out = x + y`.
    Add {
        /// The input.
        x: Floats,
        /// The other.
        y: Floats,
        /// The result.
        out: Floats,
    },
    /// Rotation of every head; row t is position t.
    Rope {
        /// How many heads there are.
        heads: usize,
        /// Columns of a head.
        head_dim: usize,
        /// The wavelength.
        wavelength: u32,
        /// The input.
        x: Floats,
        /// The result.
        out: Floats,
    },
    /// Causal attention.
    Attention {
        /// How many heads there are.
        heads: usize,
        /// Columns of all heads.
        width: usize,
        /// The queries, row by row.
        q: Floats,
        /// The keys, row by row.
        k: Floats,
        /// The values, row by row.
        v: Floats,
        /// The result.
        out: Floats,
    },
    /// `out[t] = -log softmax(logits[t])[targets[t]]`.
    TokenLosses {
        /// The logits.
        logits: Floats,
        /// One target per row.
        targets: Vec<u16>,
        /// The result.
        out: Floats,
    },
    /// SIGReg's sums `[16 points, cosines then sines, directions]`.
    Characteristic {
        /// Columns of the projections.
        directions: usize,
        /// The projections.
        projections: Floats,
        /// The result.
        out: Sums,
    },
    /// Sums over rows, in fixed point.
    SumRows {
        /// Columns of `x`.
        width: usize,
        /// The input.
        x: Floats,
        /// The result.
        out: Sums,
    },
}

impl Case {
    /// Its name in the file.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "linear",
            Self::LinearGelu { .. } => "linear_gelu",
            Self::AddLinear { .. } => "add_linear",
            Self::LayerNorm { .. } => "layer_norm",
            Self::Gelu { .. } => "gelu",
            Self::Add { .. } => "add",
            Self::Rope { .. } => "rope",
            Self::Attention { .. } => "attention",
            Self::TokenLosses { .. } => "token_losses",
            Self::Characteristic { .. } => "characteristic",
            Self::SumRows { .. } => "sum_rows",
        }
    }

    /// The same case with what `kernels` make of its inputs.
    #[must_use]
    pub fn computed(&self, kernels: &dyn Kernels) -> Self {
        let mut case = self.clone();
        match &mut case {
            Self::Linear {
                inputs,
                outputs,
                x,
                weight,
                bias,
                out,
            } => {
                let weight = Matrix::from_row_major(*inputs, *outputs, &weight.values());
                let mut result = vec![0.0; x.0.len() / *inputs * *outputs];
                let bias = bias.as_ref().map(Floats::values);
                kernels.linear(&mut result, &x.values(), &weight, bias.as_deref());
                *out = Bits::of(&result);
            }
            Self::LinearGelu {
                inputs,
                outputs,
                x,
                weight,
                bias,
                out,
            } => {
                let weight = Matrix::from_row_major(*inputs, *outputs, &weight.values());
                let mut result = vec![0.0; x.0.len() / *inputs * *outputs];
                kernels.linear_gelu(&mut result, &x.values(), &weight, &bias.values());
                *out = Bits::of(&result);
            }
            Self::AddLinear {
                inputs,
                outputs,
                sum,
                x,
                weight,
                bias,
                out,
            } => {
                let weight = Matrix::from_row_major(*inputs, *outputs, &weight.values());
                let mut result = sum.values();
                kernels.add_linear(&mut result, &x.values(), &weight, &bias.values());
                *out = Bits::of(&result);
            }
            Self::LayerNorm { x, gamma, beta, out } => {
                let mut result = vec![0.0; x.0.len()];
                kernels.layer_norm(&mut result, &x.values(), &gamma.values(), &beta.values());
                *out = Bits::of(&result);
            }
            Self::Gelu { x, out } => {
                let mut result = x.values();
                kernels.gelu(&mut result);
                *out = Bits::of(&result);
            }
            Self::Add { x, y, out } => {
                let mut result = x.values();
                kernels.add(&mut result, &y.values());
                *out = Bits::of(&result);
            }
            Self::Rope {
                heads,
                head_dim,
                wavelength,
                x,
                out,
            } => {
                let mut result = x.values();
                let table = Rope::new(result.len() / (*heads * *head_dim), *head_dim, *wavelength);
                kernels.rope(&mut result, &table, *heads, 0);
                *out = Bits::of(&result);
            }
            Self::Attention {
                heads,
                width,
                q,
                k,
                v,
                out,
            } => {
                let mut result = vec![0.0; q.0.len()];
                kernels.attention(&mut result, &q.values(), &k.values(), &v.values(), *heads, *width);
                *out = Bits::of(&result);
            }
            Self::TokenLosses { logits, targets, out } => {
                let mut result = vec![0.0; targets.len()];
                kernels.token_losses(&mut result, &mut logits.values(), targets);
                *out = Bits::of(&result);
            }
            Self::Characteristic {
                directions,
                projections,
                out,
            } => {
                let mut sums = vec![0; POINTS * 2 * *directions];
                kernels.characteristic(&mut sums, &projections.values(), *directions);
                *out = Bits(sums);
            }
            Self::SumRows { width, x, out } => {
                let mut sums = vec![0; *width];
                kernels.sum_rows(&mut sums, &x.values());
                *out = Bits(sums);
            }
        }
        case
    }
}
