//! `soma global`: the global model as a thing one can take home.
//!
//! A folder holds one view: `manifest.json`, which names the models, where they specialise, what they count
//! for and their files, and the files. A file that is there has been verified as it was written, and is again
//! when the command goes on; the manifest is written anew after each. Weights of one epoch stay with the
//! network for three, so an epoch that ends meanwhile changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use soma_client::{ClientError, NodeClient, node::Global};
use soma_files::{At as _, FileError, Lock, Output, read_bounded, replace, sweep};
use soma_model::{layout, safetensors::Tensors};
use soma_types::{
    Architecture, ChainId, ContentHash, Embedding, Epoch, Height, ModelId, Shannons, Url, api::ExpertView,
    text::printable,
};

use crate::{
    args::GlobalCommand,
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, count, facts, short, table},
};

/// What a folder of them is about.
pub const MANIFEST: &str = "manifest.json";
/// The network's first weights, in plain.
const GENESIS: &str = "genesis.safetensors";
/// Longest manifest that is read, in bytes.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;

/// The global model of an epoch, and where its files are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    chain: ChainId,
    epoch: Epoch,
    /// The epoch's first block: all this stands still from there to the epoch's end.
    height: Height,
    architecture: Architecture,
    genesis: Option<Fetched>,
    experts: Vec<Expert>,
    /// Whether every file is there.
    complete: bool,
    /// Files of earlier views that are no part of this one.
    #[serde(default)]
    outgrown: Vec<String>,
}

/// A model of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Expert {
    model: ModelId,
    /// Where its owner says the encrypted weights are.
    url: Url,
    /// BLAKE3 of the encrypted weights, as committed.
    hash: ContentHash,
    /// Their length in bytes.
    size_bytes: u64,
    key: soma_types::DecryptionKey,
    embedding: Embedding,
    /// What it counts for in the mixture.
    stake: Shannons,
    /// Its weights, decrypted; none while they are not here.
    file: Option<Fetched>,
    /// Why they are not, where nothing helps.
    unusable: Option<String>,
}

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fetched {
    name: String,
    size_bytes: u64,
    /// Its BLAKE3.
    hash: ContentHash,
}

/// What was brought home.
#[derive(Serialize)]
pub struct Brought {
    #[serde(flatten)]
    manifest: Manifest,
    folder: String,
    fetched: u64,
    kept: u64,
    /// Files of an earlier view that are no part of this one.
    others: Vec<String>,
}

impl Brought {
    /// Whether no model can be used.
    pub fn is_empty(&self) -> bool {
        self.manifest.experts.iter().all(|expert| expert.file.is_none())
    }
}

/// Removes the weights of earlier views, which the folder's manifest names as such.
///
/// # Errors
/// When the folder is in use, or one cannot be removed.
pub fn forget_outgrown(folder: &Path) -> CliResult {
    let _lock = Lock::acquire(folder)?;
    let Some(mut manifest) = Manifest::read(folder)? else {
        return Ok(());
    };
    for name in std::mem::take(&mut manifest.outgrown) {
        let path = folder.join(&name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).at("remove", &path)?;
            }
            _ => {}
        }
    }
    manifest.write(folder)
}

/// `soma global`.
pub async fn run(printer: Printer, context: &Context, command: &GlobalCommand) -> CliResult {
    let node = context.patient_node()?;
    match command {
        GlobalCommand::Show => {
            let manifest = Manifest::of(node.global().await?, None);
            printer.show(&manifest, text)?;
            if manifest.experts.is_empty() {
                printer.note("No model competes in this epoch.");
            }
            Ok(())
        }
        GlobalCommand::Fetch { out } => fetch(printer, &node, out).await,
    }
}

/// A global model that was taken home.
pub struct TakenHome {
    /// Of all its models.
    pub architecture: Architecture,
    /// When it stood so.
    pub epoch: Epoch,
    /// The network's first weights, where it began with such.
    pub genesis: Option<PathBuf>,
    /// The models that can be used.
    pub models: Vec<ModelAtHome>,
}

