//! Fast evaluation with the trainer's arithmetic: for learning curves. The network's verdicts come from
//! `soma-model`.

use std::num::NonZeroUsize;

use burn::tensor::Device;
use soma_data::Dataset;
use soma_model::WeightsError;
use soma_types::Architecture;

use crate::{
    chunk::Batch,
    model::Context,
    ops::{self, Operations},
    pass::{self, Task},
    weights::Weights,
};

/// How well a model predicts a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean -log p over all predicted tokens of all documents, in nats.
    pub cross_entropy: f64,
    /// Their number.
    pub predicted_tokens: u64,
    /// The same in bits; all tokens but one per document are bytes.
    pub bits_per_byte: f64,
}

/// Chunks that one pass takes.
const CHUNKS_PER_PASS: usize = 8;

/// Evaluates a model of safetensors weights on a data set. Documents never share a chunk.
///
/// # Errors
/// If the weights are not of this architecture.
pub fn evaluate(
    architecture: &Architecture,
    weights: &[u8],
    dataset: &Dataset,
    threads: Option<NonZeroUsize>,
) -> Result<Evaluation, WeightsError> {
    let weights = Weights::from_safetensors(architecture, weights)?;
    let context = Context::new(Operations::Fused, *architecture);
    let device: Device = ops::cpu();
    let length = architecture.max_seq_len as usize;
    let mut all = Batch::new(length);
    for document in dataset.documents() {
        document.data.chunks(length).for_each(|chunk| all.push(chunk));
    }
    let tasks: Vec<Task> = (0..all.chunks())
        .step_by(CHUNKS_PER_PASS)
        .map(|start| Task {
            batch: all.slice(start..(start + CHUNKS_PER_PASS).min(all.chunks())),
            directions: Vec::new(),
            cross_entropy_weight: 1.0,
            sigreg_weight: 0.0,
            dropout: None,
            lesson: None,
        })
        .collect();
    let threads = threads
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let results = pass::run(&weights, &context, &device, &tasks, threads, false, pass::losses);
    let sum: f64 = results.iter().map(|l| l.cross_entropy_sum).sum();
    let predicted_tokens: u64 = results.iter().map(|l| l.predicted_tokens).sum();
    let cross_entropy = sum / predicted_tokens.max(1) as f64;
    Ok(Evaluation {
        cross_entropy,
        predicted_tokens,
        bits_per_byte: cross_entropy / std::f64::consts::LN_2,
    })
}
