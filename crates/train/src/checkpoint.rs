//! Checkpoints: weights, optimizer memory and position of a run in one file, replaced by renaming, so that
//! whatever happens there is always a whole one.
//!
//! The file is a mark, the format's version, the length of a head, the head in borsh (what the run is, and
//! where it is), then each tensor of the layout as 32-bit floats (weights, mean gradients, mean squared
//! gradients), and the BLAKE3 hash of all that. The head is read first, so a checkpoint of another run is
//! told from a damaged one, and the file's length is known before anything long is read. It is written and
//! read tensor by tensor: a copy of a large model's run would not fit in memory.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use borsh::{BorshDeserialize, BorshSerialize};
use soma_files::{At as _, FileError, LockError, Output};
use soma_model::{TensorSpec, layout};
use soma_types::{Architecture, text::printable};

use crate::{
    optimizer::Moments,
    weights::{Named, Weights},
};

/// The file's name in the checkpoint folder.
pub const FILE_NAME: &str = "checkpoint.bin";
/// What the file begins with.
const MARK: [u8; 8] = *b"SOMACKPT";
/// The format that is written and read. The first had no mark: the hash of a borsh value, then that value.
const VERSION: u32 = 2;
/// More than any head takes.
const HEAD_BYTES_MAX: u32 = 1 << 16;
/// Length of mark, version and the head's length.
const PREFIX_BYTES: u64 = 16;
/// Length of the hash at the end.
const HASH_BYTES: u64 = 32;
/// Floats that are converted at once.
const FLOATS: usize = 1 << 14;

/// A run at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What the run is, as names and values: settings and data. A checkpoint continues only the run that
    /// wrote it.
    pub run: Vec<(String, String)>,
    /// Time trained so far.
    pub elapsed: Duration,
    /// The weights.
    pub weights: Weights,
    /// The optimizer's memory; its step is the run's.
    pub moments: Moments,
}

/// What stands before the tensors.
#[derive(BorshSerialize, BorshDeserialize)]
struct Head {
    run: Vec<(String, String)>,
    elapsed_ms: u64,
    step: u64,
}

/// Why a checkpoint could not be written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk refused.
    #[error("checkpoint: {0}")]
    File(#[from] FileError),
    /// Another run has the folder.
    #[error("checkpoints: {held}; {}name another folder", remedy(held))]
    Lock {
        /// Why it could not be locked.
        #[from]
        held: LockError,
    },
    /// Not a whole checkpoint.
    #[error(
        "checkpoint: {} is damaged ({problem}); delete it to start anew, or name another folder",
        shown(path)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Whole, but of another format.
    #[error(
        "checkpoint: {} has format {found}, and this version of soma reads {VERSION}; \
         go on with the version that wrote it, or name another folder",
        shown(path)
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Written by a run with other settings or data.
    #[error(
        "checkpoint: {} is of another run: {differences}; give the same, or name another folder",
        shown(path)
    )]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// What differs, with the value it was written with and this run's.
        differences: String,
    },
}

impl CheckpointError {
    /// Whether the machine is to blame, and not what the checkpoint holds.
    #[must_use]
    pub const fn is_environment(&self) -> bool {
        matches!(self, Self::File(_) | Self::Lock { .. })
    }
}

/// What else there is to do about a folder that cannot be locked.
const fn remedy(error: &LockError) -> &'static str {
    match error {
        LockError::Held(_) => "wait for it, or ",
        LockError::File(_) => "",
    }
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

impl Checkpoint {
    /// Writes to `folder`, which is made if needed. A crash leaves the former checkpoint or this one, whole;
    /// so does a disk that refuses, and nothing beside it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn save(&self, architecture: &Architecture, folder: &Path) -> Result<(), FileError> {
        fs::create_dir_all(folder).at("create", folder)?;
        Output::check(&folder.join(FILE_NAME))?.write_with(|writer| self.write(architecture, writer))
    }

    fn write(&self, architecture: &Architecture, writer: &mut dyn Write) -> io::Result<()> {
        let head = borsh::to_vec(&Head {
            run: self.run.clone(),
            elapsed_ms: self.elapsed.as_millis() as u64,
            step: self.moments.step,
        })?;
        let mut hasher = blake3::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            writer.write_all(bytes)
        };
        put(&MARK)?;
        put(&VERSION.to_le_bytes())?;
        put(&(head.len() as u32).to_le_bytes())?;
        put(&head)?;
        for TensorSpec { name, .. } in layout(architecture) {
            let weights = self.weights.tensors().get(&name).map(|tensor| &tensor.data);
            for data in [
                weights,
                self.moments.first.get(&name),
                self.moments.second.get(&name),
            ] {
                let data = data.ok_or_else(|| io::Error::other(format!("the run has no tensor '{name}'")))?;
                for floats in data.chunks(FLOATS) {
                    let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
                    put(&bytes)?;
                }
            }
        }
        writer.write_all(hasher.finalize().as_bytes())
    }

    /// What the run in `folder` is.
    ///
    /// # Errors
    /// If no checkpoint is there, or none that can be read.
    pub fn facts(folder: &Path) -> Result<Vec<(String, String)>, CheckpointError> {
        let path = folder.join(FILE_NAME);
        let (_, head, _) = open(&path, File::open(&path).at("read", &path)?)?;
        Ok(head.run)
    }

    /// The checkpoint in `folder`, if there is one, for the run that `run` describes.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, of another format or of another run.
    pub fn load(
        folder: &Path,
        architecture: &Architecture,
        run: &[(String, String)],
    ) -> Result<Option<Self>, CheckpointError> {
        let path = folder.join(FILE_NAME);
        let found = match fs::metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("read", &path)?,
        };
        let damaged = |problem: String| CheckpointError::Damaged {
            path: path.clone(),
            problem,
        };
        if !found.is_file() {
            return Err(damaged("it is no regular file".into()));
        }
        let (reader, head, head_bytes) = open(&path, File::open(&path).at("read", &path)?)?;
        if head.run != run {
            // A flaw in the head makes another run of it.
            if !is_whole(&path, found.len()).at("read", &path)? {
                return Err(damaged("its hash differs".into()));
            }
            let differences = differences(&head.run, run);
            return Err(CheckpointError::OtherRun { path, differences });
        }
        let expected = PREFIX_BYTES + u64::from(head_bytes) + 3 * 4 * architecture.parameters() + HASH_BYTES;
        if found.len() != expected {
            return Err(damaged(format!("it has {} bytes of {expected}", found.len())));
        }
        reader
            .content(head, architecture)
            .map_err(|error| damaged(error.to_string()))
            .map(Some)
    }
}