/// A model that was taken home.
pub struct ModelAtHome {
    /// Which model.
    pub model: ModelId,
    /// Its weights, decrypted.
    pub path: PathBuf,
    /// What it counts for.
    pub stake: Shannons,
    /// Where it specialises.
    pub embedding: Embedding,
}

/// What `soma global fetch` has brought into `folder`.
///
/// # Errors
/// When there is nothing, or not yet all of it.
pub fn taken_home(folder: &Path) -> CliResult<TakenHome> {
    let manifest = Manifest::read(folder)?.ok_or_else(|| {
        CliError::new(format!(
            "there is no {MANIFEST} in {}",
            printable(&folder.to_string_lossy())
        ))
        .hint("take the global model home first: soma global fetch --out DIR")
    })?;
    if !manifest.complete {
        return Err(CliError::new("the global model in that folder is not complete")
            .hint("the same `soma global fetch` goes on where it was stopped"));
    }
    let models = manifest.experts.into_iter().filter_map(|expert| {
        Some(ModelAtHome {
            model: expert.model,
            path: folder.join(expert.file?.name),
            stake: expert.stake,
            embedding: expert.embedding,
        })
    });
    Ok(TakenHome {
        architecture: manifest.architecture,
        epoch: manifest.epoch,
        genesis: manifest.genesis.map(|file| folder.join(file.name)),
        models: models.collect(),
    })
}

impl Manifest {
    /// That of a folder, if there is one.
    fn read(folder: &Path) -> CliResult<Option<Self>> {
        let Some(bytes) = read_bounded(&folder.join(MANIFEST), MANIFEST_BYTES_MAX)? else {
            return Ok(None);
        };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| {
            CliError::new(format!("{MANIFEST} in that folder is no manifest: {error}"))
                .hint("move it away, or choose another folder")
        })?;
        // Its names become paths: those of files in the folder and nothing else.
        let is_elsewhere = |name: &&String| Path::new(name).file_name() != Some(name.as_ref());
        let names = manifest.files().map(|file| &file.name).chain(&manifest.outgrown);
        if let Some(name) = { names }.find(is_elsewhere) {
            let name = printable(name).into_owned();
            return Err(CliError::new(format!(
                "{MANIFEST} names {name}, which is no file of its folder"
            )));
        }
        Ok(Some(manifest))
    }

    /// Of what the network says, with the files that an earlier one names.
    fn of(global: Global, earlier: Option<&Self>) -> Self {
        let files: BTreeMap<_, _> = earlier
            .iter()
            .flat_map(|earlier| &earlier.experts)
            .filter_map(|expert| Some(((expert.hash, expert.key), expert.file.clone()?)))
            .collect();
        let experts = global.experts.into_iter().map(|expert| {
            let ExpertView {
                model,
                weights,
                embedding,
                stake,
            } = expert;
            let file = files.get(&(weights.committed.hash, weights.key)).cloned();
            Expert {
                model,
                url: weights.committed.url,
                hash: weights.committed.hash,
                size_bytes: weights.committed.size_bytes,
                key: weights.key,
                embedding,
                stake,
                file,
                unusable: None,
            }
        });
        Self {
            chain: global.chain,
            epoch: global.epoch,
            height: global.height,
            architecture: global.architecture,
            genesis: global.genesis.map(|weights| Fetched {
                name: GENESIS.to_owned(),
                size_bytes: weights.size_bytes,
                hash: weights.hash,
            }),
            experts: experts.collect(),
            complete: false,
            outgrown: Vec::new(),
        }
    }

    /// Notes which files of an `earlier` view are no part of this one.
    fn outgrow(&mut self, earlier: &Self) {
        let own: BTreeSet<&String> = self.files().map(|file| &file.name).collect();
        let names = earlier.files().map(|file| &file.name).chain(&earlier.outgrown);
        let gone: BTreeSet<String> = names.filter(|name| !own.contains(name)).cloned().collect();
        self.outgrown = gone.into_iter().collect();
    }

    fn files(&self) -> impl Iterator<Item = &Fetched> {
        let experts = self.experts.iter().filter_map(|expert| expert.file.as_ref());
        experts.chain(&self.genesis)
    }

    fn write(&self, folder: &Path) -> CliResult {
        let json = serde_json::to_vec_pretty(self)?;
        Ok(replace(&folder.join(MANIFEST), &json)?)
    }
}

