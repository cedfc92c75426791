//! `soma generate`: the model at work. Text alone goes to standard output, byte by byte as it is written.

use std::ops::ControlFlow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use soma_model::{Choice, Model, Scorer, Sequence, Spoken, Writer};

use super::{
    scoring::shown,
    whole::{Chosen, experts},
};
use crate::{
    args::GenerateArgs,
    error::{CliError, CliResult},
    printer::{Format, Printer},
};

/// Why a text goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum End {
    /// As many bytes as were asked for.
    Bytes,
    /// What `--stop` names was written.
    Stop,
    /// The model says that the text ends.
    Text,
}

#[derive(Serialize)]
struct GenerateOutput {
    /// What was written, with U+FFFD for what is no UTF-8.
    text: String,
    /// All bytes of it.
    base64: String,
    end: End,
    seed: u64,
    experts: Vec<ExpertOutput>,
}

/// A model, and what it counted for at the end.
#[derive(Serialize)]
struct ExpertOutput {
    file: String,
    weight: f64,
}

/// `soma generate`.
pub fn run(printer: Printer, args: &GenerateArgs) -> CliResult {
    let choice = Choice::new(args.temperature, args.top_p, args.seed)
        .map_err(|error| CliError::usage(error.to_string()))?;
    if args.prompt.is_empty() {
        return Err(CliError::usage(
            "the prompt is empty: no model knows how a text begins",
        ));
    }
    if args.stop.iter().any(String::is_empty) {
        return Err(CliError::usage(
            "--stop needs a text, or the first byte would be the last",
        ));
    }
    let chosen = Chosen {
        nearest: args.routed.nearest,
        texts: &[args.prompt.as_bytes()],
    };
    let loaded = experts(printer, &args.models, &chosen, Sequence::memory_bytes_max, |_| 1)?;
    let experts: Vec<(&Model, u64)> = loaded
        .iter()
        .map(|expert| (&expert.model, expert.stake))
        .collect();
    let mut writer = Writer::new(&Scorer::new()?, &experts, args.prompt.as_bytes())?;
    let stops = args.stop.iter().map(|stop| stop.as_bytes().to_vec());
    let mut spoken = Spoken::new(stops);
    let mut end = End::Bytes;
    for _ in 0..args.bytes {
        let Some(byte) = writer.write(&choice)? else {
            end = End::Text;
            break;
        };
        if spoken.push(byte).is_break() {
            end = End::Stop;
            break;
        }
        // With nobody to hear more there is nothing to write.
        if say(printer, spoken.take_ready())?.is_break() {
            break;
        }
    }
    if say(printer, spoken.take_rest())?.is_continue() && printer.format() == Format::Text {
        printer.end_piece()?;
    }
    let text = spoken.text().to_vec();
    let experts = loaded.iter().zip(writer.weights());
    let output = GenerateOutput {
        text: String::from_utf8_lossy(&text).into_owned(),
        base64: BASE64_STANDARD.encode(&text),
        end,
        seed: args.seed,
        experts: experts
            .map(|(expert, weight)| ExpertOutput {
                file: shown(&expert.path),
                weight: *weight,
            })
            .collect(),
    };
    match printer.format() {
        Format::Json => printer.show(&output, |_| String::new()),
        Format::Text => Ok(()),
    }
}

/// Says a piece of a text, where text is what is printed.
fn say(printer: Printer, piece: &[u8]) -> CliResult<ControlFlow<()>> {
    match printer.format() {
        Format::Text if !piece.is_empty() => printer.piece(piece),
        Format::Text | Format::Json => Ok(ControlFlow::Continue(())),
    }
}
