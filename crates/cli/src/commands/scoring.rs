//! `soma score` and `soma embed`: exact, without a network.

use std::{
    fs, io,
    net::TcpListener,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytesize::ByteSize;
use serde::Serialize;
use soma_data::{Dataset, Document, Reading, Report, Rules, read};
use soma_model::{
    Batch, Contest, Directions, Model, ScoreError, Scorer, Shelf, ShelfError, Simd, WeightsError,
    conformance::{self, Suite, Tally},
    memory,
    score::{DATA_BYTES_MAX, working_bytes_max},
};
use soma_node::{
    api::score::{Files, Scoring, memory_bytes_max_of, serve_files},
    scoring::{JobError, Limits, Service},
};
use soma_types::{
    Architecture, ContentHash, Embedding, Seed,
    api::score::{ContestView, DocumentView, ScoreAnswer, ScoreView},
    text::printable,
};

use crate::{
    architecture,
    args::{EmbedArgs, ScoreFiles, ServeArgs},
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, table},
    progress::Log,
    weights,
};

/// Chunks over which a specialization embedding is taken.
const EMBED_CHUNKS: usize = 256;
/// Memory that is worth a word before it is taken.
const MUCH_MEMORY_BYTES: u64 = 1 << 28;
/// The look of the progress bar.
const BAR: &str = "scoring {bar:30} {percent:>3}%  {per_sec:.0} tokens/s  {eta} left  {msg}";

/// `soma score`.
pub fn score(printer: Printer, args: &ScoreFiles, interrupt: &Interrupt) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let weights = &weights::files(&args.weights)[..];
    for path in weights {
        // What is missing is said before anything is read. A pipe could be opened only once.
        fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    }
    let rules = Rules {
        document_bytes_max: DATA_BYTES_MAX as u64,
        ..Rules::default()
    };
    let reading = read(&args.data, &rules)?;
    printer.notes(&reading.report.to_string());
    let documents = reading.dataset.documents();
    let texts: Vec<&[u8]> = documents.iter().map(|document| &document.data[..]).collect();
    interrupt.hold();
    let interrupt = interrupt.flag();
    let mut seed = Seed::default();
    seed.0[..8].copy_from_slice(&args.seed.to_le_bytes());
    let directions = Directions::draw(&seed, &architecture);
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

/// Says what memory scoring takes if it is much, and refuses when there is less.
fn require_memory(printer: Printer, model_bytes: u64, architecture: &Architecture, chunks: u64) -> CliResult {
    let needed = model_bytes.saturating_add(working_bytes_max(architecture, chunks));
    memory::require(needed).map_err(|error| {
        CliError::new(format!("scoring: {error}"))
            .hint("weights stored as BF16 take half as much as F32; or score on a machine with more memory")
    })?;
    if needed >= MUCH_MEMORY_BYTES {
        printer.note(format!("scoring takes up to {} of memory", ByteSize(needed)));
    }
    Ok(())
}

/// Reads text for a command, and says what it took.
pub fn read_text(printer: Printer, sources: &[PathBuf]) -> CliResult<Reading> {
    let reading = read(sources, &Rules::default())?;
    printer.notes(&reading.report.to_string());
    Ok(reading)
}

/// A path, fit to be shown.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::new(format!("cannot read {}: {error}", shown(path)))
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

/// What one backend made of the suite; no tallies where the processor cannot run it.
#[derive(Serialize)]
struct BackendOutput {
    backend: String,
    supported: bool,
    chosen: bool,
    exact: bool,
    operations: Vec<Tally>,
}

#[derive(Serialize)]
struct SelfTestOutput {
    suite: u32,
    blake3: &'static str,
    exact: bool,
    backends: Vec<BackendOutput>,
}

/// `soma score self-test`.
pub fn self_test(printer: Printer) -> CliResult {
    let suite = Suite::load()?;
    let chosen = Simd::chosen()?;
    let backends = Simd::ALL
        .into_iter()
        .map(|simd| {
            let supported = Simd::supported().any(|other| other == simd);
            let operations = if supported { suite.run(simd)? } else { Vec::new() };
            Ok(BackendOutput {
                backend: simd.to_string(),
                supported,
                chosen: simd == chosen,
                exact: supported && operations.iter().all(|tally| tally.matched == tally.cases),
                operations,
            })
        })
        .collect::<CliResult<Vec<_>>>()?;
    let output = SelfTestOutput {
        suite: conformance::VERSION,
        blake3: conformance::DIGEST,
        exact: backends.iter().all(|backend| backend.exact || !backend.supported),
        backends,
    };
    printer.show(&output, self_test_text)?;
    if output.exact {
        Ok(())
    } else {
        Err(
            CliError::new("a backend differs from the reference: it must not score on this machine")
                .hint("force one that matches with SOMA_SIMD, and report the processor's model"),
        )
    }
}

