//! Runs of the trainer: they learn, repeat, stop, resume and refuse.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use soma_data::{Dataset, Document};
use soma_train::{
    Event, Operations, Schedule, Stop, TrainConfig, TrainError,
    checkpoint::{Checkpoint, CheckpointError, FILE_NAME},
    evaluate, train,
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
        batch_size: 4,
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
    let losses = [Operations::Fused, Operations::Portable].map(|ops| {
        run(&TrainConfig { ops, ..config(10) })
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
        |event| {
            if let Event::Updated(p) = event {
                cancel.store(p.step == 7, Ordering::Relaxed);
            }
        },
        &cancel,
    )
    .unwrap();
    assert_eq!((stopped.steps, stopped.stop), (7, Stop::Cancelled));
    let mut seen = Vec::new();
    let resumed = train(
        &config,
        &text(),
        None,
        |event| {
            if let Event::Updated(p) = event {
                seen.push(p.step);
            }
        },
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
    assert_eq!(again.resumed_at, 12);
    // Another run does not take this checkpoint up, and is told why.
    let text = |config| run(&config).unwrap_err().to_string();
    let other = text(TrainConfig {
        seed: 9,
        ..config.clone()
    });
    assert!(other.contains("seed was 0, and is 9"), "{other}");
    let wider = Architecture { ffn_dim: 96, ..SMALL };
    let other = text(TrainConfig {
        architecture: wider,
        ..config.clone()
    });
    assert!(other.contains("ffn_dim was 64, and is 96"), "{other}");
    // Fewer steps than are done are not what it gives.
    let fewer = run(&TrainConfig { steps: 5, ..config });
    assert!(matches!(fewer, Err(TrainError::Beyond { done: 12, steps: 5 })));
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
fn a_run_has_its_checkpoint_folder_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let with = |seed| TrainConfig {
        seed,
        checkpoint_dir: Some(folder.path().to_owned()),
        ..config(3)
    };
    let mut second = None;
    train(
        &with(1),
        &text(),
        None,
        |event| {
            if let Event::Updated(_) = event {
                second.get_or_insert_with(|| run(&with(2)).unwrap_err());
            }
        },
        &AtomicBool::new(false),
    )
    .unwrap();
    let second = second.unwrap();
    assert!(
        matches!(second, TrainError::Checkpoint(CheckpointError::Lock { .. })),
        "{second}"
    );
    assert!(
        second.to_string().contains("in use by another process"),
        "{second}"
    );
    // The folder is free again, and what is in it is the first one's.
    assert_eq!(run(&with(1)).unwrap().resumed_at, 3);
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let held = folder.path().join("ck");
    let config = TrainConfig {
        checkpoint_dir: Some(held.clone()),
        checkpoint_every: 2,
        ..config(6)
    };
    let mut told = Vec::new();
    let trained = train(
        &config,
        &text(),
        None,
        |event| match event {
            // A folder in the file's place refuses as a full disk does.
            Event::Updated(p) if p.step == 1 => std::fs::create_dir(held.join(FILE_NAME)).unwrap(),
            Event::Updated(p) if p.step == 5 => std::fs::remove_dir(held.join(FILE_NAME)).unwrap(),
            Event::Unsaved { step, error } => told.push((step, error.to_string())),
            Event::Saved { step } => told.push((step, "saved".into())),
            _ => {}
        },
        &AtomicBool::new(false),
    )
    .unwrap();
    let without = run(&TrainConfig {
        checkpoint_dir: None,
        ..config.clone()
    });
    assert_eq!(trained.weights, without.unwrap().weights);
    let steps: Vec<u64> = told.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [2, 4, 6]);
    assert!(
        told[0].1.contains(FILE_NAME) && told[1].1.contains(FILE_NAME),
        "{told:?}"
    );
    assert_eq!(told[2].1, "saved");
    // Nothing but the checkpoint and the lock is left.
    assert_eq!(std::fs::read_dir(&held).unwrap().count(), 2);
    assert_eq!(run(&config).unwrap().resumed_at, 6);
}

#[test]
fn what_a_killed_run_left_in_the_folder_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join(".soma-kiLLed.tmp");
    let file = std::fs::File::create(&left).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(600))
        .unwrap();
    run(&TrainConfig {
        checkpoint_dir: Some(folder.path().to_owned()),
        ..config(1)
    })
    .unwrap();
    assert!(!left.exists());
}

