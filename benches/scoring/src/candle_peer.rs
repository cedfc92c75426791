//! The same model in candle, on its CPU backend.

use std::{collections::HashMap, error::Error};

use candle_core::{D, DType, Device, Tensor};
use candle_nn::ops::{log_softmax, softmax_last_dim};
use serde_json::{Value, json};
use soma_model::Directions;

use crate::job::{Job, best, peak_memory_bytes};

type Result<T> = candle_core::Result<T>;

/// One linear map.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(tensors: &HashMap<String, Tensor>, name: &str) -> Self {
        Self {
            weight: tensors[&format!("{name}.weight")].clone(),
            bias: tensors[&format!("{name}.bias")].clone(),
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight)?.broadcast_add(&self.bias)
    }
}

struct Norm {
    gamma: Tensor,
    beta: Tensor,
}

impl Norm {
    fn new(tensors: &HashMap<String, Tensor>, name: &str) -> Self {
        Self {
            gamma: tensors[&format!("{name}.gamma")].clone(),
            beta: tensors[&format!("{name}.beta")].clone(),
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        candle_nn::ops::layer_norm(x, &self.gamma, &self.beta, 1e-5)
    }
}

struct Layer {
    norm_1: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm_2: Norm,
    inner: Linear,
    outer: Linear,
}

struct Model {
    heads: usize,
    embedding: Tensor,
    layers: Vec<Layer>,
    final_norm: Norm,
    predictor: Linear,
    cosines: Tensor,
    sines: Tensor,
    mask: Tensor,
}

impl Model {
    fn load(path: &std::path::Path, job: &Job, length: usize) -> Result<Self> {
        let device = &Device::Cpu;
        let tensors = candle_core::safetensors::load(path, device)?;
        let a = &job.architecture;
        let layers = (0..a.layers)
            .map(|index| {
                let name = |part: &str| format!("encoder.layers.{index}.{part}");
                let linear = |part: &str| Linear::new(&tensors, &name(part));
                Layer {
                    norm_1: Norm::new(&tensors, &name("norm_1")),
                    query: linear("attention.query"),
                    key: linear("attention.key"),
                    value: linear("attention.value"),
                    output: linear("attention.output"),
                    norm_2: Norm::new(&tensors, &name("norm_2")),
                    inner: linear("pwff.linear_inner"),
                    outer: linear("pwff.linear_outer"),
                }
            })
            .collect();
        let half = a.head_dim() as usize / 2;
        let angles: Vec<f32> = (0..length)
            .flat_map(|t| (0..half).map(move |i| (t, i)))
            .map(|(t, i)| (t as f64 / f64::from(a.rope_wavelength).powf(i as f64 / half as f64)) as f32)
            .collect();
        let angles = Tensor::from_vec(angles, (length, half), device)?;
        let mask: Vec<f32> = (0..length)
            .flat_map(|i| (0..length).map(move |j| if j > i { f32::NEG_INFINITY } else { 0.0 }))
            .collect();
        Ok(Self {
            heads: a.heads as usize,
            embedding: tensors["embedding.weight"].clone(),
            layers,
            final_norm: Norm::new(&tensors, "final_norm"),
            predictor: Linear::new(&tensors, "predictor"),
            cosines: angles.cos()?,
            sines: angles.sin()?,
            mask: Tensor::from_vec(mask, (length, length), device)?,
        })
    }

