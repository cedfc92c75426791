//! One forward and backward pass, and passes over many batches on several threads.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor},
};

use crate::{
    chunk::Batch,
    model::{Context, Dropout, Transformer},
    optimizer::Flat,
    weights::Weights,
};

/// What one pass computes the loss of.
#[derive(Clone, Debug)]
pub struct Task {
    /// The chunks.
    pub batch: Batch,
    /// Directions of SIGReg, `[d][count]`, columns of length 1; none: no SIGReg.
    pub directions: Vec<f32>,
    /// Weight of the sum of cross entropies in the loss that is differentiated: 1 / predicted tokens of the
    /// whole step.
    pub cross_entropy_weight: f64,
    /// Weight of this batch's SIGReg.
    pub sigreg_weight: f64,
    /// What is left out; none: nothing.
    pub dropout: Option<Dropout>,
}

/// The losses of one pass, unweighted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// Sum of -log p over predicted tokens, in nats.
    pub cross_entropy_sum: f64,
    /// Their number.
    pub predicted_tokens: u64,
    /// SIGReg of the batch.
    pub sigreg: f64,
}

/// The losses, without gradients.
#[must_use]
pub fn losses(model: &Transformer, context: &Context, task: &Task) -> Losses {
    forward(model, context, task).1
}

/// The losses, and the gradient of every weight by name.
#[must_use]
pub fn gradients(model: &Transformer, context: &Context, task: &Task) -> (Losses, Flat) {
    let (loss, losses) = forward(model, context, task);
    let mut collect = Collector {
        grads: loss.backward(),
        path: Vec::new(),
        flat: BTreeMap::new(),
    };
    model.visit(&mut collect);
    (losses, collect.flat)
}

fn forward(model: &Transformer, context: &Context, task: &Task) -> (Tensor<1>, Losses) {
    let targets = task.batch.targets();
    let x = model.represent(context, &task.batch, task.dropout);
    let cross_entropy = context
        .ops
        .cross_entropy(model.predict(context, x.clone()), &targets);
    let value = |t: &Tensor<1>| f64::from(t.clone().into_scalar::<f32>());
    let mut losses = Losses {
        cross_entropy_sum: value(&cross_entropy),
        predicted_tokens: targets.iter().flatten().count() as u64,
        sigreg: 0.0,
    };
    let mut loss = cross_entropy * task.cross_entropy_weight;
    if !task.directions.is_empty() {
        let sigreg = context.ops.sigreg(x, &task.batch.counts(), &task.directions);
        losses.sigreg = value(&sigreg);
        loss = loss + sigreg * task.sigreg_weight;
    }
    (loss, losses)
}

/// Walks the module and copies every parameter's gradient, under the path of its fields.
struct Collector {
    grads: Gradients,
    path: Vec<String>,
    flat: Flat,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let grad = tensor.grad_remove(&mut self.grads).map_or_else(
            || vec![0.0; tensor.shape().num_elements()],
            |grad| {
                grad.into_data()
                    .try_into_vec::<f32>()
                    .expect("gradients are f32 tensors")
            },
        );
        self.flat.insert(self.path.join("."), grad);
    }
}

/// Runs `pass` on every task with a model of these weights, on up to `threads` threads. Results come in the
/// order of the tasks, whatever thread did them; each thread has its own copy of the weights, for burn ties
/// passes that share parameters into one graph.
pub fn run<R: Send>(
    weights: &Weights,
    context: &Context,
    device: &Device,
    tasks: &[Task],
    threads: usize,
    track: bool,
    pass: impl Fn(&Transformer, &Context, &Task) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let model = Transformer::new(&context.architecture, weights, device);
        let model = if track { model } else { model.no_grad() };
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(index) else { return done };
            done.push((index, pass(&model, context, task)));
        }
    };
    let workers = threads.clamp(1, tasks.len().max(1));
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
