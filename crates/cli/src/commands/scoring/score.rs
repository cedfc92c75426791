//! `soma score`: documents against models, in one go.

use std::{fs, ops::ControlFlow, path::PathBuf, sync::atomic::Ordering};

use soma_data::{Document, Rules};
use soma_model::{Batch, Contest, Directions, ScoreError, Scorer, Shelf, ShelfError, score::DATA_BYTES_MAX};
use soma_scoring::files::memory_bytes_max_of;
use soma_types::{
    api::score::{ContestView, DocumentView, ScoreAnswer, ScoreView},
    text::printable,
};

use super::{load, require_memory, shown, unreadable};
use crate::{
    architecture,
    args::{ScoreFiles, Selection},
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, table},
    progress::Log,
    weights,
};

/// The look of the progress bar.
const BAR: &str = "scoring {bar:30} {percent:>3}%  {per_sec:.0} tokens/s  {eta} left  {msg}";

/// `soma score`.
pub fn score(printer: Printer, args: &ScoreFiles, selection: &Selection, interrupt: &Interrupt) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let weights = &weights::files(&args.weights)[..];
    for path in weights {
        // What is missing is said before anything is read. A pipe could be opened only once.
        fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    }
    for path in weights::repeated(weights) {
        printer.note(format!(
            "{} is given more than once: it competes with itself",
            shown(path)
        ));
    }
    let rules = Rules {
        document_bytes_max: DATA_BYTES_MAX as u64,
        ..selection.rules()
    };
    let reading = soma_sources::read(&args.data, &rules)?;
    printer.notes(&reading.report.to_string());
    let documents = reading.dataset.documents();
    let texts: Vec<&[u8]> = documents.iter().map(|document| &document.data[..]).collect();
    interrupt.hold();
    let interrupt = interrupt.flag();
    let directions = Directions::draw(&args.seed, &architecture);
    let stopped = |error| match error {
        ScoreError::Cancelled => CliError::interrupted(),
        error => error.into(),
    };
    let mut batch = Batch::new(Scorer::new()?, &texts, &directions).map_err(stopped)?;

    let size_bytes = |path: &PathBuf| memory_bytes_max_of(path, &architecture);
    let one_bytes = weights.iter().map(size_bytes).max().unwrap_or_default();
    let shelf = Shelf::new(args.memory.map_or(one_bytes, |memory| memory.as_u64()));
    let tokens = batch.tokens(&architecture);
    if one_bytes <= shelf.budget_bytes() {
        let chunks = tokens.div_ceil(u64::from(architecture.max_seq_len)) + texts.len() as u64;
        require_memory(printer, one_bytes, &architecture, chunks)?;
    }
    let total = tokens * weights.len() as u64;
    let (bar, log) = (printer.progress(total, BAR), Log::new(printer));
    let watch = |tokens| {
        bar.inc(tokens);
        log.line(|elapsed| {
            let rate = bar.position() as f64 / elapsed.as_secs_f64();
            format!("scored {} of {total} tokens, {rate:.0} tokens/s", bar.position())
        });
        if interrupt.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    for path in weights {
        bar.set_message(shown(path));
        let lent = shelf.lend(path, size_bytes(path), || load(path, &architecture), &watch);
        let model = lent.map_err(|error| match error {
            ShelfError::Load(error) => error,
            ShelfError::Cancelled => CliError::interrupted(),
            error @ ShelfError::TooLarge { .. } => CliError::new(format!("{}: {error}", shown(path)))
                .hint("give more with --memory, or leave it out"),
        })?;
        batch.add(&model, &watch).map_err(stopped)?;
    }
    bar.finish_and_clear();
    let contests = batch.finish()?;
    if let ([document], [contest]) = (documents, &contests[..]) {
        let contest = contest.as_ref().map_err(|error| {
            let document = document.origin.to_string();
            CliError::new(format!("{}: {}", printable(&document), no_score(weights, error)))
        })?;
        let answer = ScoreAnswer::One(ContestView::from(contest));
        return printer.show(&answer, |_| contest_text(weights, contest));
    }
    let view = |(document, contest): (&Document, &Result<Contest, ScoreError>)| {
        let data = document.origin.to_string();
        match contest {
            Ok(contest) => DocumentView::Scored {
                data,
                contest: ContestView::from(contest),
            },
            Err(error) => DocumentView::Failed {
                data,
                error: no_score(weights, error),
            },
        }
    };
    let answer = ScoreAnswer::Many {
        documents: documents.iter().zip(&contests).map(view).collect(),
    };
    printer.show(&answer, |_| {
        let text = |(document, contest): (&Document, &Result<Contest, ScoreError>)| {
            let text = match contest {
                Ok(contest) => contest_text(weights, contest),
                Err(error) => no_score(weights, error),
            };
            format!(
                "{}\n{}\n",
                printable(&document.origin.to_string()),
                text.trim_end()
            )
        };
        let texts: Vec<String> = documents.iter().zip(&contests).map(text).collect();
        texts.join("\n")
    })?;
    match contests.iter().filter(|contest| contest.is_err()).count() {
        0 => Ok(()),
        failed => Err(CliError::new(format!(
            "{failed} of {} documents have no score: see each above",
            contests.len()
        ))),
    }
}

/// Why no model has a score on a document, with the file of the model that it is about.
fn no_score(weights: &[PathBuf], error: &ScoreError) -> String {
    match error {
        ScoreError::Model { index, error } => format!("{} has no score: {error}", shown(&weights[*index])),
        error => error.to_string(),
    }
}

/// One document's contest as a table.
fn contest_text(weights: &[PathBuf], contest: &Contest) -> String {
    let nats = |nano: u64| format!("{:.9}", nano as f64 / 1e9);
    let view = ContestView::from(contest);
    let rows = view
        .models
        .iter()
        .zip(weights)
        .enumerate()
        .map(|(index, (model, path))| {
            let name = shown(path);
            let mark = if index == view.winner { "winner" } else { "" };
            match model {
                ScoreView::Scored {
                    loss_nano,
                    cross_entropy_nano,
                    sigreg_nano,
                    predicted_tokens,
                    ..
                } => vec![
                    name,
                    nats(*loss_nano),
                    nats(*cross_entropy_nano),
                    nats(*sigreg_nano),
                    format!("{:.4}", *cross_entropy_nano as f64 / 1e9 / std::f64::consts::LN_2),
                    predicted_tokens.to_string(),
                    mark.into(),
                ],
                ScoreView::Failed { error } => vec![name, error.clone()],
            }
        });
    let header = [
        "model",
        "loss",
        "cross entropy",
        "sigreg",
        "bits/token",
        "tokens",
        "",
    ];
    format!(
        "{}\ntranscript {}",
        table(&header, &header[1..6], rows),
        view.transcript
    )
}