#[test]
fn a_step_that_is_stopped_in_its_midst_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let config = |steps| TrainConfig {
        grad_accum: 4,
        threads: NonZeroUsize::new(1),
        // The rate does not depend on how many steps there are to be.
        schedule: Schedule::Constant,
        checkpoint_dir: Some(folder.path().to_owned()),
        ..config(steps)
    };
    let cancel = AtomicBool::new(false);
    let stopped = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            cancel.store(true, Ordering::Relaxed);
        });
        train(&config(u64::MAX), &text(), None, |_| (), &cancel).unwrap()
    });
    assert_eq!(stopped.stop, Stop::Cancelled);
    let steps = stopped.steps + 2;
    let whole = run(&TrainConfig {
        checkpoint_dir: None,
        ..config(steps)
    });
    let resumed = run(&config(steps)).unwrap();
    assert_eq!(resumed.resumed_at, stopped.steps);
    assert_eq!(resumed.weights, whole.unwrap().weights);
}

#[test]
fn dropout_thins_what_is_trained_and_nothing_else() {
    let with = |dropout, threads| {
        run(&TrainConfig {
            dropout,
            threads: NonZeroUsize::new(threads),
            ..config(6)
        })
        .unwrap()
    };
    let thinned = with(0.3, 1);
    assert_ne!(thinned.weights, with(0.0, 1).weights);
    assert_eq!(thinned.weights, with(0.3, 2).weights);
    let long = run(&TrainConfig {
        dropout: 0.1,
        ..config(150)
    })
    .unwrap();
    let bits = evaluate(&SMALL, &long.weights, &text(), None)
        .unwrap()
        .bits_per_byte;
    assert!(bits < 4.0, "{bits} bits per byte with dropout");
}

#[test]
fn every_setting_shapes_the_run() {
    let base = run(&config(3)).unwrap().weights;
    let changed = [
        TrainConfig {
            schedule: Schedule::Constant,
            ..config(3)
        },
        TrainConfig {
            schedule: Schedule::Linear,
            ..config(3)
        },
        TrainConfig {
            warmup_steps: 0,
            ..config(3)
        },
        TrainConfig {
            weight_decay: 0.2,
            ..config(3)
        },
        TrainConfig {
            batch_size: 2,
            ..config(3)
        },
        TrainConfig {
            grad_accum: 3,
            ..config(3)
        },
    ];
    for config in changed {
        assert_ne!(run(&config).unwrap().weights, base, "{config:?}");
    }
}

#[test]
fn weights_that_overflow_and_runs_that_diverge_are_told_apart() {
    let mut weights = Weights::fresh(&SMALL, 1).tensors().clone();
    for value in &mut weights.get_mut("predictor.weight").unwrap().data {
        *value *= 1e30;
    }
    let large = Weights::new(&SMALL, weights).unwrap();
    let file = large.to_safetensors(&SMALL).unwrap();
    let given = train(&config(2), &text(), Some(&file), |_| (), &AtomicBool::new(false)).unwrap_err();
    assert!(
        matches!(&given, TrainError::Overflow { tensor, .. } if tensor == "predictor.weight"),
        "{given}"
    );
    assert!(!given.to_string().contains("learning rate"), "{given}");
    // The same weights in the middle of a run are what training made of them.
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        checkpoint_dir: Some(folder.path().to_owned()),
        ..config(9)
    };
    train(
        &TrainConfig {
            steps: 4,
            ..config.clone()
        },
        &text(),
        None,
        |_| (),
        &AtomicBool::new(false),
    )
    .unwrap();
    let error = Checkpoint::load(folder.path(), &SMALL, &[]).unwrap_err();
    assert!(matches!(error, CheckpointError::OtherRun { .. }), "{error}");
    let facts = Checkpoint::facts(folder.path()).unwrap();
    let mut held = Checkpoint::load(folder.path(), &SMALL, &facts).unwrap().unwrap();
    held.weights = large;
    held.save(&SMALL, folder.path()).unwrap();
    let error = run(&config).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { step: 4, .. }), "{error}");
    assert!(
        error.to_string().contains("lower the learning rate of 0.005"),
        "{error}"
    );
}

#[test]
fn bad_architectures_and_weights_are_named() {
    let error = run(&TrainConfig {
        architecture: Architecture { heads: 3, ..SMALL },
        ..config(1)
    });
    assert!(error.unwrap_err().to_string().contains("heads"));
    let bad = train(
        &config(1),
        &text(),
        Some(b"nonsense"),
        |_| (),
        &AtomicBool::new(false),
    );
    assert!(bad.unwrap_err().to_string().contains("weights"));
}
