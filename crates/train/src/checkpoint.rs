//! Checkpoints: weights, optimizer memory and position of a run in one file, replaced by renaming, so that whatever happens
//! there is always a whole one. The file is the BLAKE3 hash of its content, then the content in borsh.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use borsh::{BorshDeserialize, BorshSerialize};
use soma_files::{At as _, replace};
use soma_types::Architecture;

use crate::optimizer::Moments;
use crate::weights::{Named, Weights};

/// The file's name in the checkpoint folder.
pub const FILE_NAME: &str = "checkpoint.bin";

/// A run at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What the run is: settings and data. A checkpoint continues only the run that wrote it.
    pub run: String,
    /// Time trained so far.
    pub elapsed: Duration,
    /// The weights.
    pub weights: Weights,
    /// The optimizer's memory; its step is the run's.
    pub moments: Moments,
}

/// A checkpoint's content as it is stored; unchecked.
#[derive(BorshSerialize, BorshDeserialize)]
struct Stored {
    run: String,
    elapsed_ms: u64,
    weights: BTreeMap<String, Named>,
    moments: Moments,
}

/// Why a checkpoint could not be written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk refused.
    #[error("checkpoint: cannot {action} `{path}`: {error}")]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// Not a checkpoint, or one of another architecture.
    #[error("checkpoint: `{path}` is damaged or of another kind ({problem}); delete it to start anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Written by a run with other settings or data.
    #[error(
        "checkpoint: `{0}` belongs to a run with other settings or data; name another folder, or delete it to start anew"
    )]
    OtherRun(PathBuf),
}

impl Checkpoint {
    /// Writes to `folder`, which is made if needed. A crash leaves the former checkpoint or this one, whole.
    ///
    /// # Errors
    /// If the disk refuses; the former checkpoint is then untouched.
    pub fn save(&self, folder: &Path) -> Result<(), CheckpointError> {
        let path = folder.join(FILE_NAME);
        let made = fs::create_dir_all(folder).at("create", folder);
        made.and_then(|()| replace(&path, &self.to_bytes()))
            .map_err(|error| CheckpointError::Io {
                action: "write",
                path,
                error: error.source,
            })
    }

    /// The checkpoint in `folder`, if there is one, for the run that `run` describes.
    ///
    /// # Errors
    /// If it cannot be read, is damaged or belongs to another run.
    pub fn load(
        folder: &Path,
        architecture: &Architecture,
        run: &str,
    ) -> Result<Option<Self>, CheckpointError> {
        let path = folder.join(FILE_NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(CheckpointError::Io {
                    action: "read",
                    path,
                    error,
                });
            }
        };
        let damaged = |problem: String| CheckpointError::Damaged {
            path: path.clone(),
            problem,
        };
        let found = Self::from_bytes(&bytes, architecture).map_err(damaged)?;
        if found.run == run {
            Ok(Some(found))
        } else {
            Err(CheckpointError::OtherRun(path))
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let content = borsh::to_vec(&Stored {
            run: self.run.clone(),
            elapsed_ms: self.elapsed.as_millis() as u64,
            weights: self.weights.tensors().clone(),
            moments: self.moments.clone(),
        })
        .expect("weights and moments of a finite gradient hold no NaN, which is all that borsh refuses");
        [blake3::hash(&content).as_bytes(), content.as_slice()].concat()
    }

    fn from_bytes(bytes: &[u8], architecture: &Architecture) -> Result<Self, String> {
        let (hash, content) = bytes.split_first_chunk::<32>().ok_or("too short")?;
        if blake3::hash(content) != blake3::Hash::from_bytes(*hash) {
            return Err("its hash differs".to_owned());
        }
        let stored: Stored = borsh::from_slice(content).map_err(|e| e.to_string())?;
        let weights = Weights::new(architecture, stored.weights).map_err(|e| e.to_string())?;
        if !stored.moments.fit(&weights) {
            return Err("the optimizer's memory does not fit the weights".to_owned());
        }
        Ok(Self {
            run: stored.run,
            elapsed: Duration::from_millis(stored.elapsed_ms),
            weights,
            moments: stored.moments,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Architecture = Architecture {
        embedding_dim: 4,
        heads: 1,
        layers: 1,
        ffn_dim: 4,
        max_seq_len: 4,
        rope_wavelength: 10,
    };

    fn example() -> Checkpoint {
        let weights = Weights::fresh(&SMALL, 3);
        let mut moments = Moments::new(&weights);
        moments.step = 17;
        moments.first.values_mut().flatten().for_each(|x| *x = 0.25);
        Checkpoint {
            run: "this one".into(),
            elapsed: Duration::from_millis(1234),
            weights,
            moments,
        }
    }

    #[test]
    fn a_checkpoint_comes_back_whole() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new");
        assert_eq!(Checkpoint::load(&folder, &SMALL, "this one").unwrap(), None);
        example().save(&folder).unwrap();
        assert_eq!(
            Checkpoint::load(&folder, &SMALL, "this one").unwrap(),
            Some(example())
        );
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn damage_and_strangers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        example().save(dir.path()).unwrap();
        assert!(matches!(
            Checkpoint::load(dir.path(), &SMALL, "another"),
            Err(CheckpointError::OtherRun(_))
        ));
        let wider = Architecture { ffn_dim: 8, ..SMALL };
        assert!(matches!(
            Checkpoint::load(dir.path(), &wider, "this one"),
            Err(CheckpointError::Damaged { .. })
        ));
        let path = dir.path().join(FILE_NAME);
        let bytes = fs::read(&path).unwrap();
        for cut in [0, 4, 60, bytes.len() - 1] {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert!(matches!(
                Checkpoint::load(dir.path(), &SMALL, "this one"),
                Err(CheckpointError::Damaged { .. })
            ));
        }
    }

    #[test]
    fn a_disk_that_refuses_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a-file");
        fs::write(&file, b"").unwrap();
        let error = example().save(&file.join("below")).unwrap_err();
        assert!(
            matches!(error, CheckpointError::Io { action: "write", .. }),
            "{error}"
        );
    }
}