    /// `[B, T]` tokens to `[B, T, C]` representations.
    fn representations(&self, tokens: &Tensor) -> Result<Tensor> {
        let (batch, length) = tokens.dims2()?;
        let width = self.embedding.dim(1)?;
        let head_dim = width / self.heads;
        let mut x = self
            .embedding
            .embedding(&tokens.flatten_all()?)?
            .reshape((batch, length, width))?
            .contiguous()?;
        let heads = |x: Tensor| {
            x.reshape((batch, length, self.heads, head_dim))?
                .transpose(1, 2)?
                .contiguous()
        };
        // [B, T, C] x [C, D] as one matrix product.
        let linear = |linear: &Linear, x: &Tensor| -> Result<Tensor> {
            let rows = x.reshape((batch * length, x.dim(D::Minus1)?))?;
            linear.forward(&rows)?.reshape((batch, length, ()))
        };
        for layer in &self.layers {
            let normed = layer.norm_1.forward(&x)?;
            let rope = |x: Tensor| candle_nn::rotary_emb::rope(&x, &self.cosines, &self.sines);
            let q = rope(heads(linear(&layer.query, &normed)?)?)?;
            let k = rope(heads(linear(&layer.key, &normed)?)?)?;
            let v = heads(linear(&layer.value, &normed)?)?;
            let scores = (q.matmul(&k.t()?)? / (head_dim as f64).sqrt())?;
            let weights = softmax_last_dim(&scores.broadcast_add(&self.mask)?)?;
            let mixed = weights
                .matmul(&v)?
                .transpose(1, 2)?
                .contiguous()?
                .reshape((batch, length, width))?;
            x = (x + linear(&layer.output, &mixed)?)?;
            let normed = layer.norm_2.forward(&x)?;
            let inner = linear(&layer.inner, &normed)?.gelu_erf()?;
            x = (x + linear(&layer.outer, &inner)?)?;
        }
        self.final_norm.forward(&x)
    }
}

/// Cross entropy and SIGReg of whole chunks.
fn losses(model: &Model, tokens: &Tensor, directions: &Tensor) -> Result<[f64; 2]> {
    let (batch, length) = tokens.dims2()?;
    let x = model.representations(tokens)?;
    let width = x.dim(2)?;
    let predicting = x
        .narrow(1, 0, length - 1)?
        .contiguous()?
        .reshape((batch * (length - 1), width))?;
    let targets = tokens
        .narrow(1, 1, length - 1)?
        .contiguous()?
        .flatten_all()?
        .unsqueeze(1)?;
    let log_p = log_softmax(&model.predictor.forward(&predicting)?, D::Minus1)?;
    let cross_entropy = log_p.gather(&targets, 1)?.mean_all()?.neg()?.to_scalar::<f32>()?;
    let rows = x.reshape((batch * length, width))?;
    // The mean representation: the embedding.
    rows.mean(0)?;
    let projections = rows.matmul(directions)?;
    let mut sigreg = 0.0;
    for j in 1..=16 {
        let t = 3.0 * f64::from(j) / 16.0;
        let phi = (-t * t / 2.0).exp();
        let trapezoid = 3.0 / 16.0 * if j == 16 { 1.0 } else { 2.0 };
        let angles = (&projections * t)?;
        let real = (angles.cos()?.mean(0)? - phi)?.sqr()?;
        let distance = (real + angles.sin()?.mean(0)?.sqr()?)?.mean_all()?;
        sigreg += trapezoid * phi * f64::from(distance.to_scalar::<f32>()?);
    }
    Ok([f64::from(cross_entropy), 0.02 * 32.0 * sigreg])
}

pub fn measure(job: &Job) -> std::result::Result<Value, Box<dyn Error>> {
    let data = std::fs::read(&job.data)?;
    let length = data.len().min(job.architecture.max_seq_len as usize);
    let tokens: Vec<u32> = data.iter().map(|byte| u32::from(*byte)).collect();
    let tokens = Tensor::from_vec(tokens, (data.len() / length, length), &Device::Cpu)?;
    let directions = Directions::draw(&Job::SEED, &job.architecture);
    let directions = Tensor::from_vec(
        directions.to_row_major(),
        (directions.dim(), directions.len()),
        &Device::Cpu,
    )?
    .to_dtype(DType::F32)?;
    let models = job
        .weights
        .iter()
        .map(|path| Model::load(path, job, length))
        .collect::<Result<Vec<_>>>()?;
    let mut found = Vec::new();
    let (seconds, runs) = best(|| {
        found = models
            .iter()
            .map(|model| losses(model, &tokens, &directions))
            .collect::<Result<Vec<_>>>()?;
        Ok::<_, candle_core::Error>(())
    })?;
    Ok(json!({
        "version": "candle 0.11.1",
        "seconds": seconds,
        "runs": runs,
        "losses": found,
        "memory_bytes": peak_memory_bytes(),
    }))
}
