//! `soma compress` and `soma decompress`: a file in as many bits as models need for it, and back.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use indicatif::ProgressBar;
use serde::Serialize;
use soma_compress::{Expert, Header, Named, Sizes, blocks_at_once, compress as pack};
use soma_files::{Output, sweep};
use soma_model::{Model, Scorer, Sequence};
use soma_types::{Architecture, ContentHash};

use super::{
    scoring::{shown, unreadable},
    whole::{apart_from_models, files, hash, load, require},
};
use crate::{
    args::{CompressArgs, DecompressArgs},
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::Printer,
};

/// How far it is, by what was read.
const BAR: &str = "{bar:32} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";

#[derive(Serialize)]
struct PackedOutput {
    out: String,
    /// Bytes of the text.
    text_bytes: u64,
    /// Bytes of what became of it.
    packed_bytes: u64,
    /// Bits of it for a byte of the text.
    bits_per_byte: f64,
    models: Vec<ModelOutput>,
}

#[derive(Serialize)]
struct ModelOutput {
    file: String,
    /// BLAKE3 of the file.
    weights: ContentHash,
    stake: u64,
}

/// A model that a container names, in memory.
struct Loaded {
    path: PathBuf,
    named: Named,
    model: Model,
}

/// `soma compress`.
pub fn compress(printer: Printer, args: &CompressArgs, interrupt: &Interrupt) -> CliResult {
    let out = output(&args.out, &args.file)?;
    let (architecture, files) = files(&args.models)?;
    let out = apart_from_models(out, &args.models, &files)?;
    require_memory(printer, &architecture, &files)?;
    let mut loaded = Vec::with_capacity(files.len());
    for (path, stake) in files {
        let weights = hash(&path, &architecture)?;
        loaded.push(Loaded {
            model: load(&path, weights, &architecture)?,
            named: Named { weights, stake },
            path,
        });
    }
    let experts: Vec<Expert<'_>> = loaded
        .iter()
        .map(|Loaded { named, model, .. }| Expert {
            weights: named.weights,
            stake: named.stake,
            model,
        })
        .collect();
    let (mut source, _bar) = open(printer, &args.file, interrupt)?;
    let scorer = Scorer::new()?;
    let stopped = interrupt.flag();
    let sizes = written(&out, interrupt, |file| {
        Ok(pack(&scorer, &experts, &mut source, file, &stopped)?)
    })?;
    tell(printer, &out, sizes, &loaded)
}

/// `soma decompress`.
pub fn decompress(printer: Printer, args: &DecompressArgs, interrupt: &Interrupt) -> CliResult {
    let out = output(&args.out, &args.file)?;
    let (_, files) = files(&args.models)?;
    let out = apart_from_models(out, &args.models, &files)?;
    let (mut source, _bar) = open(printer, &args.file, interrupt)?;
    let of_file = |error: CliError| error.while_doing(shown(&args.file));
    let header = Header::read(&mut source).map_err(|error| of_file(error.into()))?;
    let files = chosen(files, &header)?;
    let architecture = *header.architecture();
    require_memory(printer, &architecture, &files)?;
    let mut loaded = Vec::with_capacity(files.len());
    for ((path, _), named) in files.into_iter().zip(header.experts()) {
        loaded.push(Loaded {
            model: load(&path, named.weights, &architecture)?,
            named: *named,
            path,
        });
    }
    let models: Vec<&Model> = loaded.iter().map(|loaded| &loaded.model).collect();
    let scorer = Scorer::new()?;
    let stopped = interrupt.flag();
    let sizes = written(&out, interrupt, |file| {
        let sizes = header.decompress(&scorer, &models, &mut source, file, &stopped);
        sizes.map_err(|error| of_file(error.into()))
    })?;
    tell(printer, &out, sizes, &loaded)
}

/// The files of the models that a container names, in its order.
fn chosen(files: Vec<(PathBuf, u64)>, header: &Header) -> CliResult<Vec<(PathBuf, u64)>> {
    let mut found = Vec::with_capacity(files.len());
    for (path, _) in files {
        found.push((hash(&path, header.architecture())?, path));
    }
    let path_of = |named: &Named| {
        let file = found.iter().find(|(weights, _)| *weights == named.weights);
        let (_, path) = file.ok_or_else(|| {
            let missing = format!("the file was compressed with the model {}", named.weights);
            CliError::new(format!("{missing}, which is none of those given"))
                .hint("it is the BLAKE3 of a weights file, as `soma compress` printed it; give that file too")
        })?;
        Ok((path.clone(), named.stake))
    };
    header.experts().iter().map(path_of).collect()
}

