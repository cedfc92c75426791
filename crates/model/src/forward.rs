//! The forward pass of one chunk, written once over [`Kernels`].

use crate::{
    kernels::Kernels,
    model::{Linear, Model, Norm},
};

/// The representations `[T, C]` of a chunk's tokens: the output of the final norm.
pub(crate) fn representations(kernels: &dyn Kernels, model: &Model, tokens: &[u16]) -> Vec<f32> {
    let architecture = model.architecture();
    let (width, ffn) = (architecture.embedding_dim as usize, architecture.ffn_dim as usize);
    let heads = architecture.heads as usize;
    let rows = tokens.len();

    let mut x: Vec<f32> = tokens
        .iter()
        .flat_map(|token| &model.embedding[usize::from(*token) * width..][..width])
        .copied()
        .collect();
    let zeros = || vec![0.0; rows * width];
    let (mut normed, mut q, mut k, mut v, mut branch) = (zeros(), zeros(), zeros(), zeros(), zeros());
    let mut inner = vec![0.0; rows * ffn];
    for layer in &model.layers {
        norm(kernels, &mut normed, &x, &layer.norm_1);
        linear(kernels, &mut q, &normed, &layer.query);
        linear(kernels, &mut k, &normed, &layer.key);
        linear(kernels, &mut v, &normed, &layer.value);
        kernels.rope(&mut q, &model.rope, heads);
        kernels.rope(&mut k, &model.rope, heads);
        kernels.attention(&mut normed, &q, &k, &v, heads, width);
        linear(kernels, &mut branch, &normed, &layer.output);
        kernels.add(&mut x, &branch);

        norm(kernels, &mut normed, &x, &layer.norm_2);
        linear(kernels, &mut inner, &normed, &layer.linear_inner);
        kernels.gelu(&mut inner);
        linear(kernels, &mut branch, &inner, &layer.linear_outer);
        kernels.add(&mut x, &branch);
    }
    norm(kernels, &mut normed, &x, &model.final_norm);
    normed
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
