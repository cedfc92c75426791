//! The forward pass of several chunks at once, written once over [`Kernels`].
//!
//! [`pass`] is all of it but attention, which sees a chunk here, and in [`sequence`](crate::sequence) all
//! that was read before. Rows of all chunks lie one after the other: each weight is read once per call,
//! whatever the number of chunks. Only attention and positions know where a chunk begins. Memory grows with
//! the rows (V1: 64 KiB each), so callers pass a few thousand at a time.

use std::{cell::Cell, collections::BTreeSet};

use crate::{
    device::findings::Findings,
    kernels::Kernels,
    model::{Linear, Model, Norm},
    sigreg::Directions,
    tokenizer::{Chunk, PAD},
};

/// Representations from here on are refused.
pub(crate) const MAGNITUDE_LIMIT: f32 = 32_768.0;

/// Buffers of one forward pass, kept by the thread for its next one.
#[derive(Default)]
struct Workspace {
    x: Vec<f32>,
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    inner: Vec<f32>,
}

/// Workspaces of more values than this (192 MiB, 2600 rows of V1) are given back to the system: touching
/// fresh memory for every batch would cost a layer's norms and more.
const WORKSPACE_VALUES_MAX: usize = 48 << 20;

thread_local! {
    /// Taken while in use: a thread that waits inside one pass may start another.
    static WORKSPACE: Cell<Option<Workspace>> = const { Cell::new(None) };
}

