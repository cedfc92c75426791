//! One forward and backward pass, and passes over many batches on several threads.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
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
    /// What a teacher makes of the batch; none: there is no teacher.
    pub lesson: Option<Lesson>,
}

/// A teacher's embedding of a batch, which the student's is drawn to.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// The mean representation `[d]` of tokens that are not PAD.
    pub embedding: Vec<f32>,
    /// Weight of the mean square of the student's difference.
    pub weight: f64,
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
    /// Mean square of the difference between the batch's embedding and the teacher's.
    pub imitation: f64,
}

/// The embedding of the batch: the mean representation `[d]` of tokens that are not PAD.
#[must_use]
pub fn embedding(model: &Transformer, context: &Context, task: &Task) -> Vec<f32> {
    let x = model.represent(context, &task.batch, None);
    mean(context, x, &task.batch)
        .into_data()
        .try_into_vec()
        .expect("representations are f32 tensors")
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
        ..Losses::default()
    };
    let mut loss = cross_entropy * task.cross_entropy_weight;
    if !task.directions.is_empty() {
        let sigreg = context
            .ops
            .sigreg(x.clone(), &task.batch.counts(), &task.directions);
        losses.sigreg = value(&sigreg);
        loss = loss + sigreg * task.sigreg_weight;
    }
    if let Some(lesson) = &task.lesson {
        let imitation = imitation(context, mean(context, x, &task.batch), &lesson.embedding);
        losses.imitation = value(&imitation);
        loss = loss + imitation * lesson.weight;
    }
    (loss, losses)
}

/// The mean `[1, d]` of the rows `x` that are not PAD: a product of matrices, whose sums have one order.
fn mean(context: &Context, x: Tensor<2>, batch: &Batch) -> Tensor<2> {
    let ([rows, width], device) = (x.dims(), x.device());
    let counts = batch.counts();
    let share = 1.0 / counts.iter().filter(|counts| **counts).count().max(1) as f32;
    let shares: Vec<f32> = counts
        .iter()
        .map(|counts| if *counts { share } else { 0.0 })
        .collect();
    let shares = Tensor::from_data(TensorData::new(shares, [1, rows]), &device);
    context.ops.linear(shares, x, Tensor::zeros([width], &device))
}

/// The mean square of the difference.
fn imitation(context: &Context, student: Tensor<2>, teacher: &[f32]) -> Tensor<1> {
    let (width, device) = (teacher.len(), student.device());
    let teacher = Tensor::from_data(TensorData::new(teacher.to_vec(), [1, width]), &device);
    let difference = student - teacher;
    let turned = difference.clone().reshape([width, 1]);
    let square = context
        .ops
        .linear(difference, turned, Tensor::zeros([1], &device));
    square.reshape([1]) / width as f32
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
