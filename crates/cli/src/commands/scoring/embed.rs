//! `soma embed`: where a model's representations of a text point.

use std::fs;

use serde::Serialize;
use soma_agents::embedding::{SEQUENCES, genesis};
use soma_data::{Reading, Report};
use soma_scoring::files::memory_bytes_max_of;
use soma_types::Embedding;

use super::{load, read_text, require_memory, unreadable};
use crate::{architecture, args::EmbedArgs, error::CliResult, printer::Printer};

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
    let Reading { dataset, report } = read_text(printer, &args.data, &args.selection)?;
    let model_bytes = memory_bytes_max_of(&args.weights, &architecture);
    require_memory(printer, model_bytes, &architecture, SEQUENCES as u64)?;
    let embedding = genesis(&load(&args.weights, &architecture)?, &dataset, args.seed)?;
    let output = EmbedOutput {
        embedding_q15: embedding.as_slice().to_vec(),
        embedding,
        data: report,
    };
    printer.show(&output, |output| output.embedding.to_base64())
}
