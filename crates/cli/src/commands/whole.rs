//! The models that stand for the whole, from files to memory.

use std::{fs, path::PathBuf};

use soma_model::Model;
use soma_scoring::files::memory_bytes_max_of;
use soma_types::Architecture;

use super::{
    global::{TakenHome, taken_home},
    scoring::{load, require_memory, unreadable},
};
use crate::{
    architecture,
    args::WholeArgs,
    error::{CliError, CliResult},
    printer::Printer,
    weights,
};

/// A model in memory.
pub struct Expert {
    /// Where it was read from.
    pub path: PathBuf,
    /// What it counts for before anything is known.
    pub stake: u64,
    /// Its weights.
    pub model: Model,
}

/// All of them, with `kept` bytes of memory beside each and passes of `chunks` chunks; says beforehand where
/// memory is short.
pub fn experts(
    printer: Printer,
    args: &WholeArgs,
    kept: impl Fn(&Architecture) -> u64,
    chunks: impl Fn(&Architecture) -> u64,
) -> CliResult<Vec<Expert>> {
    let (architecture, files) = files(args)?;
    let each = files
        .iter()
        .map(|(path, _)| memory_bytes_max_of(path, &architecture) + kept(&architecture));
    require_memory(
        printer,
        each.sum(),
        &architecture,
        files.len() as u64 * chunks(&architecture),
    )?;
    let load = |(path, stake): (PathBuf, u64)| {
        let model = load(&path, &architecture)?;
        Ok(Expert { path, stake, model })
    };
    files.into_iter().map(load).collect()
}

/// The files of the models, with what each counts for.
fn files(args: &WholeArgs) -> CliResult<(Architecture, Vec<(PathBuf, u64)>)> {
    let (architecture, files) = match &args.folder {
        Some(folder) => {
            let TakenHome { architecture, models } = taken_home(folder)?;
            let models = models.into_iter().map(|(path, stake)| (path, stake.0));
            (architecture, models.collect())
        }
        None => {
            let files = weights::files(&args.weights);
            let equal = files.into_iter().map(|path| (path, 1));
            (architecture::parse(&args.arch)?, equal.collect::<Vec<_>>())
        }
    };
    for (path, _) in &files {
        fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    }
    if files.is_empty() {
        return Err(CliError::new("no model of that folder can be used")
            .hint("see which are left out: soma global fetch"));
    }
    Ok((architecture, files))
}