/// The representations `[T, C]` of the tokens of all chunks: the output of the final norm. A chunk's rows
/// depend on nothing but the chunk.
pub(crate) fn representations(kernels: &dyn Kernels, model: &Model, chunks: &[Chunk<'_>]) -> Vec<f32> {
    let architecture = model.architecture();
    let (width, heads) = (architecture.embedding_dim as usize, architecture.heads as usize);
    let tokens: Vec<u16> = chunks.iter().flat_map(Chunk::tokens).collect();
    pass(kernels, model, &tokens, |_, out, [q, k, v]| {
        let mut first = 0;
        for chunk in chunks {
            let own = first..first + chunk.len() * width;
            first = own.end;
            let (q, k) = (&mut q[own.clone()], &mut k[own.clone()]);
            kernels.rope(q, &model.rope, heads, 0);
            kernels.rope(k, &model.rope, heads, 0);
            kernels.attention(&mut out[own.clone()], q, k, &v[own], heads, width);
        }
    })
}

/// The representations `[T, C]` of `tokens`. Where each stands and what it sees is the caller's: in every
/// layer `attend` has the layer's index, where attention's output goes, and queries, keys and values, all
/// `[T, C]`, before positions enter.
pub(crate) fn pass(
    kernels: &dyn Kernels,
    model: &Model,
    tokens: &[u16],
    mut attend: impl FnMut(usize, &mut [f32], [&mut [f32]; 3]),
) -> Vec<f32> {
    let architecture = model.architecture();
    let (width, ffn) = (architecture.embedding_dim as usize, architecture.ffn_dim as usize);

    let mut workspace = WORKSPACE.take().unwrap_or_default();
    let Workspace {
        x,
        normed,
        q,
        k,
        v,
        inner,
    } = &mut workspace;
    for buffer in [&mut *normed, q, k, v] {
        buffer.resize(tokens.len() * width, 0.0);
    }
    inner.resize(tokens.len() * ffn, 0.0);
    // What the first layer does before positions enter depends on the token only: each is done once.
    let distinct: Vec<u16> = BTreeSet::from_iter(tokens.iter().copied()).into_iter().collect();
    x.clear();
    for token in &distinct {
        x.extend_from_slice(&model.embedding[usize::from(*token) * width..][..width]);
    }
    for (index, layer) in model.layers.iter().enumerate() {
        let rows = x.len();
        norm(kernels, &mut normed[..rows], x, &layer.norm_1);
        linear(kernels, &mut q[..rows], &normed[..rows], &layer.query);
        linear(kernels, &mut k[..rows], &normed[..rows], &layer.key);
        linear(kernels, &mut v[..rows], &normed[..rows], &layer.value);
        if index == 0 {
            for buffer in [&mut *x, q, k, v] {
                repeat(buffer, &distinct, tokens, width);
            }
        }
        attend(index, normed, [q, k, v]);
        kernels.add_linear(x, normed, &layer.output.weight, &layer.output.bias);

        norm(kernels, normed, x, &layer.norm_2);
        let Linear { weight, bias } = &layer.linear_inner;
        kernels.linear_gelu(inner, normed, weight, bias);
        let Linear { weight, bias } = &layer.linear_outer;
        kernels.add_linear(x, inner, weight, bias);
    }
    let mut representations = vec![0.0; tokens.len() * width];
    norm(kernels, &mut representations, x, &model.final_norm);
    if inner.len() + 5 * x.len() <= WORKSPACE_VALUES_MAX {
        WORKSPACE.set(Some(workspace));
    }
    representations
}

/// From the rows of `distinct` tokens, ascending, to those of every token of a text.
fn repeat(rows: &mut Vec<f32>, distinct: &[u16], tokens: &[u16], width: usize) {
    let own = rows[..distinct.len() * width].to_vec();
    rows.resize(tokens.len() * width, 0.0);
    for (row, token) in rows.chunks_exact_mut(width).zip(tokens) {
        let index = distinct.binary_search(token).expect("every token is among them");
        row.copy_from_slice(&own[index * width..][..width]);
    }
}

/// The logits `[T, 264]` of representations `[T, C]`.
pub(crate) fn logits(kernels: &dyn Kernels, model: &Model, representations: &[f32]) -> Vec<f32> {
    let width = model.architecture().embedding_dim as usize;
    let mut logits = vec![0.0; representations.len() / width * model.predictor.bias.len()];
    linear(kernels, &mut logits, representations, &model.predictor);
    logits
}

/// The loss in nats of every predicted token of all chunks, from their representations.
pub(crate) fn token_losses(
    kernels: &dyn Kernels,
    model: &Model,
    representations: &[f32],
    chunks: &[Chunk<'_>],
) -> Vec<f32> {
    let mut logits = logits(kernels, model, representations);
    let rows = logits.len() / model.predictor.bias.len();
    // The last token of a chunk predicts nothing: it is given any target, and its loss is dropped.
    let mut targets = Vec::with_capacity(rows);
    for chunk in chunks {
        targets.extend_from_slice(&chunk.tokens()[1..]);
        targets.push(PAD);
    }
    let mut losses = vec![0.0; rows];
    kernels.token_losses(&mut losses, &mut logits, &targets);
    let mut last = 0;
    let mut row = 0;
    for chunk in chunks {
        last += chunk.len();
        losses.copy_within(last - chunk.len()..last - 1, row);
        row += chunk.predicted();
    }
    losses.truncate(row);
    losses
}

/// What scoring needs of each chunk, from one pass of all of them.
pub(crate) fn findings(
    kernels: &dyn Kernels,
    model: &Model,
    chunks: &[Chunk<'_>],
    directions: Option<&Directions>,
) -> Vec<Findings> {
    let width = model.architecture().embedding_dim as usize;
    let all = representations(kernels, model, chunks);
    let losses = token_losses(kernels, model, &all, chunks);
    let (mut all, mut losses) = (&all[..], &losses[..]);
    let own = |chunk: &Chunk<'_>| {
        let (own, own_losses);
        (own, all) = all.split_at(chunk.len() * width);
        (own_losses, losses) = losses.split_at(chunk.predicted());
        let mut findings = Findings {
            losses: own_losses.to_vec(),
            in_range: all_in_range(own),
            representations: vec![0; width],
            characteristic: directions.map_or_else(Vec::new, Directions::zero_sums),
        };
        if findings.in_range {
            kernels.sum_rows(&mut findings.representations, own);
            if let Some(directions) = directions {
                directions.accumulate(kernels, &mut findings.characteristic, own);
            }
        }
        findings
    };
    chunks.iter().map(own).collect()
}

/// Whether all are below [`MAGNITUDE_LIMIT`]. NaN is not below anything.
pub(crate) fn all_in_range(values: &[f32]) -> bool {
    values
        .iter()
        .fold(true, |all, value| all & (value.abs() < MAGNITUDE_LIMIT))
}

fn norm(kernels: &dyn Kernels, out: &mut [f32], x: &[f32], norm: &Norm) {
    kernels.layer_norm(out, x, &norm.gamma, &norm.beta);
}

fn linear(kernels: &dyn Kernels, out: &mut [f32], x: &[f32], linear: &Linear) {
    kernels.linear(out, x, &linear.weight, Some(&linear.bias));
}
