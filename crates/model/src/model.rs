//! A model in memory: checked weights of one architecture.

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    sync::{Arc, Weak},
};

use soma_types::{Architecture, architecture::VOCAB};

use crate::{
    kernels::Rope,
    layout::{TensorSpec, layout},
    matrix::Matrix,
    safetensors::{self, WeightsError},
    tensor::Tensor,
};

/// Weight and bias of one linear map.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// `[inputs, outputs]`.
    pub weight: Matrix,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// Scale and shift of one layer norm.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// Scales, `[C]`.
    pub gamma: Vec<f32>,
    /// Shifts, `[C]`.
    pub beta: Vec<f32>,
}

/// One transformer layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Before attention.
    pub norm_1: Norm,
    /// To queries.
    pub query: Linear,
    /// To keys.
    pub key: Linear,
    /// To values.
    pub value: Linear,
    /// From attention.
    pub output: Linear,
    /// Before the feed-forward network.
    pub norm_2: Norm,
    /// Into it.
    pub linear_inner: Linear,
    /// Out of it.
    pub linear_outer: Linear,
}

/// Weights that fit their architecture; every value is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    architecture: Architecture,
    pub(crate) embedding: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) final_norm: Norm,
    pub(crate) predictor: Linear,
    pub(crate) rope: Rope,
    identity: Identity,
}

/// Which model this is, of all in the process: a clone is another.
#[derive(Debug, Default)]
struct Identity(Arc<()>);

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Models are equal when their weights are.
impl PartialEq for Identity {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Model {
    /// Loads a safetensors file, streaming it. Matrices keep the type they are stored in. What comes through
    /// a pipe has no size, so it is read whole first, but not beyond the largest file of this architecture.
    ///
    /// # Errors
    /// When the file cannot be read or is anything but exactly this architecture's weights.
    pub fn load(path: impl AsRef<Path>, architecture: &Architecture) -> Result<Self, WeightsError> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() {
            return Self::read(file, metadata.len(), architecture);
        }
        let limit = safetensors::file_bytes_max(&layout(&architecture.validate()?));
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Self::from_bytes(&bytes, architecture)
    }

    /// Loads safetensors from memory.
    ///
    /// # Errors
    /// When the bytes are anything but exactly this architecture's weights.
    pub fn from_bytes(bytes: &[u8], architecture: &Architecture) -> Result<Self, WeightsError> {
        Self::read(bytes, bytes.len() as u64, architecture)
    }

    /// Loads safetensors of `size` bytes from `source`, streaming them.
    ///
    /// # Errors
    /// When the source cannot be read or gives anything but exactly this architecture's weights.
    pub fn read(
        source: impl std::io::Read,
        size: u64,
        architecture: &Architecture,
    ) -> Result<Self, WeightsError> {
        let architecture = architecture.validate()?;
        let tensors = safetensors::read(source, size, &layout(&architecture))?;
        Ok(Self::assemble(architecture, tensors))
    }

    /// Takes row-major tensors by name, in any order.
    ///
    /// # Errors
    /// A missing, unknown, repeated or misshapen tensor, or a value that is not finite.
    pub fn from_tensors(
        architecture: &Architecture,
        tensors: impl IntoIterator<Item = (String, Vec<f32>)>,
    ) -> Result<Self, WeightsError> {
        let architecture = architecture.validate()?;
        let specs = layout(&architecture);
        let mut ordered: Vec<Option<Tensor>> = vec![None; specs.len()];
        for (name, values) in tensors {
            let Some(index) = specs.iter().position(|spec| spec.name == name) else {
                return Err(WeightsError::Unknown { name });
            };
            if values.len() != specs[index].len() {
                return Err(WeightsError::Length {
                    name,
                    expected: specs[index].len(),
                    found: values.len(),
                });
            }
            let tensor = Tensor::F32(values);
            safetensors::check_finite(&name, tensor.first_not_finite())?;
            if ordered[index].replace(tensor).is_some() {
                return Err(WeightsError::Duplicate { name });
            }
        }
        if let Some(index) = ordered.iter().position(Option::is_none) {
            let TensorSpec { name, shape } = specs[index].clone();
            return Err(WeightsError::Missing { name, shape });
        }
        Ok(Self::assemble(architecture, ordered.into_iter().flatten()))
    }