/// What both standard input and standard output are called.
const STANDARD: &str = "-";

/// What a path names, unless that is standard input or output.
fn file_named(path: &Path) -> Option<&Path> {
    (path != Path::new(STANDARD)).then_some(path)
}

/// Where the result goes, which is not what is read. It may be any bytes, so no terminal gets it.
fn output(path: &Path, file: &Path) -> CliResult<Output> {
    let named = file_named(path).unwrap_or(Path::new("/dev/stdout"));
    let out = Output::check(named)?.apart_from(file_named(file))?;
    if out.is_standard_output() && io::stdout().is_terminal() {
        return Err(
            CliError::usage("the result may be any bytes, which a terminal does not take")
                .hint("name a file with -o, or send it on: -o - | ..."),
        );
    }
    if let Some(path) = file_named(path) {
        // What earlier ones left there that were killed.
        sweep(path.parent().unwrap_or(Path::new(".")));
    }
    Ok(out)
}

/// What is to be read, drawing how far it is while the bar lives. While a file is read Ctrl-C asks the work
/// to end; standard input may never give the next byte, so there it ends at once.
fn open(printer: Printer, path: &Path, interrupt: &Interrupt) -> CliResult<(Box<dyn Read>, Cleared)> {
    let Some(path) = file_named(path) else {
        let bar = ProgressBar::hidden();
        return Ok((Box::new(io::stdin().lock()), Cleared(bar)));
    };
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        return Err(CliError::new(format!("{} is a folder", shown(path)))
            .hint("compress its files one by one, or an archive of them"));
    }
    let bar = printer.progress(metadata.len(), BAR);
    interrupt.hold();
    Ok((Box::new(bar.wrap_read(io::BufReader::new(file))), Cleared(bar)))
}

/// A bar that leaves nothing behind.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Models, and what they have read in the blocks at hand.
fn require_memory(printer: Printer, architecture: &Architecture, files: &[(PathBuf, u64)]) -> CliResult {
    let blocks = blocks_at_once(architecture, files.len()) as u64;
    let kept = |architecture: &Architecture| Sequence::memory_bytes_max(architecture).saturating_mul(blocks);
    require(printer, architecture, files, kept, |_| 1)
}

/// Writes a result whole or not at all; what went wrong in the middle is told as it is.
fn written<T>(
    out: &Output,
    interrupt: &Interrupt,
    write: impl FnOnce(&mut &mut dyn Write) -> CliResult<T>,
) -> CliResult<T> {
    let mut result = None;
    let placed = out.write_with(|mut file| match write(&mut file) {
        Ok(value) => {
            result = Some(Ok(value));
            Ok(())
        }
        Err(error) => {
            let stopped = io::Error::other(error.to_string());
            result = Some(Err(error));
            Err(stopped)
        }
    });
    match result {
        Some(Err(_)) if interrupt.flag().load(Ordering::Relaxed) => Err(CliError::interrupted()),
        Some(Err(error)) => Err(error),
        Some(Ok(value)) => {
            placed?;
            Ok(value)
        }
        None => Err(placed
            .err()
            .map_or_else(|| CliError::new("nothing was written"), CliError::from)),
    }
}

fn tell(printer: Printer, out: &Output, sizes: Sizes, loaded: &[Loaded]) -> CliResult {
    let Sizes {
        text_bytes,
        packed_bytes,
    } = sizes;
    let output = PackedOutput {
        out: shown(out.path()),
        text_bytes,
        packed_bytes,
        bits_per_byte: 8.0 * packed_bytes as f64 / text_bytes.max(1) as f64,
        models: loaded
            .iter()
            .map(|Loaded { path, named, .. }| ModelOutput {
                file: shown(path),
                weights: named.weights,
                stake: named.stake,
            })
            .collect(),
    };
    let text = |output: &PackedOutput| {
        let models = output.models.iter();
        let models: String = models
            .map(|model| format!("\n{}  {}", model.weights, model.file))
            .collect();
        format!(
            "wrote {}: {text_bytes} bytes of text, {packed_bytes} packed, {:.3} bits/byte, with{models}",
            output.out, output.bits_per_byte
        )
    };
    if out.is_standard_output() {
        printer.notes(&text(&output));
        return Ok(());
    }
    printer.show(&output, text)
}
