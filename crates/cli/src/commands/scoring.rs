//! `soma score` and `soma embed`: exact, without a network.

use std::{
    fs,
    net::TcpListener,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use soma_model::{
    Batch, Contest, Directions, Model, ScoreError, Scorer, Shelf, ShelfError, Simd, WeightsError,
    conformance::{self, Suite, Tally},
};
use soma_node::{
    api::score::{Files, Scoring, memory_bytes_max_of, serve_files},
    scoring::{Limits, Service},
};
use soma_train::dataset;
use soma_types::{
    Architecture, Embedding, Seed,
    api::score::{ContestView, DocumentView, ScoreAnswer, ScoreView},
};

use crate::{
    architecture,
    args::{EmbedArgs, ScoreFiles, ServeArgs},
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, table},
};

/// Chunks over which a specialization embedding is taken.
const EMBED_CHUNKS: usize = 256;
/// The look of the progress bar.
const BAR: &str = "scoring {bar:30} {percent:>3}%  {per_sec:.0} tokens/s  {eta} left  {msg}";

/// `soma score`.
pub fn score(printer: Printer, args: &ScoreFiles, interrupt: &AtomicBool) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let weights = &args.weights;
    let data: Vec<Vec<u8>> = args
        .data
        .iter()
        .map(|path| read(path))
        .collect::<CliResult<_>>()?;
    let documents: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut seed = Seed::default();
    seed.0[..8].copy_from_slice(&args.seed.to_le_bytes());
    let directions = Directions::draw(&seed, &architecture);
    let named = |error| name_document(&args.data, error);
    let mut batch = Batch::new(Scorer::new()?, &documents, &directions).map_err(named)?;

    let size_bytes = |path: &PathBuf| memory_bytes_max_of(path, &architecture);
    let one_bytes = weights.iter().map(size_bytes).max().unwrap_or_default();
    let shelf = Shelf::new(args.memory.map_or(one_bytes, |memory| memory.as_u64()));
    let bar = printer.progress(batch.tokens(&architecture) * weights.len() as u64, BAR);
    let watch = |tokens| {
        bar.inc(tokens);
        if interrupt.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    for path in weights {
        bar.set_message(path.display().to_string());
        let lent = shelf.lend(path, size_bytes(path), || load(path, &architecture), &watch);
        let model = lent.map_err(|error| match error {
            ShelfError::Load(error) => error,
            ShelfError::Cancelled => CliError::interrupted(),
            error @ ShelfError::TooLarge { .. } => CliError::new(format!("{}: {error}", path.display()))
                .hint("give more with --memory, or leave it out"),
        })?;
        batch.add(&model, &watch).map_err(named)?;
    }
    bar.finish_and_clear();
    let contests = batch.finish()?;
    if let ([path], [contest]) = (&args.data[..], &contests[..]) {
        let contest = contest
            .as_ref()
            .map_err(|error| name_model(weights, path, error))?;
        let answer = ScoreAnswer::One(ContestView::from(contest));
        return printer.show(&answer, |_| contest_text(weights, contest));
    }
    let view = |(path, contest): (&PathBuf, &Result<Contest, ScoreError>)| {
        let data = path.display().to_string();
        match contest {
            Ok(contest) => DocumentView::Scored {
                data,
                contest: ContestView::from(contest),
            },
            Err(error) => DocumentView::Failed {
                data,
                error: error.to_string(),
            },
        }
    };
    let answer = ScoreAnswer::Many {
        documents: args.data.iter().zip(&contests).map(view).collect(),
    };
    printer.show(&answer, |_| {
        let text = |(path, contest): (&PathBuf, &Result<Contest, ScoreError>)| {
            let text = match contest {
                Ok(contest) => contest_text(weights, contest),
                Err(error) => error.to_string(),
            };
            format!("{}\n{}\n", path.display(), text.trim_end())
        };
        let texts: Vec<String> = args.data.iter().zip(&contests).map(text).collect();
        texts.join("\n")
    })
}

fn read(path: &Path) -> CliResult<Vec<u8>> {
    fs::read(path).map_err(|error| CliError::new(format!("cannot read {}: {error}", path.display())))
}

/// Says which file it is, where there are several.
fn name_document(files: &[PathBuf], error: ScoreError) -> CliError {
    match error {
        ScoreError::Cancelled => CliError::interrupted(),
        ScoreError::Document { error, .. } if files.len() == 1 => (*error).into(),
        ScoreError::Document { index, error } => {
            CliError::new(format!("{}: {error}", files[index].display()))
        }
        error => error.into(),
    }
}

/// Says which model it is.
fn name_model(weights: &[PathBuf], document: &Path, error: &ScoreError) -> CliError {
    match error {
        ScoreError::Model { index, error } => CliError::new(format!(
            "{} has no score on {}: {error}",
            weights[*index].display(),
            document.display()
        )),
        error => error.clone().into(),
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
            let name = path.display().to_string();
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
    backend: String,
}

/// `soma score serve`.
pub async fn serve(printer: Printer, args: &ServeArgs, interrupt: &Interrupt) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let files = Files::new(architecture, args.weights.iter().cloned())?;
    for path in &args.weights {
        // What is missing is said now, not to the first who asks.
        fs::File::open(path)
            .map_err(|error| CliError::new(format!("cannot read {}: {error}", path.display())))?;
        let (size_bytes, budget_bytes) = (memory_bytes_max_of(path, &architecture), args.memory.as_u64());
        if size_bytes > budget_bytes {
            let error: ShelfError<CliError> = ShelfError::TooLarge {
                size_bytes,
                budget_bytes,
            };
            return Err(CliError::new(format!("{}: {error}", path.display())).hint("give more with --memory"));
        }
    }
    let service = Service::new(Limits {
        waiting_max: args.waiting,
        body_bytes_max: usize::try_from(args.body.as_u64()).unwrap_or(usize::MAX),
        job_time_max: Duration::from_secs(args.seconds),
        ..Limits::dedicated(args.memory.as_u64())
    })?;
    let listener = TcpListener::bind(args.listen)
        .map_err(|error| CliError::new(format!("cannot listen on {}: {error}", args.listen)))?;
    let output = ServeOutput {
        url: format!("http://{}", listener.local_addr()?),
        models: files.names().map(str::to_owned).collect(),
        backend: service.scorer().simd().to_string(),
    };
    printer.show(&output, |output| {
        format!(
            "Scoring at {}/v1/score with {}",
            output.url,
            output.models.join(", ")
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
}

/// `soma embed`.
pub fn embed(printer: Printer, args: &EmbedArgs) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let model = load(&args.weights, &architecture)?;
    let embedding = specialization(&model, &args.data)?;
    let output = EmbedOutput {
        embedding_q15: embedding.as_slice().to_vec(),
        embedding,
    };
    printer.show(&output, |output| output.embedding.to_base64())
}

/// Where `model`'s representations of the text at `source` point.
pub fn specialization(model: &Model, source: &str) -> CliResult<Embedding> {
    let text = dataset::load(source)?;
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
        WeightsError::Io(error) => CliError::new(format!("cannot read {}: {error}", path.display())),
        error => CliError::new(format!("{}: {error}", path.display()))
            .hint("the file must be safetensors of exactly this architecture; see --arch"),
    })
}
