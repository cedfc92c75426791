//! Who takes part: the domains' text, and the models trained on it.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use indicatif::MultiProgress;
use soma_data::{Dataset, load_domains};
use soma_model::Model;
use soma_train::{Event, TrainConfig, Trained, split::split, train};
use soma_types::{Architecture, text::printable};

use crate::{
    commands::train::{BAR, show},
    demo::measure::HeldOut,
    error::{CliError, CliResult},
    printer::Printer,
};

/// The fewest domains that make a competition.
const DOMAINS_MIN: usize = 2;
/// Steps are bounded by time, not by number.
const STEPS_MAX: u64 = 1_000_000;
/// The part of the training time that the generalist gets.
const GENERALIST_SHARE: f64 = 0.45;
/// A specialist starts from the generalist: smaller steps do.
const FINE_TUNE_RATE: f64 = 0.6;

/// One domain's text.
#[derive(Debug)]
pub struct Domain {
    /// Its folder's name.
    pub name: String,
    /// To train on.
    pub train: Arc<Dataset>,
    /// To submit, and to measure with.
    pub held_out: HeldOut,
}

/// Reads the domains below `folder` and holds out a tenth of each.
///
/// # Errors
/// When the folder is missing, unreadable, binary, too small, or has fewer than two domains.
pub fn domains(printer: Printer, folder: &Path) -> CliResult<Vec<Domain>> {
    let found = load_domains(folder)?;
    // Text that is all there needs no word.
    for domain in &found {
        if !(domain.report.left_out.is_empty() && domain.report.notes.is_empty()) {
            printer.note(format!("{}: {}", printable(&domain.name), domain.report));
        }
    }
    if found.len() < DOMAINS_MIN {
        return Err(CliError::new(format!(
            "{} has one domain ({}); a competition needs at least {DOMAINS_MIN}",
            folder.display(),
            found[0].name
        ))
        .hint("give a folder with one sub-folder of text per domain"));
    }
    found
        .into_iter()
        .map(|domain| {
            let parts = split(&domain.name, &domain.dataset)?;
            Ok(Domain {
                held_out: HeldOut {
                    domain: domain.name.clone(),
                    documents: parts.held_out,
                },
                name: domain.name,
                train: Arc::new(parts.train),
            })
        })
        .collect()
}

/// A trained model.
#[derive(Debug)]
pub struct Trainee {
    /// What it is called.
    pub name: String,
    /// Its weights (canonical safetensors).
    pub weights: Vec<u8>,
    /// The same, ready to score.
    pub model: Model,
    /// What it was trained on, a byte once for each time.
    pub trained_bytes: u64,
}

/// The generalist, and one specialist per domain, in the order of the domains.
#[derive(Debug)]
pub struct Cast {
    /// The network's genesis weights.
    pub generalist: Trainee,
    /// Fine-tuned from it.
    pub specialists: Vec<Trainee>,
    /// How long training took.
    pub training: Duration,
}

/// How to train.
#[derive(Debug)]
pub struct Schedule {
    /// The network's architecture.
    pub architecture: Architecture,
    /// Time for everything.
    pub total: Duration,
    /// Makes the run repeatable, as far as time budgets allow.
    pub seed: u64,
}

/// Trains the cast. Setting `cancel` ends it early, with an error.
///
/// # Errors
/// When training diverges or is stopped.
pub fn train_all(
    printer: Printer,
    domains: &[Domain],
    schedule: &Schedule,
    cancel: &AtomicBool,
) -> CliResult<Cast> {
    let started = Instant::now();
    let all = Dataset::joined(domains.iter().map(|domain| &*domain.train))
        .ok_or_else(|| CliError::new("there is no text to train on"))?;
    let threads = thread::available_parallelism().map_or(1, usize::from);

    let config = TrainConfig {
        seed: schedule.seed,
        time_budget: Some(schedule.total.mul_f64(GENERALIST_SHARE)),
        ..TrainConfig::new(schedule.architecture, STEPS_MAX)
    };
    // Several bars at once, each on a line of its own.
    let bars = MultiProgress::new();
    let generalist = trainee(printer, &bars, "generalist", &config, &all, None, cancel)?;

    // One thread each uses the machine better than all threads on one.
    let workers = threads.min(domains.len());
    let rounds = domains.len().div_ceil(workers);
    let config = TrainConfig {
        learning_rate: config.learning_rate * FINE_TUNE_RATE,
        time_budget: Some(schedule.total.mul_f64((1.0 - GENERALIST_SHARE) / rounds as f64)),
        threads: Some(
            std::num::NonZeroUsize::new((threads / workers).max(1)).unwrap_or(std::num::NonZeroUsize::MIN),
        ),
        ..config
    };
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..domains.len()).collect());
    let done: Mutex<Vec<(usize, CliResult<Trainee>)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(index) = lock(&queue).pop_front() else {
                        break;
                    };
                    let domain = &domains[index];
                    let init = Some(generalist.weights.as_slice());
                    let result = trainee(printer, &bars, &domain.name, &config, &domain.train, init, cancel);
                    lock(&done).push((index, result));
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    let specialists = done
        .into_iter()
        .map(|(_, result)| result)
        .collect::<CliResult<_>>()?;
    Ok(Cast {
        generalist,
        specialists,
        training: started.elapsed(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn trainee(
    printer: Printer,
    bars: &MultiProgress,
    name: &str,
    config: &TrainConfig,
    text: &Dataset,
    init: Option<&[u8]>,
    cancel: &AtomicBool,
) -> CliResult<Trainee> {
    let bar = bars.add(
        printer
            .progress(1000, BAR)
            .with_prefix(printable(name).into_owned()),
    );
    let Trained {
        weights, steps, last, ..
    } = train(
        config,
        text,
        init,
        |event| {
            if let Event::Updated(progress) = event {
                show(&bar, progress);
            }
        },
        cancel,
    )?;
    bar.finish_and_clear();
    if cancel.load(Ordering::Relaxed) {
        return Err(CliError::interrupted());
    }
    if let Some(last) = &last {
        bars.suspend(|| {
            printer.note(format!(
                "  trained {name:<12} {:.3} bits/byte after {steps} steps, {:.0} tokens/s",
                last.bits_per_byte, last.tokens_per_second
            ));
        });
    }
    let model = Model::from_bytes(&weights, &config.architecture)?;
    Ok(Trainee {
        name: name.to_owned(),
        weights,
        model,
        trained_bytes: last.map_or(0, |last| last.tokens),
    })
}