/// One row for each operation, one column for each backend.
fn self_test_text(output: &SelfTestOutput) -> String {
    let runs: Vec<&BackendOutput> = output
        .backends
        .iter()
        .filter(|backend| backend.supported)
        .collect();
    let names: Vec<String> = runs
        .iter()
        .map(|run| format!("{}{}", run.backend, if run.chosen { "*" } else { "" }))
        .collect();
    let mut header = vec!["operation"];
    header.extend(names.iter().map(String::as_str));
    let operations = runs.first().map_or(0, |run| run.operations.len());
    let rows = (0..operations).map(|row| {
        let name = runs[0].operations[row].operation.to_owned();
        let cells = runs.iter().map(|run| {
            let Tally { matched, cases, .. } = run.operations[row];
            format!("{matched}/{cases}")
        });
        std::iter::once(name).chain(cells).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let absent: Vec<&str> = output
        .backends
        .iter()
        .filter(|backend| !backend.supported)
        .map(|backend| backend.backend.as_str())
        .collect();
    let mut text = table(&header, &header[1..], rows);
    text += &format!("\nsuite {}, BLAKE3 {}\n", output.suite, output.blake3);
    text += "* scores on this machine\n";
    if !absent.is_empty() {
        text += &format!("not for this processor: {}\n", absent.join(", "));
    }
    text
}

#[derive(Serialize)]
struct ServeOutput {
    url: String,
    models: Vec<String>,
    /// BLAKE3 of their files, in the same order.
    weights: Vec<ContentHash>,
    backend: String,
}

/// `soma score serve`.
pub async fn serve(printer: Printer, args: &ServeArgs, interrupt: &Interrupt) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let files = Files::new(architecture, weights::files(&args.weights))?;
    let service = Service::new(Limits {
        waiting_max: args.waiting,
        body_bytes_max: usize::try_from(args.body.as_u64()).unwrap_or(usize::MAX),
        job_time_max: Duration::from_secs(args.seconds),
        ..Limits::dedicated(args.memory.as_u64())
    })?;
    // What cannot be scored with is said now, not to the first who asks.
    let models: Vec<String> = files.names().map(str::to_owned).collect();
    let weights = models
        .iter()
        .filter_map(|name| files.entry_of(name))
        .map(|entry| {
            let name = entry.name.clone();
            service.warm(entry).map_err(|error| {
                let path = files.path(&name).map(Path::to_owned).unwrap_or_default();
                let reason = match error {
                    JobError::Model { reason, .. } | JobError::Unavailable { reason, .. } => reason,
                    error => error.to_string(),
                };
                CliError::new(format!("{}: {reason}", shown(&path)))
                    .hint("give weights of the architecture that --arch names, and --memory for the largest of them")
            })
        })
        .collect::<CliResult<Vec<_>>>()?;
    let listener = TcpListener::bind(args.listen)
        .map_err(|error| CliError::new(format!("cannot listen on {}: {error}", args.listen)))?;
    let output = ServeOutput {
        url: format!("http://{}", listener.local_addr()?),
        models,
        weights,
        backend: service.scorer().simd().to_string(),
    };
    printer.show(&output, |output| {
        format!(
            "Scoring at {}/v1/score with {}",
            output.url,
            printable(&output.models.join(", "))
        )
    })?;
    let scoring = Scoring {
        service,
        library: Arc::new(files),
    };
    let interrupt = interrupt.clone();
    serve_files(listener, scoring, async move { interrupt.wait().await }).await?;
    printer.note("Stopped.");
    Ok(())
}

#[derive(Serialize)]
struct EmbedOutput {
    embedding: Embedding,
    embedding_q15: Vec<i16>,
    data: Report,
}

/// `soma embed`.
pub fn embed(printer: Printer, args: &EmbedArgs) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    fs::metadata(&args.weights).map_err(|error| unreadable(&args.weights, &error))?;
    let Reading { dataset, report } = read_text(printer, &args.data)?;
    let model_bytes = memory_bytes_max_of(&args.weights, &architecture);
    require_memory(printer, model_bytes, &architecture, EMBED_CHUNKS as u64)?;
    let embedding = specialization(&load(&args.weights, &architecture)?, &dataset)?;
    let output = EmbedOutput {
        embedding_q15: embedding.as_slice().to_vec(),
        embedding,
        data: report,
    };
    printer.show(&output, |output| output.embedding.to_base64())
}

/// Where `model`'s representations of a text point.
pub fn specialization(model: &Model, text: &Dataset) -> CliResult<Embedding> {
    let documents: Vec<&[u8]> = text
        .documents()
        .iter()
        .map(|document| document.data.as_slice())
        .collect();
    Ok(Scorer::new()?.embed(model, &documents, EMBED_CHUNKS)?)
}

/// Loads weights, naming the file when it is bad.
pub fn load(path: &Path, architecture: &Architecture) -> CliResult<Model> {
    Model::load(path, architecture).map_err(|error| match error {
        WeightsError::Io(error) => unreadable(path, &error),
        error => CliError::new(format!("{}: {error}", shown(path)))
            .hint("the file must be safetensors of exactly this architecture; see --arch"),
    })
}
