//! Distillation (docs/strategies.md): a student's embedding of each batch is drawn to a teacher's.

use burn::tensor::Device;
use soma_types::Architecture;

use crate::{
    error::TrainError,
    model::Context,
    pass::{self, Lesson, Task},
    settings::TrainConfig,
    weights::Weights,
};

/// Whom a student learns from.
#[derive(Clone, Copy, Debug)]
pub struct Teacher<'a> {
    /// Their weights (safetensors), of the student's architecture.
    pub weights: &'a [u8],
    /// The student's own loss counts this much, from 0 to 1; what is left over counts how far its embedding
    /// is from the teacher's.
    pub alpha: f64,
}

impl Teacher<'_> {
    /// What must be equal for a checkpoint to fit, by name.
    pub(crate) fn facts(&self) -> [(String, String); 2] {
        let hash = blake3::hash(self.weights).to_hex()[..16].to_owned();
        [
            ("the teacher".to_owned(), format!("weights with BLAKE3 {hash}")),
            ("alpha".to_owned(), self.alpha.to_string()),
        ]
    }
}

/// A teacher who is ready to be asked.
pub(crate) struct Teaching {
    weights: Weights,
    alpha: f64,
}

impl Teaching {
    pub(crate) fn new(teacher: Teacher<'_>, architecture: &Architecture) -> Result<Self, TrainError> {
        if !(0.0..=1.0).contains(&teacher.alpha) {
            return Err(TrainError::Setting {
                setting: "alpha",
                value: teacher.alpha.to_string(),
                range: "0 to 1",
            });
        }
        let weights = Weights::from_safetensors(architecture, teacher.weights);
        Ok(Self {
            weights: weights.map_err(TrainError::Teacher)?,
            alpha: teacher.alpha,
        })
    }

    /// Makes an update's passes a lesson. The teacher gets no gradient and has no dropout.
    pub(crate) fn teach(&self, config: &TrainConfig, context: &Context, device: &Device, tasks: &mut [Task]) {
        let threads = config.thread_count();
        let embeddings = pass::run(
            &self.weights,
            context,
            device,
            tasks,
            threads,
            false,
            pass::embedding,
        );
        let weight = (1.0 - self.alpha) / tasks.len().max(1) as f64;
        for (task, embedding) in tasks.iter_mut().zip(embeddings) {
            task.cross_entropy_weight *= self.alpha;
            task.sigreg_weight *= self.alpha;
            task.lesson = Some(Lesson { embedding, weight });
        }
    }
}
