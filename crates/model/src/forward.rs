//! The forward pass of one chunk, written once over [`Kernels`].

use std::cell::Cell;

use crate::{
    kernels::Kernels,
    model::{Linear, Model, Norm},
};

/// Buffers of one forward pass, kept by the thread for its next one.
#[derive(Default)]
struct Workspace {
    x: Vec<f32>,
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    branch: Vec<f32>,
    inner: Vec<f32>,
}

/// Workspaces of more values than this (32 MiB) are given back to the system.
const WORKSPACE_VALUES_MAX: usize = 8 << 20;

thread_local! {
    /// Taken while in use: a thread that waits inside one pass may start another.
    static WORKSPACE: Cell<Option<Workspace>> = const { Cell::new(None) };
}

/// The representations `[T, C]` of a chunk's tokens: the output of the final norm.
pub(crate) fn representations(kernels: &dyn Kernels, model: &Model, tokens: &[u16]) -> Vec<f32> {
    let architecture = model.architecture();
    let (width, ffn) = (architecture.embedding_dim as usize, architecture.ffn_dim as usize);
    let heads = architecture.heads as usize;
    let rows = tokens.len();

    let mut workspace = WORKSPACE.take().unwrap_or_default();
    let Workspace {
        x,
        normed,
        q,
        k,
        v,
        branch,
        inner,
    } = &mut workspace;
    for buffer in [&mut *normed, q, k, v, branch] {
        buffer.resize(rows * width, 0.0);
    }
    inner.resize(rows * ffn, 0.0);
    x.clear();
    for token in tokens {
        x.extend_from_slice(&model.embedding[usize::from(*token) * width..][..width]);
    }
    for layer in &model.layers {
        norm(kernels, normed, x, &layer.norm_1);
        linear(kernels, q, normed, &layer.query);
        linear(kernels, k, normed, &layer.key);
        linear(kernels, v, normed, &layer.value);
        kernels.rope(q, &model.rope, heads);
        kernels.rope(k, &model.rope, heads);
        kernels.attention(normed, q, k, v, heads, width);
        linear(kernels, branch, normed, &layer.output);
        kernels.add(x, branch);

        norm(kernels, normed, x, &layer.norm_2);
        linear(kernels, inner, normed, &layer.linear_inner);
        kernels.gelu(inner);
        linear(kernels, branch, inner, &layer.linear_outer);
        kernels.add(x, branch);
    }
    let mut representations = vec![0.0; rows * width];
    norm(kernels, &mut representations, x, &model.final_norm);
    if inner.len() + 6 * x.len() <= WORKSPACE_VALUES_MAX {
        WORKSPACE.set(Some(workspace));
    }
    representations
}

/// The loss in nats of predicting `targets` from the first representations, one each.
pub(crate) fn token_losses(
    kernels: &dyn Kernels,
    model: &Model,
    representations: &[f32],
    targets: &[u16],
) -> Vec<f32> {
    let width = model.architecture().embedding_dim as usize;
    let mut logits = vec![0.0; targets.len() * model.predictor.bias.len()];
    linear(
        kernels,
        &mut logits,
        &representations[..targets.len() * width],
        &model.predictor,
    );
    let mut losses = vec![0.0; targets.len()];
    kernels.token_losses(&mut losses, &mut logits, targets);
    losses
}

fn norm(kernels: &dyn Kernels, out: &mut [f32], x: &[f32], norm: &Norm) {
    kernels.layer_norm(out, x, &norm.gamma, &norm.beta);
}

fn linear(kernels: &dyn Kernels, out: &mut [f32], x: &[f32], linear: &Linear) {
    kernels.linear(out, x, &linear.weight, Some(&linear.bias));
}
