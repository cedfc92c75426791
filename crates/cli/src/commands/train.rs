//! `soma train`: a progress bar around the trainer.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use indicatif::ProgressBar;
use serde::Serialize;
use soma_data::{Report, Rules, read};
use soma_files::Output;
use soma_train::{Progress, Stop, TrainConfig, train};

use crate::{
    architecture,
    args::TrainArgs,
    error::{CliError, CliResult},
    printer::Printer,
};

/// The look of a training run's bar.
pub const BAR: &str = "{prefix:<12} {bar:30} {msg}";

#[derive(Serialize)]
struct TrainOutput {
    weights: String,
    size_bytes: u64,
    steps: u64,
    bits_per_byte: Option<f64>,
    tokens_per_second: Option<f64>,
    finished: bool,
    data: Report,
}

/// `soma train`. `cancel` ends the run after the update in progress, with a checkpoint.
pub fn run(printer: Printer, args: &TrainArgs, cancel: &AtomicBool) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let out = Output::check(&args.out)?;
    // Weights are no text, so those of an earlier run stay unread; text that they would replace is among the members below.
    let rules = Rules {
        outputs: args.checkpoints.iter().cloned().collect(),
        ..Rules::default()
    };
    let text = read(&args.data, &rules)?;
    printer.note(text.report.to_string());
    let members = text
        .dataset
        .documents()
        .iter()
        .map(|document| &*document.origin.file);
    let others = [Path::new(&args.arch)].into_iter().chain(args.init.as_deref());
    let out = out.apart_from(members.chain(others))?;
    let init = match &args.init {
        Some(path) => Some(
            fs::read(path)
                .map_err(|error| CliError::new(format!("cannot read {}: {error}", path.display())))?,
        ),
        None => None,
    };
    let config = TrainConfig {
        seed: args.seed,
        checkpoint_dir: args.checkpoints.clone(),
        ..TrainConfig::new(architecture, args.steps)
    };
    let bar = printer.progress(1000, BAR).with_prefix("training");
    let trained = train(
        &config,
        &text.dataset,
        init.as_deref(),
        |progress| show(&bar, progress),
        cancel,
    )?;
    bar.finish_and_clear();
    out.write(&trained.weights)?;
    let output = TrainOutput {
        weights: args.out.display().to_string(),
        size_bytes: trained.weights.len() as u64,
        steps: trained.steps,
        bits_per_byte: trained.last.map(|last| last.bits_per_byte),
        tokens_per_second: trained.last.map(|last| last.tokens_per_second),
        finished: trained.stop != Stop::Cancelled,
        data: text.report,
    };
    printer.show(&output, |output| {
        let last = trained.last.as_ref().map(describe).unwrap_or_default();
        format!("wrote {} after {} steps; {last}", output.weights, output.steps)
    })?;
    if cancel.load(Ordering::Relaxed) {
        Err(CliError::interrupted())
    } else {
        Ok(())
    }
}

/// Moves a bar to where the run is.
pub fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_position((progress.done * 1000.0) as u64);
    bar.set_message(describe(progress));
}

fn describe(progress: &Progress) -> String {
    format!(
        "{:.3} bits/byte, SIGReg {:.3}, {:.0} tokens/s, step {}",
        progress.bits_per_byte, progress.sigreg, progress.tokens_per_second, progress.step
    )
}
