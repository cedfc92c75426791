//! The same operations composed of burn's tensor operations: they run on every backend, and define what the
//! fused ones must equal.

use burn::tensor::{
    Bool, Int, Tensor, TensorData,
    activation::{gelu as gelu_of, log_softmax, softmax},
};
use soma_model::{elementary::exp, kernels::Rope};

use crate::kernels::{
    attention::Sizes,
    loss::{POINTS, STEP, WEIGHT},
};

/// Rows of a table.
pub fn embed(table: Tensor<2>, tokens: &[u16]) -> Tensor<2> {
    let indices: Vec<i32> = tokens.iter().map(|t| i32::from(*t)).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [tokens.len()]), &table.device());
    table.select(0, indices)
}

/// `x w + b`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    x.matmul(weight) + bias.unsqueeze::<2>()
}

/// Layer norm of rows.
pub fn layer_norm(x: Tensor<2>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f32) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    centred / (variance + epsilon).sqrt() * gamma.unsqueeze::<2>() + beta.unsqueeze::<2>()
}

/// The exact GELU.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    gelu_of(x)
}

/// Causal attention with rotary positions.
pub fn attention(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, rope: &Rope, sizes: Sizes) -> Tensor<2> {
    let Sizes {
        batch,
        sequence,
        heads,
        head_dim,
    } = sizes;
    let (half, device) = (head_dim / 2, q.device());
    let table = |t: Vec<f32>| Tensor::<4>::from_data(TensorData::new(t, [1, 1, sequence, half]), &device);
    let cos = table((0..sequence).flat_map(|t| rope.at(t).0).copied().collect());
    let sin = table((0..sequence).flat_map(|t| rope.at(t).1).copied().collect());
    let split = |x: Tensor<2>| x.reshape([batch, sequence, heads, head_dim]).swap_dims(1, 2);
    let turn = |x: Tensor<4>| {
        let (a, b) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        let low = a.clone() * cos.clone() - b.clone() * sin.clone();
        let high = b * cos.clone() + a * sin.clone();
        Tensor::cat(vec![low, high], 3)
    };
    let (q, k, v) = (turn(split(q)), turn(split(k)), split(v));
    let scores = q.matmul(k.swap_dims(2, 3)) / (head_dim as f32).sqrt();
    let future = Tensor::<2, Bool>::tril_mask([sequence, sequence], 0, &device).unsqueeze::<4>();
    let scores = scores.mask_fill(future, f32::NEG_INFINITY);
    softmax(scores, 3)
        .matmul(v)
        .swap_dims(1, 2)
        .reshape([batch * sequence, heads * head_dim])
}

/// Sum over positions of -log p(target), in nats.
pub fn cross_entropy(logits: Tensor<2>, targets: &[Option<u16>]) -> Tensor<1> {
    let (device, rows) = (logits.device(), targets.len());
    let index: Vec<i32> = targets.iter().map(|t| i32::from(t.unwrap_or(0))).collect();
    let weight: Vec<f32> = targets
        .iter()
        .map(|t| if t.is_some() { 1.0 } else { 0.0 })
        .collect();
    let index = Tensor::<2, Int>::from_data(TensorData::new(index, [rows, 1]), &device);
    let weight = Tensor::<2>::from_data(TensorData::new(weight, [rows, 1]), &device);
    -(log_softmax(logits, 1).gather(1, index) * weight).sum()
}

/// SIGReg of the rows that count; directions are `[d][count]`, columns of length 1.
pub fn sigreg(x: Tensor<2>, counts: &[bool], directions: &[f32]) -> Tensor<1> {
    let device = x.device();
    let [_, width] = x.dims();
    let rows: Vec<i32> = (0..counts.len())
        .filter(|n| counts[*n])
        .map(|n| n as i32)
        .collect();
    if rows.is_empty() {
        return x.sum() * 0.0;
    }
    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows.clone(), [rows.len()]), &device);
    let count = directions.len() / width;
    let directions = Tensor::<2>::from_data(TensorData::new(directions.to_vec(), [width, count]), &device);
    let projected = x.select(0, rows).matmul(directions);
    let mut total = Tensor::<1>::zeros([1], &device);
    for j in 0..POINTS {
        let t = STEP * j as f32;
        let phi = exp(-t * t / 2.0);
        let weight = if j == 0 || j + 1 == POINTS {
            STEP
        } else {
            2.0 * STEP
        };
        let angle = projected.clone() * t;
        let cos = angle.clone().cos().mean_dim(0) - phi;
        let sin = angle.sin().mean_dim(0);
        total = total + (cos.clone() * cos + sin.clone() * sin).mean() * (weight * phi);
    }
    total * WEIGHT as f32
}
