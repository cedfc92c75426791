//! `soma score` and `soma embed`: exact, without a network.

use std::{fs, path::Path};

use serde::Serialize;
use soma_model::{Directions, Model, Score, Scorer, WeightsError};
use soma_train::dataset;
use soma_types::{Architecture, Embedding, Seed, Transcript};

use crate::{
    architecture,
    args::{EmbedArgs, ScoreArgs},
    error::{CliError, CliResult},
    printer::{Printer, table},
};

/// Chunks over which a specialization embedding is taken.
const EMBED_CHUNKS: usize = 256;

#[derive(Serialize)]
struct ScoreOutput {
    models: Vec<ModelOutput>,
    winner: usize,
    transcript: Transcript,
}

/// One model's part; a model without a finite loss has only its error.
#[derive(Serialize)]
#[serde(untagged)]
enum ModelOutput {
    Scored {
        loss_nano: u64,
        cross_entropy_nano: u64,
        sigreg_nano: u64,
        predicted_tokens: u64,
        embedding_q15: Vec<i16>,
        mean_embedding: Vec<f32>,
    },
    Failed {
        error: String,
    },
}

impl From<&Score> for ModelOutput {
    fn from(score: &Score) -> Self {
        Self::Scored {
            loss_nano: score.loss_nano(),
            cross_entropy_nano: score.cross_entropy_nano(),
            sigreg_nano: score.sigreg_nano(),
            predicted_tokens: score.predicted_tokens(),
            embedding_q15: score.embedding().as_slice().to_vec(),
            mean_embedding: score.mean_embedding().to_vec(),
        }
    }
}

/// `soma score`.
pub fn score(printer: Printer, args: &ScoreArgs) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let data = fs::read(&args.data)
        .map_err(|error| CliError::new(format!("cannot read {}: {error}", args.data.display())))?;
    let models: Vec<Model> = args
        .weights
        .iter()
        .map(|path| load(path, &architecture))
        .collect::<CliResult<_>>()?;
    let mut seed = Seed::default();
    seed.0[..8].copy_from_slice(&args.seed.to_le_bytes());
    let directions = Directions::draw(&seed, &architecture);
    let contest = Scorer::new()?.score_all(&models.iter().collect::<Vec<_>>(), &data, &directions)?;
    let output = ScoreOutput {
        models: contest
            .results()
            .iter()
            .map(|result| match result {
                Ok(score) => score.into(),
                Err(error) => ModelOutput::Failed {
                    error: error.to_string(),
                },
            })
            .collect(),
        winner: contest.winner(),
        transcript: contest.transcript(),
    };
    printer.show(&output, |output| {
        let nats = |nano: u64| format!("{:.9}", nano as f64 / 1e9);
        let rows = output
            .models
            .iter()
            .zip(&args.weights)
            .enumerate()
            .map(|(index, (model, path))| {
                let name = path.display().to_string();
                let mark = if index == output.winner { "winner" } else { "" };
                match model {
                    ModelOutput::Scored {
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
                    ModelOutput::Failed { error } => vec![name, error.clone()],
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
            output.transcript
        )
    })
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
