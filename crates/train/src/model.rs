//! The V1 model as a burn module (SCORING, section 1). Its field names, joined by dots, are the names of the
//! weights (section 2), so that walking the module walks the file.

use std::{collections::BTreeMap, sync::Arc};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Tensor, TensorData},
};
use soma_model::{WeightsError, kernels::Rope};
use soma_types::Architecture;

use crate::{
    chunk::Batch,
    kernels::attention::Sizes,
    ops::Operations,
    random::Random,
    weights::{Named, Weights},
};

/// A table of token vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    weight: Param<Tensor<2>>,
}

/// Scale and shift of a layer norm.
#[derive(Module, Debug)]
pub struct Norm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
}

/// `x weight + bias`; the weight is `[in, out]`.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// Multi-head causal attention.
#[derive(Module, Debug)]
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

/// The position-wise feed-forward network.
#[derive(Module, Debug)]
pub struct FeedForward {
    linear_inner: Linear,
    linear_outer: Linear,
}

/// One transformer layer.
#[derive(Module, Debug)]
pub struct Layer {
    norm_1: Norm,
    attention: Attention,
    norm_2: Norm,
    pwff: FeedForward,
}

/// The stack of layers.
#[derive(Module, Debug)]
pub struct Encoder {
    layers: Vec<Layer>,
}

/// The whole model.
#[derive(Module, Debug)]
pub struct Transformer {
    embedding: Embedding,
    encoder: Encoder,
    final_norm: Norm,
    predictor: Linear,
}

/// What the forward pass needs besides weights: the operations, the sizes and the table of rotary positions.
/// Shared by all threads.
#[derive(Clone, Debug)]
pub struct Context {
    /// The form of the operations.
    pub ops: Operations,
    /// The dimensions.
    pub architecture: Architecture,
    rope: Arc<Rope>,
}

impl Context {
    /// Builds the table.
    #[must_use]
    pub fn new(ops: Operations, architecture: Architecture) -> Self {
        let a = &architecture;
        let rope = Rope::new(a.max_seq_len as usize, a.head_dim() as usize, a.rope_wavelength);
        Self {
            ops,
            architecture,
            rope: Arc::new(rope),
        }
    }
}

impl Transformer {
    /// The model of checked weights, on a device with autodiff.
    #[must_use]
    pub fn new(architecture: &Architecture, weights: &Weights, device: &Device) -> Self {
        let load = Loader { weights, device };
        let layer = |i: u32| {
            let name = |part: &str| format!("encoder.layers.{i}.{part}");
            Layer {
                norm_1: load.norm(&name("norm_1")),
                attention: Attention {
                    query: load.linear(&name("attention.query")),
                    key: load.linear(&name("attention.key")),
                    value: load.linear(&name("attention.value")),
                    output: load.linear(&name("attention.output")),
                },
                norm_2: load.norm(&name("norm_2")),
                pwff: FeedForward {
                    linear_inner: load.linear(&name("pwff.linear_inner")),
                    linear_outer: load.linear(&name("pwff.linear_outer")),
                },
            }
        };
        Self {
            embedding: Embedding {
                weight: load.parameter("embedding.weight"),
            },
            encoder: Encoder {
                layers: (0..architecture.layers).map(layer).collect(),
            },
            final_norm: load.norm("final_norm"),
            predictor: load.linear("predictor"),
        }
    }

    /// The weights, copied out of the model.
    ///
    /// # Errors
    /// If training drove one to a NaN or an infinity.
    pub fn weights(&self, architecture: &Architecture) -> Result<Weights, WeightsError> {
        let mut copy = Copier::default();
        self.visit(&mut copy);
        Weights::new(architecture, copy.tensors)
    }

