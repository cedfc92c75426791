//! Runs of the trainer: they learn, repeat, stop, resume and refuse.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use soma_data::{Dataset, Document};
use soma_train::{Engine, Stop, TrainConfig, TrainError, evaluate, train};
use soma_types::Architecture;

const SMALL: Architecture = Architecture {
    embedding_dim: 32,
    heads: 2,
    layers: 2,
    ffn_dim: 64,
    max_seq_len: 32,
    rope_wavelength: 1000,
};

fn text() -> Dataset {
    let data =
        b"she sells sea shells by the sea shore; the shells she sells are sea shells, I'm sure.\n".repeat(40);
    Dataset::new(
        "text",
        [Document {
            origin: "text".into(),
            data,
        }],
    )
    .unwrap()
}

fn config(steps: u64) -> TrainConfig {
    TrainConfig {
        batch: 4,
        learning_rate: 5e-3,
        warmup_steps: 5,
        sigreg_directions: 16,
        ..TrainConfig::new(SMALL, steps)
    }
}

fn run(config: &TrainConfig) -> Result<soma_train::Trained, TrainError> {
    train(config, &text(), None, |_| (), &AtomicBool::new(false))
}

#[test]
fn training_learns_and_specialises() {
    let general = run(&config(150)).unwrap();
    assert_eq!((general.steps, general.stop), (150, Stop::Steps));
    let bits = |weights: &[u8]| evaluate(&SMALL, weights, &text(), None).unwrap().bits_per_byte;
    let fresh = run(&config(0)).unwrap();
    assert!(
        bits(&fresh.weights) > 7.0,
        "fresh weights know nothing: {}",
        bits(&fresh.weights)
    );
    assert!(
        bits(&general.weights) < 2.0,
        "{} bits per byte after 150 steps",
        bits(&general.weights)
    );
    let further = train(
        &config(50),
        &text(),
        Some(&general.weights),
        |_| (),
        &AtomicBool::new(false),
    )
    .unwrap();
    assert!(bits(&further.weights) < bits(&general.weights));
}

#[test]
fn threads_do_not_change_the_result() {
    let with = |threads| {
        run(&TrainConfig {
            grad_accum: 3,
            threads: NonZeroUsize::new(threads),
            ..config(4)
        })
        .unwrap()
    };
    let one = with(1);
    assert_eq!(one.weights, with(2).weights);
    assert_eq!(one.weights, with(5).weights);
    let other = run(&TrainConfig {
        grad_accum: 3,
        seed: 1,
        ..config(4)
    })
    .unwrap();
    assert_ne!(one.weights, other.weights, "another seed gives other weights");
}

#[test]
fn burns_own_operations_train_alike() {
    let losses = [Engine::Fused, Engine::Portable].map(|engine| {
        run(&TrainConfig { engine, ..config(10) })
            .unwrap()
            .last
            .unwrap()
            .loss
    });
    assert!((losses[0] - losses[1]).abs() < 1e-2, "{losses:?}");
}

#[test]
fn an_interrupted_run_ends_where_an_uninterrupted_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        checkpoint_dir: Some(folder.path().join("run")),
        checkpoint_every: 4,
        ..config(12)
    };
    let cancel = AtomicBool::new(false);
    let stopped = train(
        &config,
        &text(),
        None,
        |p| cancel.store(p.step == 7, Ordering::Relaxed),
        &cancel,
    )
    .unwrap();
    assert_eq!((stopped.steps, stopped.stop), (7, Stop::Cancelled));
    let mut seen = Vec::new();
    let resumed = train(
        &config,
        &text(),
        None,
        |p| seen.push(p.step),
        &AtomicBool::new(false),
    )
    .unwrap();
    assert_eq!(seen, [8, 9, 10, 11, 12]);
    let whole = run(&TrainConfig {
        checkpoint_dir: None,
        ..config.clone()
    })
    .unwrap();
    assert_eq!(resumed.weights, whole.weights);
    // Once more: nothing is left to do, and the result is the same.
    let again = run(&config).unwrap();
    assert_eq!((again.weights, again.last), (whole.weights, None));
    // Another run does not take this checkpoint up.
    let other = run(&TrainConfig { seed: 9, ..config });
    assert!(matches!(other, Err(TrainError::Checkpoint(_))));
}

#[test]
fn time_and_the_cancel_flag_end_a_run() {
    let budget = Duration::from_millis(300);
    let timed = run(&TrainConfig {
        time_budget: Some(budget),
        ..config(u64::MAX)
    })
    .unwrap();
    assert_eq!(timed.stop, Stop::Time);
    assert!(timed.last.unwrap().elapsed >= budget);
    let cancelled = train(&config(100), &text(), None, |_| (), &AtomicBool::new(true)).unwrap();
    assert_eq!((cancelled.steps, cancelled.stop), (0, Stop::Cancelled));
}

#[test]
fn bad_settings_and_divergence_are_named() {
    let says = |config: TrainConfig, what: &str| {
        let error = run(&config).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    says(
        TrainConfig {
            batch: 0,
            ..config(1)
        },
        "batch is 0",
    );
    says(
        TrainConfig {
            architecture: Architecture {
                max_seq_len: 1,
                ..SMALL
            },
            ..config(1)
        },
        "max_seq_len is 1, must be 2 or more: in chunks of one byte nothing is predicted",
    );
    says(
        TrainConfig {
            grad_accum: 0,
            ..config(1)
        },
        "grad_accum is 0",
    );
    says(
        TrainConfig {
            learning_rate: f64::NAN,
            ..config(1)
        },
        "learning_rate is NaN",
    );
    says(
        TrainConfig {
            checkpoint_every: 0,
            ..config(1)
        },
        "checkpoint_every is 0",
    );
    says(
        TrainConfig {
            architecture: Architecture { heads: 3, ..SMALL },
            ..config(1)
        },
        "heads",
    );
    says(
        TrainConfig {
            learning_rate: 1e30,
            warmup_steps: 0,
            ..config(50)
        },
        "diverged",
    );
    let bad = train(
        &config(1),
        &text(),
        Some(b"nonsense"),
        |_| (),
        &AtomicBool::new(false),
    );
    assert!(bad.unwrap_err().to_string().contains("weights"));
}
