//! The fused operations: this crate's kernels, recorded in burn's autodiff graph on the Flex backend.

use std::{marker::PhantomData, sync::Arc};

use burn::tensor::{Tensor, TensorData};
use burn_autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
    grads::Gradients,
    ops::{Backward, NodeGuard, Ops, OpsKind},
};
use burn_backend::TensorMetadata;
use burn_flex::{Flex, FlexTensor};
use soma_model::kernels::Rope;

use crate::kernels::{
    self,
    attention::{self, Sizes},
    gemm::{Former, Matrix, multiply},
    loss, norm,
};

type Traced = burn_autodiff::ops::NodeGuard;

/// What an operation keeps for its backward pass.
trait Saved<const N: usize>: Clone + Send + 'static {
    /// Gradients of the parents; those of parents not `wanted` may be anything.
    fn backward(self, grad: &[f32], wanted: [bool; N]) -> [Buffer; N];
}

/// A shape and its elements, in row-major order.
struct Buffer(Vec<usize>, Vec<f32>);

impl Buffer {
    fn like(tensor: &FlexTensor, data: Vec<f32>) -> Self {
        Self(tensor.layout().shape().to_vec(), data)
    }

    const fn none() -> Self {
        Self(Vec::new(), Vec::new())
    }

    fn into_tensor(self) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(self.1, self.0))
    }
}

/// A node of the graph: burn wants the operation's type and its state apart.
struct Node<S>(PhantomData<S>);

impl<S> std::fmt::Debug for Node<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::any::type_name::<S>())
    }
}

/// State with the `Debug` that burn asks for.
#[derive(Clone)]
struct State<S>(S);

impl<S> std::fmt::Debug for State<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::any::type_name::<S>())
    }
}

impl<const N: usize, S: Saved<N>> Backward<Flex, N> for Node<S> {
    type State = State<S>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let results = ops.state.0.backward(elements(&grad), wanted);
        for (parent, result) in ops.parents.into_iter().zip(results) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, result.into_tensor());
            }
        }
    }
}

/// The elements of a contiguous tensor.
fn elements(tensor: &FlexTensor) -> &[f32] {
    let start = tensor.layout().start_offset();
    &tensor.storage::<f32>()[start..start + tensor.layout().num_elements()]
}

/// Takes a tensor of the autodiff CPU device apart.
fn open<const D: usize>(tensor: Tensor<D>) -> (FlexTensor, NodeGuard) {
    let traced = tensor
        .try_into_primitive::<Autodiff<Flex>>()
        .expect("fused operations are only chosen for tensors of Device::flex().autodiff()");
    let (primitive, guard) = traced.into_parts();
    (primitive.to_contiguous(), guard)
}

/// Records an operation. `saved` is only built when some parent needs a gradient.
fn record<const N: usize, const D: usize, S: Saved<N>>(
    parents: [Traced; N],
    output: Buffer,
    saved: impl FnOnce() -> S,
) -> Tensor<D> {
    let output = output.into_tensor();
    let node = Node::<S>(PhantomData);
    let traced = match node
        .prepare::<NoCheckpointing>(parents)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish(State(saved()), output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(traced)
}

/// Rows of a table: `[vocab, d]` and N tokens to `[N, d]`.
pub fn embed(table: Tensor<2>, tokens: &[u16]) -> Tensor<2> {
    #[derive(Clone)]
    struct Keep(FlexTensor, Vec<u16>);
    impl Saved<1> for Keep {
        fn backward(self, grad: &[f32], _: [bool; 1]) -> [Buffer; 1] {
            let shape = self.0.shape();
            let width = shape[1];
            let mut table = vec![0.0; shape[0] * width];
            for (row, token) in grad.chunks_exact(width).zip(&self.1) {
                let at = usize::from(*token) * width;
                kernels::add_rows(row, &mut table[at..at + width]);
            }
            [Buffer::like(&self.0, table)]
        }
    }
    let (table, node) = open(table);
    let width = table.shape()[1];
    let data = elements(&table);
    let out: Vec<f32> = tokens
        .iter()
        .flat_map(|t| &data[usize::from(*t) * width..(usize::from(*t) + 1) * width])
        .copied()
        .collect();
    record([node], Buffer(vec![tokens.len(), width], out), || {
        Keep(table.clone(), tokens.to_vec())
    })
}

/// `x w + b`, with x `[N, in]`, w `[in, out]`, b `[out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    #[derive(Clone)]
    struct Keep(FlexTensor, FlexTensor);
    impl Saved<3> for Keep {
        fn backward(self, grad: &[f32], wanted: [bool; 3]) -> [Buffer; 3] {
            let (rows, inner) = (self.0.shape()[0], self.0.shape()[1]);
            let outer = self.1.shape()[1];
            let g = Matrix::new(grad, rows, outer, outer);
            let mut dx = Buffer::none();
            if wanted[0] {
                dx = Buffer(vec![rows, inner], vec![0.0; rows * inner]);
                let w = Matrix::new(elements(&self.1), inner, outer, outer);
                multiply(&mut dx.1, inner, Former::Replace, g, w.transposed());
            }
            let (mut dw, mut db) = (Buffer::none(), Buffer::none());
            if wanted[1] {
                dw = Buffer(vec![inner, outer], vec![0.0; inner * outer]);
                let x = Matrix::new(elements(&self.0), rows, inner, inner);
                multiply(&mut dw.1, outer, Former::Replace, x.transposed(), g);
            }
            if wanted[2] {
                db = Buffer(vec![outer], vec![0.0; outer]);
                kernels::add_rows(grad, &mut db.1);
            }
            [dx, dw, db]
        }
    }
    let ((x, nx), (weight, nw), (bias, nb)) = (open(x), open(weight), open(bias));
    let (rows, inner, outer) = (x.shape()[0], x.shape()[1], weight.shape()[1]);
    let mut out = elements(&bias).repeat(rows);
    let a = Matrix::new(elements(&x), rows, inner, inner);
    let b = Matrix::new(elements(&weight), inner, outer, outer);
    multiply(&mut out, outer, Former::Add, a, b);
    record([nx, nw, nb], Buffer(vec![rows, outer], out), || {
        Keep(x.clone(), weight.clone())
    })
}

