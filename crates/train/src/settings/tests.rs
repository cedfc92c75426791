use super::*;

#[test]
fn v1_trains_as_the_documents_do_and_nano_as_before() {
    let v1 = TrainConfig::new(Architecture::V1, 1);
    assert_eq!((v1.learning_rate, v1.dropout), (1e-4, 0.1));
    assert_eq!((v1.batch_size, v1.grad_accum, v1.checkpoint_every), (2, 8, 500));
    assert_eq!((v1.schedule, v1.weight_decay), (Schedule::Constant, 0.0));
    assert_eq!(TrainConfig::steps_for(Architecture::V1), 10_000);
    let nano = TrainConfig::new(Architecture::NANO, 1);
    assert_eq!((nano.learning_rate, nano.dropout), (3e-3, 0.0));
    assert_eq!(
        (nano.batch_size, nano.grad_accum, nano.checkpoint_every),
        (1, 2, 200)
    );
    assert_eq!((nano.schedule, nano.warmup_steps), (Schedule::Cosine, 20));
    assert_eq!(TrainConfig::steps_for(Architecture::NANO), 1000);
    v1.check().unwrap();
    nano.check().unwrap();
}

#[test]
fn schedules_rise_and_fall_as_they_say() {
    let with = |schedule| TrainConfig {
        schedule,
        warmup_steps: 9,
        learning_rate: 1.0,
        ..TrainConfig::new(Architecture::NANO, 100)
    };
    for schedule in [Schedule::Cosine, Schedule::Linear, Schedule::Constant] {
        let config = with(schedule);
        assert!(
            (config.rate(0, 0.0) - 0.1).abs() < 1e-12,
            "{schedule}: a tenth at first"
        );
        assert!(
            (config.rate(9, 0.0) - 1.0).abs() < 1e-12,
            "{schedule}: all after 10 steps"
        );
        let end = if schedule == Schedule::Constant {
            1.0
        } else {
            FINAL_SHARE
        };
        assert!(
            (config.rate(99, 1.0) - end).abs() < 1e-12,
            "{schedule}: {end} at the end"
        );
    }
    assert!((with(Schedule::Linear).rate(20, 0.5) - 0.525).abs() < 1e-12);
}

#[test]
fn every_setting_has_its_range() {
    let config = || TrainConfig::new(Architecture::NANO, 1);
    let short = Architecture {
        max_seq_len: 1,
        ..Architecture::NANO
    };
    let bad: [(&str, TrainConfig); 15] = [
        (
            "max_seq_len is 1, must be 2 or more",
            TrainConfig {
                architecture: short,
                ..config()
            },
        ),
        (
            "batch_size is 0, must be 1 to 4096",
            TrainConfig {
                batch_size: 0,
                ..config()
            },
        ),
        (
            "batch_size is 4097",
            TrainConfig {
                batch_size: 4097,
                ..config()
            },
        ),
        (
            "grad_accum is 0, must be 1 to 4096",
            TrainConfig {
                grad_accum: 0,
                ..config()
            },
        ),
        (
            "learning_rate is 0, must be above 0",
            TrainConfig {
                learning_rate: 0.0,
                ..config()
            },
        ),
        (
            "learning_rate is -1",
            TrainConfig {
                learning_rate: -1.0,
                ..config()
            },
        ),
        (
            "learning_rate is 10000, must be above 0, and 1 at most",
            TrainConfig {
                learning_rate: 1e4,
                ..config()
            },
        ),
        (
            "learning_rate is NaN",
            TrainConfig {
                learning_rate: f64::NAN,
                ..config()
            },
        ),
        (
            "dropout is 1, must be 0 to 0.9",
            TrainConfig {
                dropout: 1.0,
                ..config()
            },
        ),
        (
            "dropout is NaN",
            TrainConfig {
                dropout: f64::NAN,
                ..config()
            },
        ),
        (
            "weight_decay is -0.1, must be 0 to 1",
            TrainConfig {
                weight_decay: -0.1,
                ..config()
            },
        ),
        (
            "weight_decay is inf",
            TrainConfig {
                weight_decay: f64::INFINITY,
                ..config()
            },
        ),
        (
            "gradient_norm_max is 0",
            TrainConfig {
                gradient_norm_max: 0.0,
                ..config()
            },
        ),
        (
            "sigreg_directions is 5000, must be 0 to 4096",
            TrainConfig {
                sigreg_directions: 5000,
                ..config()
            },
        ),
        (
            "checkpoint_every is 0, must be 1",
            TrainConfig {
                checkpoint_every: 0,
                ..config()
            },
        ),
    ];
    for (says, config) in bad {
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(says), "{error}, not {says}");
    }
}
