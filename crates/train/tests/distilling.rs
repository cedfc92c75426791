//! A student who learns from a teacher comes nearer to them, repeats, and is refused where it makes no sense.

use std::sync::atomic::AtomicBool;

use soma_data::{Dataset, Document};
use soma_train::{
    Operations, Teacher, TrainConfig, TrainError, Trained,
    checkpoint::CheckpointError,
    chunk::Batch,
    distill,
    model::{Context, Transformer},
    ops, pass, train,
    weights::Weights,
};
use soma_types::Architecture;

const SMALL: Architecture = Architecture {
    embedding_dim: 32,
    heads: 2,
    layers: 2,
    ffn_dim: 64,
    max_seq_len: 32,
    rope_wavelength: 1000,
};
const TEXT: &[u8] =
    b"she sells sea shells by the sea shore; the shells she sells are sea shells, I'm sure.\n";

fn text() -> Dataset {
    let document = Document {
        origin: "text".into(),
        data: TEXT.repeat(20),
    };
    Dataset::new("text", [document]).unwrap()
}

fn config(steps: u64) -> TrainConfig {
    TrainConfig {
        batch_size: 2,
        warmup_steps: 5,
        sigreg_directions: 16,
        ..TrainConfig::new(SMALL, steps)
    }
}

fn taught(config: &TrainConfig, weights: &[u8], alpha: f64) -> Result<Trained, TrainError> {
    let teacher = Teacher { weights, alpha };
    distill(config, &text(), None, teacher, |_| (), &AtomicBool::new(false))
}

/// The embedding of a batch, in burn's own operations.
fn embedding(file: &[u8], batch: &Batch) -> Vec<f32> {
    let context = Context::new(Operations::Portable, SMALL);
    let weights = Weights::from_safetensors(&SMALL, file).unwrap();
    let model = Transformer::new(&SMALL, &weights, &ops::cpu());
    let rows = model.represent(&context, batch, None);
    let rows: Vec<f32> = rows.into_data().try_into_vec().unwrap();
    let counted = || rows.chunks(32).zip(batch.counts()).filter(|(_, counts)| *counts);
    (0..32)
        .map(|d| counted().map(|(row, _)| row[d]).sum::<f32>() / counted().count() as f32)
        .collect()
}

fn task(batch: Batch, lesson: Option<pass::Lesson>) -> pass::Task {
    pass::Task {
        batch,
        directions: Vec::new(),
        cross_entropy_weight: 0.0,
        sigreg_weight: 0.0,
        dropout: None,
        lesson,
    }
}

#[test]
fn the_lesson_is_the_mean_square_of_the_embeddings_difference() {
    let [student, teacher] = [3, 4].map(|seed| Weights::fresh(&SMALL, seed));
    // With padding, which counts for nothing.
    let batch = Batch::of_document(&TEXT[..50], 32);
    let [ours, theirs] =
        [&student, &teacher].map(|weights| embedding(&weights.to_safetensors(&SMALL).unwrap(), &batch));
    let expected = ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| (a - b) * (a - b))
        .sum::<f32>()
        / 32.0;
    let device = ops::cpu();
    for operations in [Operations::Fused, Operations::Portable] {
        let context = Context::new(operations, SMALL);
        let asked = Transformer::new(&SMALL, &teacher, &device);
        let found = pass::embedding(&asked, &context, &task(batch.clone(), None));
        for (found, expected) in found.iter().zip(&theirs) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
        let lesson = pass::Lesson {
            embedding: found,
            weight: 1.0,
        };
        let model = Transformer::new(&SMALL, &student, &device);
        let (losses, grads) = pass::gradients(&model, &context, &task(batch.clone(), Some(lesson.clone())));
        assert!((losses.imitation - f64::from(expected)).abs() < 1e-5);
        // The slope along a weight, against a difference.
        let (name, step) = ("final_norm.beta", 1e-2);
        let moved = |by: f32| {
            let mut tensors = student.tensors().clone();
            tensors.get_mut(name).unwrap().data[7] += by;
            let weights = Weights::new(&SMALL, tensors).unwrap();
            let model = Transformer::new(&SMALL, &weights, &device);
            pass::losses(&model, &context, &task(batch.clone(), Some(lesson.clone()))).imitation
        };
        let slope = (moved(step) - moved(-step)) / f64::from(2.0 * step);
        let found = f64::from(grads[name][7]);
        assert!(
            (slope - found).abs() < 1e-3 * slope.abs().max(1.0),
            "{found} for {slope}"
        );
    }
}

#[test]
fn a_student_comes_nearer_to_its_teacher_and_repeats() {
    let teacher = train(&config(40), &text(), None, |_| (), &AtomicBool::new(false)).unwrap();
    let student = TrainConfig {
        seed: 5,
        ..config(40)
    };
    let alone = train(&student, &text(), None, |_| (), &AtomicBool::new(false)).unwrap();
    let learnt = taught(&student, &teacher.weights, 0.5).unwrap();
    let batch = Batch::of_document(&TEXT.repeat(3), 32);
    let theirs = embedding(&teacher.weights, &batch);
    let apart = |file: &[u8]| -> f32 {
        let own = embedding(file, &batch);
        own.iter().zip(&theirs).map(|(a, b)| (a - b) * (a - b)).sum()
    };
    let (before, after) = (apart(&alone.weights), apart(&learnt.weights));
    assert!(after < before / 3.0, "{after} against {before}");
    assert_eq!(
        taught(&student, &teacher.weights, 0.5).unwrap().weights,
        learnt.weights
    );
    // With all the weight on its own loss it learns as if it were alone.
    let whole = taught(&student, &teacher.weights, 1.0).unwrap();
    assert_eq!(whole.weights, alone.weights);
}

#[test]
fn a_lesson_goes_on_where_it_was_and_with_no_other_teacher() {
    let [teacher, other] = [1, 2].map(|seed| Weights::fresh(&SMALL, seed).to_safetensors(&SMALL).unwrap());
    let whole = taught(&config(6), &teacher, 0.25).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stopping = |steps| TrainConfig {
        checkpoint_dir: Some(folder.path().to_owned()),
        schedule: soma_train::Schedule::Constant,
        ..config(steps)
    };
    let constant = taught(
        &TrainConfig {
            schedule: soma_train::Schedule::Constant,
            ..config(6)
        },
        &teacher,
        0.25,
    )
    .unwrap();
    assert_ne!(whole.weights, constant.weights);
    taught(&stopping(3), &teacher, 0.25).unwrap();
    for (weights, alpha, what) in [(&other, 0.25, "the teacher"), (&teacher, 0.5, "alpha")] {
        let error = taught(&stopping(6), weights, alpha).unwrap_err();
        let TrainError::Checkpoint(CheckpointError::OtherRun { differences, .. }) = &error else {
            panic!("{error}");
        };
        assert!(differences.contains(what), "{differences}");
    }
    let resumed = taught(&stopping(6), &teacher, 0.25).unwrap();
    assert_eq!((resumed.resumed_at, resumed.weights), (3, constant.weights));
}

#[test]
fn teachers_that_make_no_sense_are_refused() {
    let teacher = Weights::fresh(&SMALL, 1).to_safetensors(&SMALL).unwrap();
    for alpha in [-0.1, 1.5, f64::NAN] {
        let error = taught(&config(1), &teacher, alpha).unwrap_err();
        assert!(error.to_string().contains("alpha is"), "{error}");
    }
    let error = taught(&config(1), &teacher[..99], 0.5).unwrap_err();
    assert!(
        error.to_string().starts_with("the teacher's weights: truncated"),
        "{error}"
    );
}
