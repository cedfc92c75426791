//! `soma score` and `soma embed`: exact, without a network.

mod embed;
mod score;
mod self_test;
mod serve;

use std::{
    io,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use soma_data::{Reading, Rules};
use soma_model::{Model, WeightsError, memory, score::working_bytes_max};
use soma_types::{Architecture, text::printable};

use crate::{
    args::Selection,
    error::{CliError, CliResult},
    printer::Printer,
};

pub use self::{embed::embed, score::score, self_test::self_test, serve::serve};

/// Memory that is worth a word before it is taken.
const MUCH_MEMORY_BYTES: u64 = 1 << 28;

/// Reads text for a command, each text once, and says what it took.
pub fn read_text(printer: Printer, sources: &[PathBuf], selection: &Selection) -> CliResult<Reading> {
    let rules = Rules {
        unique: true,
        ..selection.rules()
    };
    let reading = soma_sources::read(sources, &rules)?;
    printer.notes(&reading.report.to_string());
    Ok(reading)
}

/// Loads weights of the architecture that was given, naming the file when it is bad.
pub fn load(path: &Path, architecture: &Architecture) -> CliResult<Model> {
    let hint = "the file must be safetensors of exactly this architecture; see --arch";
    Model::load(path, architecture).map_err(|error| bad_weights(path, error, hint))
}

/// Loads weights of the network's architecture, naming the file when it is bad.
pub fn load_for_network(path: &Path, architecture: &Architecture) -> CliResult<Model> {
    let hint = "the file must be safetensors of the network's architecture; see `soma params`";
    Model::load(path, architecture).map_err(|error| bad_weights(path, error, hint))
}

/// Weights that cannot be used.
pub fn bad_weights(path: &Path, error: WeightsError, hint: &str) -> CliError {
    match error {
        WeightsError::Io(error) => unreadable(path, &error),
        error => CliError::new(format!("{}: {error}", shown(path))).hint(hint),
    }
}

/// Says what memory scoring takes if it is much, and refuses when there is less.
pub fn require_memory(
    printer: Printer,
    model_bytes: u64,
    architecture: &Architecture,
    chunks: u64,
) -> CliResult {
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

/// A path, fit to be shown.
pub fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// A file that cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::new(format!("cannot read {}: {error}", shown(path)))
}
