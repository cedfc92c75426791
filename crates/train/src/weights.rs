//! Weights as named tensors: fresh ones from a seed, and the canonical safetensors file (SCORING, section 2).

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, serialize};
use soma_types::Architecture;
use soma_types::architecture::VOCAB;

use crate::random::Random;

/// One tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// One or two dimensions.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: Vec<f32>,
}

/// All tensors of a model by name: complete, of the right shapes, finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights(BTreeMap<String, Named>);

/// Why a file is not the weights of an architecture.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Not a safetensors file.
    #[error("weights: not a valid safetensors file: {0}")]
    Format(String),
    /// A tensor that the architecture asks for is absent.
    #[error("weights: tensor `{0}` is missing; were they made for another architecture?")]
    Missing(String),
    /// A tensor that the architecture does not know.
    #[error("weights: tensor `{0}` is unknown; were they made for another architecture?")]
    Unknown(String),
    /// A tensor of another shape.
    #[error("weights: tensor `{name}` has shape {found:?}, the architecture asks for {wanted:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The architecture's.
        wanted: Vec<usize>,
    },
    /// A type other than F32, BF16 and F16.
    #[error("weights: tensor `{name}` is {dtype}; only F32, BF16 and F16 are read")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A NaN or an infinity.
    #[error("weights: tensor `{0}` holds a NaN or an infinity")]
    NotFinite(String),
}

/// Standard deviation of fresh weights; projections into the residual stream get it divided by sqrt(2 layers), so that
/// the stream's variance does not grow with depth.
const INITIAL_DEVIATION: f32 = 0.02;

/// Names and shapes of all tensors of an architecture.
#[must_use]
pub fn names(architecture: &Architecture) -> BTreeMap<String, Vec<usize>> {
    let (d, f) = (architecture.embedding_dim as usize, architecture.ffn_dim as usize);
    let mut out = BTreeMap::new();
    let linear = |out: &mut BTreeMap<_, _>, name: &str, inner: usize, outer: usize| {
        out.insert(format!("{name}.weight"), vec![inner, outer]);
        out.insert(format!("{name}.bias"), vec![outer]);
    };
    let norm = |out: &mut BTreeMap<_, _>, name: &str| {
        out.insert(format!("{name}.gamma"), vec![d]);
        out.insert(format!("{name}.beta"), vec![d]);
    };
    out.insert("embedding.weight".into(), vec![VOCAB, d]);
    for i in 0..architecture.layers {
        let layer = format!("encoder.layers.{i}");
        norm(&mut out, &format!("{layer}.norm_1"));
        for part in ["query", "key", "value", "output"] {
            linear(&mut out, &format!("{layer}.attention.{part}"), d, d);
        }
        norm(&mut out, &format!("{layer}.norm_2"));
        linear(&mut out, &format!("{layer}.pwff.linear_inner"), d, f);
        linear(&mut out, &format!("{layer}.pwff.linear_outer"), f, d);
    }
    norm(&mut out, "final_norm");
    linear(&mut out, "predictor", d, VOCAB);
    out
}

impl Weights {
    /// Fresh weights: normal, biases and betas 0, gammas 1. The same seed gives the same weights everywhere.
    #[must_use]
    pub fn fresh(architecture: &Architecture, seed: u64) -> Self {
        let residual = INITIAL_DEVIATION / (2.0 * architecture.layers as f32).sqrt();
        let tensors = names(architecture).into_iter().enumerate().map(|(index, (name, shape))| {
            let size = shape.iter().product();
            let data = if name.ends_with(".gamma") {
                vec![1.0; size]
            } else if name.ends_with(".weight") {
                let into_residual = name.contains("output") || name.contains("linear_outer");
                let deviation = if into_residual { residual } else { INITIAL_DEVIATION };
                Random::new(seed, index as u64).normals(size, deviation)
            } else {
                vec![0.0; size]
            };
            (name, Named { shape, data })
        });
        Self(tensors.collect())
    }

    /// Takes tensors whose names, shapes and values are checked against the architecture.
    ///
    /// # Errors
    /// Names the first tensor that is missing, unknown, misshapen or not finite.
    pub fn new(architecture: &Architecture, tensors: BTreeMap<String, Named>) -> Result<Self, WeightsError> {
        let wanted = names(architecture);
        if let Some(name) = tensors.keys().find(|name| !wanted.contains_key(*name)) {
            return Err(WeightsError::Unknown(name.clone()));
        }
        for (name, shape) in wanted {
            let Some(tensor) = tensors.get(&name) else {
                return Err(WeightsError::Missing(name));
            };
            if tensor.shape != shape || tensor.data.len() != shape.iter().product::<usize>() {
                return Err(WeightsError::Shape { name, found: tensor.shape.clone(), wanted: shape });
            }
            if tensor.data.iter().any(|x| !x.is_finite()) {
                return Err(WeightsError::NotFinite(name));
            }
        }
        Ok(Self(tensors))
    }

