//! `soma merge`: the average of two models' weights.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use serde::Serialize;
use soma_files::{Output, sweep};
use soma_model::{
    merge::{MergeError, Source, merge as average},
    safetensors::HEADER_BYTES_MAX,
};
use soma_types::text::printable;

use crate::{
    architecture,
    args::MergeArgs,
    commands::scoring::{bad_weights, shown, unreadable},
    error::{CliError, CliResult},
    printer::Printer,
};

/// What to do about one of them.
const BOTH: &str = "both must be safetensors of exactly this architecture; see --arch";

#[derive(Serialize)]
struct MergeOutput {
    weights: String,
    size_bytes: u64,
    beta: f64,
}

/// `soma merge`. No more than one tensor of each file is in memory.
pub fn merge(printer: Printer, args: &MergeArgs) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let [mine, theirs] = [&args.mine, &args.theirs].map(|path| open(path));
    let (mine, theirs) = (mine?, theirs?);
    sweep(args.out.parent().unwrap_or(Path::new(".")));
    let out = Output::check(&args.out)?
        .apart_from([args.mine.as_path(), args.theirs.as_path(), Path::new(&args.arch)])?
        .with_room(4 * architecture.parameters() + HEADER_BYTES_MAX)?;
    let mut refused = None;
    let written = out.write_with(|file| {
        average(&architecture, mine, theirs, args.beta, file).map_err(|error| {
            let words = io::Error::other(error.to_string());
            refused = Some(error);
            words
        })
    });
    match (refused, written) {
        (Some(error @ MergeError::Ratio(_)), _) => return Err(CliError::usage(error)),
        (Some(MergeError::Mine(error)), _) => return Err(bad_weights(&args.mine, error, BOTH)),
        (Some(MergeError::Theirs(error)), _) => return Err(bad_weights(&args.theirs, error, BOTH)),
        (_, written) => written?,
    }
    let output = MergeOutput {
        weights: args.out.display().to_string(),
        size_bytes: fs::metadata(&args.out).map_or(0, |found| found.len()),
        beta: args.beta,
    };
    let sentence = |output: &MergeOutput| {
        format!(
            "wrote {}: {} of {}, {} of {}",
            printable(&output.weights),
            1.0 - output.beta,
            shown(&args.mine),
            output.beta,
            shown(&args.theirs)
        )
    };
    if out.is_standard_output() {
        printer.note(sentence(&output));
        Ok(())
    } else {
        printer.show(&output, sentence)
    }
}

fn open(path: &Path) -> CliResult<Source<File>> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let size_bytes = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    Ok(Source { file, size_bytes })
}