    /// The representations `[tokens, d]` of a batch, without what `dropout` leaves out of each layer's two
    /// results.
    #[must_use]
    pub fn represent(&self, context: &Context, batch: &Batch, dropout: Option<Dropout>) -> Tensor<2> {
        let mut masks = dropout.map(Masks::new);
        let mut thin = |x: Tensor<2>| match &mut masks {
            Some(masks) => masks.thin(x),
            None => x,
        };
        let ops = context.ops;
        let sizes = Sizes {
            batch: batch.chunks(),
            sequence: context.architecture.max_seq_len as usize,
            heads: context.architecture.heads as usize,
            head_dim: context.architecture.head_dim() as usize,
        };
        let mut x = ops.embed(self.embedding.weight.val(), batch.tokens());
        for layer in &self.encoder.layers {
            let normal = layer.norm_1.forward(ops, x.clone());
            let heads = [
                &layer.attention.query,
                &layer.attention.key,
                &layer.attention.value,
            ]
            .map(|linear| linear.forward(ops, normal.clone()));
            let mixed = ops.attention(heads, &context.rope, sizes);
            x = x + thin(layer.attention.output.forward(ops, mixed));
            let normal = layer.norm_2.forward(ops, x.clone());
            let inner = ops.gelu(layer.pwff.linear_inner.forward(ops, normal));
            x = x + thin(layer.pwff.linear_outer.forward(ops, inner));
        }
        self.final_norm.forward(ops, x)
    }

    /// The logits `[tokens, vocab]` of representations.
    #[must_use]
    pub fn predict(&self, context: &Context, representations: Tensor<2>) -> Tensor<2> {
        self.predictor.forward(context.ops, representations)
    }
}

/// What one pass leaves out of the layers' results (Srivastava et al. 2014), drawn anew for each pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The share that is left out, from 0 to less than 1.
    pub rate: f64,
    /// The run's seed.
    pub seed: u64,
    /// Which pass of the run this is.
    pub pass: u64,
}

/// Draws what is kept, layer after layer.
struct Masks {
    random: Random,
    /// Draws below it are left out.
    threshold: u64,
    /// What is kept counts as much more.
    scale: f32,
}

/// One more than the largest draw.
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

impl Masks {
    fn new(dropout: Dropout) -> Self {
        Self {
            random: Random::new(dropout.seed ^ u64::from_le_bytes(*b"dropout\0"), dropout.pass),
            threshold: (dropout.rate * TWO_TO_64) as u64,
            scale: (1.0 / (1.0 - dropout.rate)) as f32,
        }
    }

    fn thin(&mut self, x: Tensor<2>) -> Tensor<2> {
        let [rows, width] = x.dims();
        let mask: Vec<f32> = (0..rows * width)
            .map(|_| {
                if self.random.next() < self.threshold {
                    0.0
                } else {
                    self.scale
                }
            })
            .collect();
        let mask = Tensor::from_data(TensorData::new(mask, [rows, width]), &x.device());
        x * mask
    }
}

/// Turns named tensors into parameters.
struct Loader<'a> {
    weights: &'a Weights,
    device: &'a Device,
}

impl Loader<'_> {
    fn parameter<const D: usize>(&self, name: &str) -> Param<Tensor<D>> {
        let named = &self.weights.tensors()[name];
        let data = TensorData::new(named.data.clone(), named.shape.clone());
        Param::from_tensor(Tensor::from_data(data, self.device))
    }

    fn linear(&self, name: &str) -> Linear {
        Linear {
            weight: self.parameter(&format!("{name}.weight")),
            bias: self.parameter(&format!("{name}.bias")),
        }
    }

    fn norm(&self, name: &str) -> Norm {
        Norm {
            gamma: self.parameter(&format!("{name}.gamma")),
            beta: self.parameter(&format!("{name}.beta")),
        }
    }
}

/// Walks the module and copies every parameter, under the path of its fields.
#[derive(Default)]
struct Copier {
    path: Vec<String>,
    tensors: BTreeMap<String, Named>,
}

impl ModuleVisitor for Copier {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let named = Named {
            shape: tensor.dims().to_vec(),
            data: tensor
                .into_data()
                .try_into_vec()
                .expect("parameters are f32 tensors"),
        };
        self.tensors.insert(self.path.join("."), named);
    }
}

impl Norm {
    fn forward(&self, ops: Operations, x: Tensor<2>) -> Tensor<2> {
        ops.layer_norm(x, self.gamma.val(), self.beta.val())
    }
}

impl Linear {
    fn forward(&self, ops: Operations, x: Tensor<2>) -> Tensor<2> {
        ops.linear(x, self.weight.val(), self.bias.val())
    }
}