/// Brings the global model of the epoch in progress into `folder`, what of it is not there yet.
///
/// # Errors
/// When the folder is another network's or in use, its disk is too full, or the network does not answer.
pub async fn bring(printer: Printer, node: &NodeClient, folder: &Path) -> CliResult<Brought> {
    let _lock = Lock::acquire(folder)?;
    let global = node.global().await?;
    sweep(folder);
    let earlier = Manifest::read(folder)?;
    if let Some(earlier) = earlier.as_ref().filter(|earlier| earlier.chain != global.chain) {
        return Err(CliError::new(format!(
            "the folder holds the global model of network {}",
            earlier.chain
        ))
        .hint("choose another folder with --out"));
    }
    let views: BTreeMap<_, _> = global
        .experts
        .iter()
        .map(|expert| (expert.model, expert.clone()))
        .collect();
    let mut manifest = Manifest::of(global, earlier.as_ref());
    let (mut fetched, mut kept) = (0, 0);
    for expert in &mut manifest.experts {
        if let Some(file) = &expert.file
            && !is_whole(folder, file).await?
        {
            expert.file = None;
        }
        kept += u64::from(expert.file.is_some());
    }
    if let Some(earlier) = &earlier {
        manifest.outgrow(earlier);
    }
    let missing = manifest.experts.iter().filter(|expert| expert.file.is_none());
    let missing_bytes: u64 = missing.map(|expert| expert.size_bytes).sum();
    Output::check(&folder.join(MANIFEST))?.with_room(missing_bytes)?;
    printer.note(format!(
        "{} of epoch {}: {kept} here, {} to fetch",
        count(manifest.experts.len() as u64, "model"),
        manifest.epoch,
        ByteSize(missing_bytes)
    ));
    manifest.write(folder)?;
    if let Some(genesis) = manifest.genesis.clone()
        && !is_whole(folder, &genesis).await?
    {
        fetch_genesis(node, folder).await?;
    }
    for index in 0..manifest.experts.len() {
        if manifest.experts[index].file.is_some() {
            continue;
        }
        let view = &views[&manifest.experts[index].model];
        match fetch_one(node, view, &manifest.architecture, folder).await? {
            Ok(file) => {
                manifest.outgrown.retain(|name| *name != file.name);
                manifest.experts[index].file = Some(file);
                fetched += 1;
            }
            Err(reason) => {
                printer.note(format!("model {} is left out: {reason}", view.model));
                manifest.experts[index].unusable = Some(reason);
            }
        }
        manifest.write(folder)?;
    }
    manifest.complete = true;
    manifest.write(folder)?;
    Ok(Brought {
        others: others(folder, &manifest)?,
        manifest,
        folder: folder.display().to_string(),
        fetched,
        kept,
    })
}

async fn fetch(printer: Printer, node: &NodeClient, folder: &Path) -> CliResult {
    let output = bring(printer, node, folder).await?;
    printer.show(&output, |output| {
        let lines = [
            ("folder", output.folder.clone()),
            (
                "epoch",
                format!("{}, from block {}", output.manifest.epoch, output.manifest.height),
            ),
            (
                "models",
                format!("{} fetched, {} were here", output.fetched, output.kept),
            ),
        ];
        format!("{}{}", facts(&lines), text(&output.manifest))
    })?;
    if !output.others.is_empty() {
        printer.note(format!(
            "not part of this epoch's model: {}",
            output.others.join(" ")
        ));
    }
    Ok(())
}

