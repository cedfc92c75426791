//! Checkpoints: weights, optimizer memory and position of a run in one safetensors file, replaced by renaming, so that
//! whatever happens there is always a whole one.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use soma_types::Architecture;

use crate::optimizer::{Flat, Moments};
use crate::weights::{Named, Weights};

/// The file's name in the checkpoint folder.
pub const FILE_NAME: &str = "checkpoint.safetensors";

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
    #[error("checkpoint: `{0}` belongs to a run with other settings or data; name another folder, or delete it to start anew")]
    OtherRun(PathBuf),
}

impl Checkpoint {
    /// Writes to `folder`, which is made if needed. A crash leaves the former checkpoint or this one, whole.
    ///
    /// # Errors
    /// If the disk refuses; the former checkpoint is then untouched.
    pub fn save(&self, folder: &Path) -> Result<(), CheckpointError> {
        let path = folder.join(FILE_NAME);
        let temporary = folder.join(format!("{FILE_NAME}.tmp"));
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&self.to_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|error| CheckpointError::Io { action: "write", path: path.clone(), error })
    }

    /// The checkpoint in `folder`, if there is one, for the run that `run` describes.
    ///
    /// # Errors
    /// If it cannot be read, is damaged or belongs to another run.
    pub fn load(folder: &Path, architecture: &Architecture, run: &str) -> Result<Option<Self>, CheckpointError> {
        let path = folder.join(FILE_NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CheckpointError::Io { action: "read", path, error }),
        };
        let damaged = |problem: String| CheckpointError::Damaged { path: path.clone(), problem };
        let found = Self::from_bytes(&bytes, architecture).map_err(damaged)?;
        if found.run == run { Ok(Some(found)) } else { Err(CheckpointError::OtherRun(path)) }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let bytes = |data: &[f32]| data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let mut parts: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
        for (name, tensor) in self.weights.tensors() {
            parts.insert(format!("weights.{name}"), (tensor.shape.clone(), bytes(&tensor.data)));
            parts.insert(format!("first.{name}"), (tensor.shape.clone(), bytes(&self.moments.first[name])));
            parts.insert(format!("second.{name}"), (tensor.shape.clone(), bytes(&self.moments.second[name])));
        }
        let views = parts.iter().map(|(name, (shape, data))| {
            (name, TensorView::new(Dtype::F32, shape.clone(), data).expect("moments have the sizes of their weights"))
        });
        let facts = HashMap::from([
            ("run".to_owned(), self.run.clone()),
            ("step".to_owned(), self.moments.step.to_string()),
            ("elapsed_ms".to_owned(), self.elapsed.as_millis().to_string()),
        ]);
        serialize(views, Some(facts)).expect("serialising tensors to memory cannot fail")
    }

    fn from_bytes(bytes: &[u8], architecture: &Architecture) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let facts = header.metadata().clone().unwrap_or_default();
        let fact = |name: &str| facts.get(name).ok_or(format!("no `{name}`"));
        let number = |name: &str| fact(name)?.parse::<u64>().map_err(|e| format!("`{name}`: {e}"));
        let (run, step, elapsed) = (fact("run")?.clone(), number("step")?, number("elapsed_ms")?);
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let mut groups: [BTreeMap<String, Named>; 3] = Default::default();
        for (name, view) in file.iter() {
            let (group, name) = name.split_once('.').ok_or(format!("unknown tensor `{name}`"))?;
            let index = ["weights", "first", "second"].iter().position(|g| *g == group);
            let index = index.ok_or(format!("unknown tensor `{group}.{name}`"))?;
            if view.dtype() != Dtype::F32 {
                return Err(format!("tensor `{group}.{name}` is not F32"));
            }
            let data = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            groups[index].insert(name.to_owned(), Named { shape: view.shape().to_vec(), data });
        }
        // The moments have the same names and shapes as the weights, so the same check holds for them.
        let [weights, first, second] = groups.map(|group| Weights::new(architecture, group));
        let flat = |group: Result<Weights, _>| -> Result<Flat, String> {
            let group = group.map_err(|e: crate::weights::WeightsError| e.to_string())?;
            Ok(group.tensors().iter().map(|(n, t)| (n.clone(), t.data.clone())).collect())
        };
        Ok(Self {
            run,
            elapsed: Duration::from_millis(elapsed),
            weights: weights.map_err(|e| e.to_string())?,
            moments: Moments { step, first: flat(first)?, second: flat(second)? },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Architecture =
        Architecture { embedding_dim: 4, heads: 1, layers: 1, ffn_dim: 4, max_seq_len: 4, rope_wavelength: 10 };

    fn example() -> Checkpoint {
        let weights = Weights::fresh(&SMALL, 3);
        let mut moments = Moments::new(&weights);
        moments.step = 17;
        moments.first.values_mut().flatten().for_each(|x| *x = 0.25);
        Checkpoint { run: "this one".into(), elapsed: Duration::from_millis(1234), weights, moments }
    }

    #[test]
    fn a_checkpoint_comes_back_whole() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new");
        assert_eq!(Checkpoint::load(&folder, &SMALL, "this one").unwrap(), None);
        example().save(&folder).unwrap();
        assert_eq!(Checkpoint::load(&folder, &SMALL, "this one").unwrap(), Some(example()));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn damage_and_strangers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        example().save(dir.path()).unwrap();
        assert!(matches!(Checkpoint::load(dir.path(), &SMALL, "another"), Err(CheckpointError::OtherRun(_))));
        let wider = Architecture { ffn_dim: 8, ..SMALL };
        assert!(matches!(Checkpoint::load(dir.path(), &wider, "this one"), Err(CheckpointError::Damaged { .. })));
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
        assert!(matches!(error, CheckpointError::Io { action: "write", .. }), "{error}");
    }
}