/// Reads up to the tensors: what follows, the head, and its length.
fn open(path: &Path, file: File) -> Result<(Hashed<BufReader<File>>, Head, u32), CheckpointError> {
    let damaged = |problem: String| CheckpointError::Damaged {
        path: path.to_owned(),
        problem,
    };
    let mut reader = Hashed {
        inner: BufReader::with_capacity(1 << 20, file),
        hasher: blake3::Hasher::new(),
    };
    let mut prefix = [0; PREFIX_BYTES as usize];
    let is_marked = reader.read_exact(&mut prefix).is_ok() && prefix.starts_with(&MARK);
    let version = |found| CheckpointError::Version {
        path: path.to_owned(),
        found,
    };
    if !is_marked {
        return Err(if is_first_format(path).at("read", path)? {
            version(1)
        } else {
            damaged("it does not begin as one".into())
        });
    }
    let [.., v0, v1, v2, v3, l0, l1, l2, l3] = prefix;
    let found = u32::from_le_bytes([v0, v1, v2, v3]);
    if found != VERSION {
        return Err(version(found));
    }
    let head_bytes = u32::from_le_bytes([l0, l1, l2, l3]);
    if head_bytes > HEAD_BYTES_MAX {
        return Err(damaged(format!("its head claims {head_bytes} bytes")));
    }
    let mut head = vec![0; head_bytes as usize];
    let head = reader
        .read_exact(&mut head)
        .and_then(|()| borsh::from_slice::<Head>(&head))
        .map_err(|error| damaged(error.to_string()))?;
    Ok((reader, head, head_bytes))
}

/// Hashes what it reads.
struct Hashed<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Hashed<R> {
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn floats(&mut self, count: usize) -> io::Result<Vec<f32>> {
        let mut floats = Vec::with_capacity(count);
        let mut bytes = vec![0; 4 * FLOATS.min(count)];
        while floats.len() < count {
            let part = &mut bytes[..4 * FLOATS.min(count - floats.len())];
            self.read_exact(part)?;
            let (four, _) = part.as_chunks::<4>();
            floats.extend(four.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        Ok(floats)
    }

    /// The tensors behind the head, once their hash is right.
    fn content(mut self, head: Head, architecture: &Architecture) -> io::Result<Checkpoint> {
        let mut tensors = BTreeMap::new();
        let mut moments = Moments {
            step: head.step,
            ..Moments::default()
        };
        for TensorSpec { name, shape } in layout(architecture) {
            let count = shape.iter().product();
            let data = self.floats(count)?;
            moments.first.insert(name.clone(), self.floats(count)?);
            moments.second.insert(name.clone(), self.floats(count)?);
            tensors.insert(name, Named { shape, data });
        }
        let mut hash = [0; HASH_BYTES as usize];
        self.inner.read_exact(&mut hash)?;
        if self.hasher.finalize() != hash {
            return Err(io::Error::other("its hash differs"));
        }
        Ok(Checkpoint {
            run: head.run,
            elapsed: Duration::from_millis(head.elapsed_ms),
            weights: Weights::new(architecture, tensors).map_err(io::Error::other)?,
            moments,
        })
    }
}

/// Whether the file is whole and of the format without a mark.
fn is_first_format(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut hash = [0; HASH_BYTES as usize];
    if file.read_exact(&mut hash).is_err() {
        return Ok(false);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize() == hash)
}

/// Whether the hash at the file's end is that of what stands before.
fn is_whole(path: &Path, length_bytes: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader((&mut file).take(length_bytes.saturating_sub(HASH_BYTES)))?;
    let mut hash = [0; HASH_BYTES as usize];
    Ok(file.read_exact(&mut hash).is_ok() && hasher.finalize() == hash)
}

/// What differs between the run that wrote a checkpoint and this one. The former is a stranger's word.
fn differences(before: &[(String, String)], now: &[(String, String)]) -> String {
    let lookup = |name: &str| before.iter().find(|(other, _)| other == name);
    let texts: Vec<String> = now
        .iter()
        .filter_map(|(name, value)| match lookup(name) {
            Some((_, before)) if before == value => None,
            Some((_, before)) => Some(format!("{name} was {}, and is {value}", printable(before))),
            None => Some(format!("{name} is {value}, and was not known")),
        })
        .collect();
    if texts.is_empty() {
        "it has settings that are not known".to_owned()
    } else {
        texts.join("; ")
    }
}

#[cfg(test)]
mod tests;