/// Fetches a model's weights into the folder; or why nobody can use them.
async fn fetch_one(
    node: &NodeClient,
    view: &ExpertView,
    architecture: &Architecture,
    folder: &Path,
) -> CliResult<Result<Fetched, String>> {
    let weights = match node.fetch_expert(view).await {
        Ok(weights) => weights,
        Err(error) if error.is_passing() => {
            return Err(CliError::from(error).while_doing(format!("model {}", view.model)));
        }
        Err(
            error @ (ClientError::Problem(_) | ClientError::WrongHash { .. } | ClientError::WrongSize { .. }),
        ) => {
            return Ok(Err(error.to_string()));
        }
        Err(error) => return Err(CliError::from(error).while_doing(format!("model {}", view.model))),
    };
    let hash = view.weights.committed.hash.to_string();
    let name = format!("{}.safetensors", &hash[2..]);
    let place = Output::check(&folder.join(&name))?;
    let (architecture, path) = (*architecture, folder.join(&name));
    tokio::task::spawn_blocking(move || {
        let mut plain = match weights.open() {
            Ok(plain) => plain,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut hasher = Hashing::default();
        place.write_with(|file| {
            let mut both = Tee(file, &mut hasher);
            io::copy(&mut plain, &mut both).map(drop)
        })?;
        let file = File::open(&path).at("open", &path)?;
        // The header says whether it is of this shape; values are looked at when they are used.
        Ok(
            match Tensors::open(file, hasher.size_bytes, layout(&architecture)) {
                Ok(_) => Ok(Fetched {
                    name,
                    size_bytes: hasher.size_bytes,
                    hash: hasher.hash(),
                }),
                Err(error) => {
                    fs::remove_file(&path).at("remove", &path)?;
                    Err(error.to_string())
                }
            },
        )
    })
    .await?
}

async fn fetch_genesis(node: &NodeClient, folder: &Path) -> CliResult {
    let weights = node.fetch_genesis().await?;
    let place = Output::check(&folder.join(GENESIS))?;
    let write = move || place.write_with(|file| io::copy(&mut weights.reader(), file).map(drop));
    Ok(tokio::task::spawn_blocking(write).await??)
}

/// Whether the file is there as it was fetched.
async fn is_whole(folder: &Path, file: &Fetched) -> CliResult<bool> {
    let (path, expected) = (folder.join(&file.name), file.clone());
    let found = tokio::task::spawn_blocking(move || {
        let mut source = match File::open(&path) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).at("open", &path),
        };
        let mut hasher = Hashing::default();
        io::copy(&mut source, &mut hasher).at("read", &path)?;
        Ok::<_, FileError>(hasher.size_bytes == expected.size_bytes && hasher.hash() == expected.hash)
    });
    Ok(found.await??)
}

/// Weights in the folder that the manifest does not name.
fn others(folder: &Path, manifest: &Manifest) -> CliResult<Vec<String>> {
    let mut others = Vec::new();
    for entry in fs::read_dir(folder).at("list", folder)? {
        let name = entry
            .at("list", folder)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".safetensors") && manifest.files().all(|file| file.name != name) {
            others.push(printable(&name).into_owned());
        }
    }
    others.sort();
    Ok(others)
}

/// Hashes and counts what is written to it.
#[derive(Default)]
struct Hashing {
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl Hashing {
    fn hash(&self) -> ContentHash {
        ContentHash(*self.hasher.finalize().as_bytes())
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to both.
struct Tee<'a>(&'a mut dyn Write, &'a mut Hashing);

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn text(manifest: &Manifest) -> String {
    if manifest.experts.is_empty() {
        return String::new();
    }
    let stakes: u128 = manifest
        .experts
        .iter()
        .map(|expert| u128::from(expert.stake.0))
        .sum();
    let rows = manifest.experts.iter().map(|expert| {
        let share = 100.0 * expert.stake.0 as f64 / stakes.max(1) as f64;
        vec![
            short(expert.model),
            expert.stake.to_string(),
            format!("{share:.1}%"),
            expert.size_bytes.to_string(),
            match (&expert.file, &expert.unusable) {
                (Some(file), _) => format!("{}..", &file.name[..12.min(file.name.len())]),
                (None, Some(reason)) => reason.clone(),
                (None, None) => String::new(),
            },
        ]
    });
    table(
        &["model", "stake", "prior", "bytes", "file"],
        &["stake", "prior", "bytes"],
        rows,
    )
}
