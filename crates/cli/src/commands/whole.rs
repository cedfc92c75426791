//! The models that stand for the whole, from files to memory.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use soma_files::Output;
use soma_model::{Model, Scorer};
use soma_routing::RoutingTable;
use soma_scoring::{
    files::memory_bytes_max_of,
    weights_file::{FileTrouble, WeightsFile},
};
use soma_types::{Architecture, ContentHash};

use super::{
    global::{MANIFEST, TakenHome, bring, taken_home},
    scoring::{self, require_memory, shown, unreadable},
};
use crate::{
    architecture,
    args::WholeArgs,
    context::Context,
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

/// Which models are used, and for what.
pub struct Chosen<'a> {
    /// So many, of those that routing finds nearest; all where none is given.
    pub nearest: Option<NonZeroUsize>,
    /// The texts.
    pub texts: &'a [&'a [u8]],
}

/// Those that are chosen, with `kept` bytes of memory beside each and passes of `chunks` chunks; says
/// beforehand where memory is short.
pub fn experts(
    printer: Printer,
    args: &WholeArgs,
    chosen: &Chosen<'_>,
    kept: impl Fn(&Architecture) -> u64,
    chunks: impl Fn(&Architecture) -> u64,
) -> CliResult<Vec<Expert>> {
    let (architecture, files) = match (&args.folder, chosen.nearest) {
        (Some(folder), Some(count)) => nearest(taken_home(folder)?, count.get(), chosen.texts)?,
        _ => files(args)?,
    };
    require(printer, &architecture, &files, kept, chunks)?;
    let load = |(path, stake): (PathBuf, u64)| {
        let model = scoring::load(&path, &architecture)?;
        Ok(Expert { path, stake, model })
    };
    files.into_iter().map(load).collect()
}

/// Where neither files nor a folder are named, brings the network's models into the folder of wallets.
pub async fn from_network(printer: Printer, context: &Context, args: &mut WholeArgs) -> CliResult {
    if args.folder.is_none() && args.weights.is_empty() {
        let node = context.node().map_err(unnamed)?;
        let chain = node.status().await.map_err(|error| unnamed(error.into()))?.chain;
        let folder = context
            .home()?
            .join("global")
            .join(chain.to_string().trim_start_matches("0x"));
        if bring(printer, &node, &folder).await?.is_empty() {
            return Err(
                CliError::new("no models are named, and none competes in the network's epoch")
                    .hint("name files with --weights FILE[,FILE..]"),
            );
        }
        args.folder = Some(folder);
    }
    Ok(())
}

/// Whoever wanted files should read that they can be named.
fn unnamed(error: CliError) -> CliError {
    error.while_doing("no models are named, so the network's are wanted")
}

/// The files of the models to which the network's routing would send `texts`, in their order.
fn nearest(home: TakenHome, count: usize, texts: &[&[u8]]) -> CliResult<(Architecture, Vec<(PathBuf, u64)>)> {
    let TakenHome {
        architecture,
        genesis,
        models,
        ..
    } = home;
    let with_most = models
        .iter()
        .max_by_key(|model| model.stake)
        .map(|model| &model.path);
    let looks = genesis.as_ref().or(with_most).ok_or_else(none_is_usable)?;
    let at = Scorer::new()?.embed(&scoring::load(looks, &architecture)?, texts)?;
    let mut table = RoutingTable::new(architecture.embedding_dim);
    for (number, model) in models.iter().enumerate() {
        table.push(model.model, number as u64, model.stake, &model.embedding);
    }
    let routed = table.route(&[at], count).concat();
    let found = models.into_iter().filter(|model| routed.contains(&model.model));
    let found: Vec<_> = found.map(|model| (model.path, model.stake.0)).collect();
    if found.is_empty() {
        return Err(none_is_usable());
    }
    Ok((architecture, found))
}

fn none_is_usable() -> CliError {
    CliError::new("no model of that folder can be used").hint("see which are left out: soma global fetch")
}

/// BLAKE3 of a weights file.
pub fn hash(path: &Path, architecture: &Architecture) -> CliResult<ContentHash> {
    let seen = WeightsFile::new(path.to_owned(), *architecture).look();
    Ok(seen.map_err(|error| unusable(path, &error))?.weights)
}

/// The very weights that have this hash: what is named by another cannot be computed again.
pub fn load(path: &Path, weights: ContentHash, architecture: &Architecture) -> CliResult<Model> {
    let loaded = WeightsFile::new(path.to_owned(), *architecture).load(weights);
    loaded.map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &FileTrouble) -> CliError {
    CliError::new(format!("{}: {error}", shown(path)))
        .hint("the file must be safetensors of exactly this architecture; see --arch")
}

/// Says what memory these models take, each with `kept` bytes beside it and passes of `chunks` chunks, and
/// refuses where it is short.
pub fn require(
    printer: Printer,
    architecture: &Architecture,
    files: &[(PathBuf, u64)],
    kept: impl Fn(&Architecture) -> u64,
    chunks: impl Fn(&Architecture) -> u64,
) -> CliResult {
    let each = files
        .iter()
        .map(|(path, _)| memory_bytes_max_of(path, architecture).saturating_add(kept(architecture)));
    require_memory(
        printer,
        each.fold(0, u64::saturating_add),
        architecture,
        (files.len() as u64).saturating_mul(chunks(architecture)),
    )
}

/// The files of the models, with what each counts for.
pub fn files(args: &WholeArgs) -> CliResult<(Architecture, Vec<(PathBuf, u64)>)> {
    let (architecture, files) = match &args.folder {
        Some(folder) => {
            let home = taken_home(folder)?;
            let models = home.models.into_iter();
            let files = models.map(|model| (model.path, model.stake.0));
            (home.architecture, files.collect())
        }
        None => {
            let files = weights::files(&args.weights);
            let equal = files.into_iter().map(|path| (path, 1));
            (architecture::parse(&args.arch)?, equal.collect::<Vec<_>>())
        }
    };
    require_some(files.iter().map(|(path, _)| path))?;
    Ok((architecture, files))
}

/// The same, if writing there destroys nothing that is read for these models: none of their files, nor what
/// says of which dimensions they are.
pub fn apart_from_models(out: Output, args: &WholeArgs, files: &[(PathBuf, u64)]) -> CliResult<Output> {
    let told = match &args.folder {
        Some(folder) => folder.join(MANIFEST),
        None => PathBuf::from(&args.arch),
    };
    let weights = files.iter().map(|(path, _)| path.as_path());
    Ok(out.apart_from(weights.chain([told.as_path()]))?)
}

/// Refuses where a model's file is not there, or there is no model.
pub fn require_some<'p>(files: impl ExactSizeIterator<Item = &'p PathBuf>) -> CliResult {
    if files.len() == 0 {
        return Err(none_is_usable());
    }
    for path in files {
        fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    }
    Ok(())
}