/// Layer norm of rows.
pub fn layer_norm(x: Tensor<2>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f32) -> Tensor<2> {
    #[derive(Clone)]
    struct Keep(FlexTensor, Arc<norm::Saved>, Vec<usize>);
    impl Saved<3> for Keep {
        fn backward(self, grad: &[f32], _: [bool; 3]) -> [Buffer; 3] {
            let (dx, dgamma, dbeta) = norm::backward(grad, elements(&self.0), &self.1);
            [
                Buffer(self.2, dx),
                Buffer::like(&self.0, dgamma),
                Buffer::like(&self.0, dbeta),
            ]
        }
    }
    let ((x, nx), (gamma, ng), (beta, nb)) = (open(x), open(gamma), open(beta));
    let (out, saved) = norm::forward(elements(&x), elements(&gamma), elements(&beta), epsilon);
    let shape = x.shape().to_vec();
    record([nx, ng, nb], Buffer(shape.clone(), out), || {
        Keep(gamma.clone(), Arc::new(saved), shape)
    })
}

/// The exact GELU.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    #[derive(Clone)]
    struct Keep(Vec<f32>, Vec<usize>);
    impl Saved<1> for Keep {
        fn backward(mut self, grad: &[f32], _: [bool; 1]) -> [Buffer; 1] {
            kernels::multiply_into(&mut self.0, grad);
            [Buffer(self.1, self.0)]
        }
    }
    let (x, node) = open(x);
    let (value, slope) = kernels::gelu(elements(&x));
    let shape = x.shape().to_vec();
    record([node], Buffer(shape.clone(), value), || Keep(slope, shape))
}

/// Causal attention with rotary positions.
pub fn attention(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, rope: &Arc<Rope>, sizes: Sizes) -> Tensor<2> {
    #[derive(Clone)]
    struct Keep(FlexTensor, Arc<Rope>, Sizes, Arc<attention::Saved>);
    impl Saved<3> for Keep {
        fn backward(self, grad: &[f32], _: [bool; 3]) -> [Buffer; 3] {
            let (dq, dk, dv) = attention::backward(grad, elements(&self.0), &self.1, self.2, &self.3);
            [dq, dk, dv].map(|d| Buffer::like(&self.0, d))
        }
    }
    let ((q, nq), (k, nk), (v, nv)) = (open(q), open(k), open(v));
    let (out, saved) = attention::forward(elements(&q), elements(&k), elements(&v), rope, sizes);
    record([nq, nk, nv], Buffer::like(&v, out), || {
        Keep(v.clone(), rope.clone(), sizes, Arc::new(saved))
    })
}

/// A gradient known in the forward pass, for a result that is one number.
#[derive(Clone)]
struct Known(Vec<f32>, Vec<usize>);

impl Saved<1> for Known {
    fn backward(mut self, grad: &[f32], _: [bool; 1]) -> [Buffer; 1] {
        let scale = grad[0];
        for g in &mut self.0 {
            *g *= scale;
        }
        [Buffer(self.1, self.0)]
    }
}

/// Sum over positions of -log p(target), in nats.
pub fn cross_entropy(logits: Tensor<2>, targets: &[Option<u16>]) -> Tensor<1> {
    let (logits, node) = open(logits);
    let (total, grad) = loss::cross_entropy(elements(&logits), targets);
    let shape = logits.shape().to_vec();
    record([node], Buffer(vec![1], vec![total as f32]), || Known(grad, shape))
}

/// SIGReg of the rows that count; directions are `[d][count]`, columns of length 1.
pub fn sigreg(x: Tensor<2>, counts: &[bool], directions: &[f32]) -> Tensor<1> {
    let (x, node) = open(x);
    let (value, grad) = loss::sigreg(elements(&x), counts, x.shape()[1], directions);
    let shape = x.shape().to_vec();
    record([node], Buffer(vec![1], vec![value as f32]), || Known(grad, shape))
}