    /// Builds the model from checked tensors in the layout's order.
    fn assemble(architecture: Architecture, tensors: impl IntoIterator<Item = Tensor>) -> Self {
        let (d, ffn) = (architecture.embedding_dim as usize, architecture.ffn_dim as usize);
        let mut tensors = tensors.into_iter();
        let mut next = || {
            tensors
                .next()
                .expect("the caller checked that every tensor is there")
        };
        let embedding = next().into_f32();
        let norm = |next: &mut dyn FnMut() -> Tensor| Norm {
            gamma: next().into_f32(),
            beta: next().into_f32(),
        };
        let linear = |next: &mut dyn FnMut() -> Tensor, inputs, outputs| Linear {
            weight: Matrix::from_tensor(inputs, outputs, &next()),
            bias: next().into_f32(),
        };
        let layers = (0..architecture.layers)
            .map(|_| Layer {
                norm_1: norm(&mut next),
                query: linear(&mut next, d, d),
                key: linear(&mut next, d, d),
                value: linear(&mut next, d, d),
                output: linear(&mut next, d, d),
                norm_2: norm(&mut next),
                linear_inner: linear(&mut next, d, ffn),
                linear_outer: linear(&mut next, ffn, d),
            })
            .collect();
        let final_norm = norm(&mut next);
        let predictor = linear(&mut next, d, VOCAB);
        let rope = Rope::new(
            architecture.max_seq_len as usize,
            architecture.head_dim() as usize,
            architecture.rope_wavelength,
        );
        Self {
            architecture,
            embedding,
            layers,
            final_norm,
            predictor,
            rope,
            identity: Identity::default(),
        }
    }

    /// The dimensions.
    #[must_use]
    pub const fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// A row of each token, `[264, C]`.
    #[must_use]
    pub fn embedding(&self) -> &[f32] {
        &self.embedding
    }

    /// The layers, first to last.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What makes representations.
    #[must_use]
    pub const fn final_norm(&self) -> &Norm {
        &self.final_norm
    }

    /// From representations to logits.
    #[must_use]
    pub const fn predictor(&self) -> &Linear {
        &self.predictor
    }

    /// Its table of positions.
    #[must_use]
    pub const fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Names it for whoever keeps something of it elsewhere; dead once the model is dropped.
    #[must_use]
    pub fn identity(&self) -> Weak<()> {
        Arc::downgrade(&self.identity.0)
    }

    /// Bytes of weights and tables it keeps in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let values = |count: usize| (size_of::<f32>() * count) as u64;
        let norm = |norm: &Norm| values(norm.gamma.len() + norm.beta.len());
        let linear = |linear: &Linear| linear.weight.memory_bytes() + values(linear.bias.len());
        let layers = self.layers.iter().map(|layer| {
            let linears = [
                &layer.query,
                &layer.key,
                &layer.value,
                &layer.output,
                &layer.linear_inner,
                &layer.linear_outer,
            ];
            norm(&layer.norm_1) + norm(&layer.norm_2) + linears.map(linear).iter().sum::<u64>()
        });
        values(self.embedding.len() + self.rope.values())
            + layers.sum::<u64>()
            + norm(&self.final_norm)
            + linear(&self.predictor)
    }

    /// Every tensor, row-major, in the layout's order.
    #[must_use]
    pub fn tensors(&self) -> Vec<(TensorSpec, Vec<f32>)> {
        fn norm(values: &mut Vec<Vec<f32>>, norm: &Norm) {
            values.extend([norm.gamma.clone(), norm.beta.clone()]);
        }
        fn linear(values: &mut Vec<Vec<f32>>, linear: &Linear) {
            values.extend([linear.weight.to_row_major(), linear.bias.clone()]);
        }
        let mut values = vec![self.embedding.clone()];
        for layer in &self.layers {
            norm(&mut values, &layer.norm_1);
            for part in [&layer.query, &layer.key, &layer.value, &layer.output] {
                linear(&mut values, part);
            }
            norm(&mut values, &layer.norm_2);
            linear(&mut values, &layer.linear_inner);
            linear(&mut values, &layer.linear_outer);
        }
        norm(&mut values, &self.final_norm);
        linear(&mut values, &self.predictor);
        layout(&self.architecture).into_iter().zip(values).collect()
    }

    /// The canonical safetensors file, F32. The same weights always give the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let tensors = self.tensors();
        let borrowed: Vec<_> = tensors
            .iter()
            .map(|(spec, values)| (spec.clone(), values.as_slice()))
            .collect();
        safetensors::write(&borrowed).expect("a model's tensors are finite, distinct and of their shapes")
    }

    /// Random weights of ordinary size: for checks and tests, never for training.
    #[must_use]
    pub fn random(architecture: &Architecture, seed: u64) -> Self {
        let mut stream = crate::kernels::Values::new(seed);
        let tensors = layout(architecture).into_iter().map(|spec| {
            let scale = if spec.shape.len() == 2 {
                1.5 / (spec.shape[0] as f32).sqrt()
            } else {
                0.1
            };
            let scale = if spec.name.starts_with("embedding") {
                1.0
            } else {
                scale
            };
            let centre = if spec.name.ends_with("gamma") { 1.0 } else { 0.0 };
            let values = (0..spec.len())
                .map(|_| centre + scale * stream.uniform())
                .collect();
            (spec.name, values)
        });
        Self::from_tensors(architecture, tensors).expect("the layout fits itself")
    }
}