    /// Reads a safetensors file; BF16 and F16 widen exactly.
    ///
    /// # Errors
    /// As [`Weights::new`], and for files that are not safetensors or hold other types.
    pub fn from_safetensors(architecture: &Architecture, file: &[u8]) -> Result<Self, WeightsError> {
        let format = |e: SafeTensorError| WeightsError::Format(e.to_string());
        let file = SafeTensors::deserialize(file).map_err(format)?;
        let wanted = names(architecture);
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if !wanted.contains_key(name) {
                return Err(WeightsError::Unknown(name.to_owned()));
            }
            let data = widen(view.dtype(), view.data())
                .ok_or_else(|| WeightsError::Dtype { name: name.to_owned(), dtype: format!("{:?}", view.dtype()) })?;
            tensors.insert(name.to_owned(), Named { shape: view.shape().to_vec(), data });
        }
        Self::new(architecture, tensors)
    }

    /// The canonical file: F32, little-endian. Equal weights give equal bytes.
    #[must_use]
    pub fn to_safetensors(&self) -> Vec<u8> {
        let bytes: BTreeMap<&String, Vec<u8>> =
            self.0.iter().map(|(name, t)| (name, t.data.iter().flat_map(|x| x.to_le_bytes()).collect())).collect();
        let views = self.0.iter().map(|(name, tensor)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), &bytes[name])
                .expect("the constructor checked that sizes agree");
            (name, view)
        });
        serialize(views, None).expect("serialising tensors to memory cannot fail")
    }

    /// The tensors, for an update in place: names and shapes stay.
    pub(crate) fn tensors_mut(&mut self) -> impl Iterator<Item = (&String, &mut Named)> {
        self.0.iter_mut()
    }

    /// The tensors by name.
    #[must_use]
    pub const fn tensors(&self) -> &BTreeMap<String, Named> {
        &self.0
    }
}

fn widen(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = || bytes.as_chunks::<2>().0.iter().copied();
    match dtype {
        Dtype::F32 => Some(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::BF16 => Some(halves().map(|b| half::bf16::from_le_bytes(b).to_f32()).collect()),
        Dtype::F16 => Some(halves().map(|b| half::f16::from_le_bytes(b).to_f32()).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Architecture =
        Architecture { embedding_dim: 8, heads: 2, layers: 2, ffn_dim: 16, max_seq_len: 8, rope_wavelength: 100 };

    #[test]
    fn names_cover_every_parameter() {
        let count: usize = names(&Architecture::NANO).values().map(|s| s.iter().product::<usize>()).sum();
        assert_eq!(count as u64, Architecture::NANO.parameters());
    }

    #[test]
    fn fresh_weights_survive_the_file_and_repeat() {
        let weights = Weights::fresh(&SMALL, 5);
        let file = weights.to_safetensors();
        assert_eq!(Weights::from_safetensors(&SMALL, &file).unwrap(), weights);
        assert_eq!(Weights::fresh(&SMALL, 5).to_safetensors(), file);
        assert_ne!(Weights::fresh(&SMALL, 6).to_safetensors(), file);
    }

    #[test]
    fn every_defect_is_named() {
        let weights = Weights::fresh(&SMALL, 5);
        let spoil = |change: &dyn Fn(&mut BTreeMap<String, Named>)| {
            let mut tensors = weights.0.clone();
            change(&mut tensors);
            Weights::new(&SMALL, tensors).unwrap_err().to_string()
        };
        assert!(spoil(&|t| drop(t.remove("final_norm.beta"))).contains("`final_norm.beta` is missing"));
        let extra = Named { shape: vec![1], data: vec![0.0] };
        assert!(spoil(&|t| drop(t.insert("head".into(), extra.clone()))).contains("`head` is unknown"));
        assert!(spoil(&|t| t.get_mut("predictor.bias").unwrap().shape = vec![2]).contains("shape [2]"));
        assert!(spoil(&|t| t.get_mut("predictor.bias").unwrap().data[7] = f32::NAN).contains("NaN"));
        let file = weights.to_safetensors();
        for cut in [0, 7, 8, 100, file.len() - 1] {
            assert!(matches!(Weights::from_safetensors(&SMALL, &file[..cut]), Err(WeightsError::Format(_))));
        }
        assert!(matches!(
            Weights::from_safetensors(&Architecture { layers: 1, ..SMALL }, &file),
            Err(WeightsError::Unknown(_))
        ));
    }
}
