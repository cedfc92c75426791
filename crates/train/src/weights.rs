//! Weights as named tensors: fresh ones from a seed, and to and from the canonical safetensors file (SCORING,
//! section 2), which `soma-model` reads and writes.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use soma_model::{TensorSpec, WeightsError, layout, safetensors, tensor::Tensor};
use soma_types::Architecture;

use crate::random::Random;

/// One tensor, row-major.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Named {
    /// One or two dimensions.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: Vec<f32>,
}

/// All tensors of a model by name: complete, of the right shapes, finite when they were made.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights(BTreeMap<String, Named>);

/// Standard deviations of fresh weights. Token vectors are large, so that the first layers see which byte
/// they look at (0.3 instead of 0.09 saves a nano model half of its first 400 000 tokens); projections into
/// the residual stream get theirs divided by sqrt(2 layers), so that the stream's variance does not grow with
/// depth.
const EMBEDDING_DEVIATION: f32 = 0.3;
/// Times 1 / sqrt(inputs), for the other matrices.
const MATRIX_DEVIATION: f32 = 1.0;

impl Weights {
    /// Fresh weights: normal, biases and betas 0, gammas 1. The same seed gives the same weights everywhere.
    #[must_use]
    pub fn fresh(architecture: &Architecture, seed: u64) -> Self {
        let residual = 1.0 / (2.0 * architecture.layers as f32).sqrt();
        let tensors = layout(architecture).into_iter().enumerate().map(|(index, spec)| {
            let TensorSpec { name, shape } = spec;
            let size = shape.iter().product();
            let data = if name.ends_with(".gamma") {
                vec![1.0; size]
            } else if let [inputs, _] = shape[..] {
                let scaled = MATRIX_DEVIATION / (inputs as f32).sqrt();
                let deviation = if name.starts_with("embedding") {
                    EMBEDDING_DEVIATION
                } else if name.ends_with("output.weight") || name.ends_with("linear_outer.weight") {
                    scaled * residual
                } else {
                    scaled
                };
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
        let specs = layout(architecture);
        if let Some(name) = tensors
            .keys()
            .find(|name| specs.iter().all(|spec| spec.name != **name))
        {
            return Err(WeightsError::Unknown { name: name.clone() });
        }
        for TensorSpec { name, shape } in specs {
            let Some(tensor) = tensors.get(&name) else {
                return Err(WeightsError::Missing { name, shape });
            };
            if tensor.shape != shape {
                let found = tensor.shape.iter().map(|n| *n as u64).collect();
                return Err(WeightsError::Shape {
                    name,
                    expected: shape,
                    found,
                });
            }
            let (expected, found) = (shape.iter().product(), tensor.data.len());
            if found != expected {
                return Err(WeightsError::Length {
                    name,
                    expected,
                    found,
                });
            }
            if let Some(index) = tensor.data.iter().position(|x| !x.is_finite()) {
                return Err(WeightsError::NotFinite {
                    name,
                    value: tensor.data[index],
                    index,
                });
            }
        }
        Ok(Self(tensors))
    }

    /// Reads a safetensors file; BF16 and F16 widen exactly.
    ///
    /// # Errors
    /// When the bytes are anything but this architecture's weights.
    pub fn from_safetensors(architecture: &Architecture, file: &[u8]) -> Result<Self, WeightsError> {
        let specs = layout(&architecture.validate()?);
        let tensors = safetensors::read(file, file.len() as u64, &specs)?;
        let named = |(spec, tensor): (TensorSpec, Tensor)| {
            (
                spec.name,
                Named {
                    shape: spec.shape,
                    data: tensor.into_f32(),
                },
            )
        };
        Ok(Self(specs.into_iter().zip(tensors).map(named).collect()))
    }

    /// The canonical file: F32. Equal weights give equal bytes.
    ///
    /// # Errors
    /// If training drove a weight to a NaN or an infinity.
    pub fn to_safetensors(&self, architecture: &Architecture) -> Result<Vec<u8>, WeightsError> {
        let tensors: Vec<_> = layout(architecture)
            .into_iter()
            .filter_map(|spec| {
                self.0
                    .get(&spec.name)
                    .map(|tensor| (spec, tensor.data.as_slice()))
            })
            .collect();
        safetensors::write(&tensors)
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

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Architecture = Architecture {
        embedding_dim: 8,
        heads: 2,
        layers: 2,
        ffn_dim: 16,
        max_seq_len: 8,
        rope_wavelength: 100,
    };

    #[test]
    fn fresh_weights_survive_the_file_and_repeat() {
        let weights = Weights::fresh(&SMALL, 5);
        let file = weights.to_safetensors(&SMALL).unwrap();
        assert_eq!(Weights::from_safetensors(&SMALL, &file).unwrap(), weights);
        assert_eq!(Weights::fresh(&SMALL, 5).to_safetensors(&SMALL).unwrap(), file);
        assert_ne!(Weights::fresh(&SMALL, 6).to_safetensors(&SMALL).unwrap(), file);
    }

    #[test]
    fn every_defect_is_named() {
        let weights = Weights::fresh(&SMALL, 5);
        let spoil = |change: &dyn Fn(&mut BTreeMap<String, Named>)| {
            let mut tensors = weights.0.clone();
            change(&mut tensors);
            Weights::new(&SMALL, tensors).unwrap_err().to_string()
        };
        assert!(
            spoil(&|t| drop(t.remove("final_norm.beta")))
                .contains("'final_norm.beta' of shape [8] is missing")
        );
        let extra = Named {
            shape: vec![1],
            data: vec![0.0],
        };
        assert!(spoil(&|t| drop(t.insert("head".into(), extra.clone()))).contains("unknown tensor 'head'"));
        assert!(spoil(&|t| t.get_mut("predictor.bias").unwrap().shape = vec![2]).contains("shape [2]"));
        assert!(spoil(&|t| t.get_mut("predictor.bias").unwrap().data[7] = f32::NAN).contains("NaN"));
        let file = weights.to_safetensors(&SMALL).unwrap();
        assert!(Weights::from_safetensors(&SMALL, &file[..file.len() - 1]).is_err());
        assert!(matches!(
            Weights::from_safetensors(&Architecture { layers: 1, ..SMALL }, &file),
            Err(WeightsError::Unknown { .. })
        ));
    }
}
