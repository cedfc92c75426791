//! Weights files under the names of the files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::http::StatusCode;
use soma_http::{Error, problem::shown};
use soma_model::residency::memory_bytes_max;
use soma_types::{Architecture, ContentHash, Seed};

use crate::{
    score::{Content, Library},
    service::{Entry, Found, LoadError},
    weights_file::{FileTrouble, WeightsFile},
};

/// Weights files. Each request finds in them what they hold then.
#[derive(Debug)]
pub struct Files {
    architecture: Architecture,
    files: BTreeMap<String, Arc<WeightsFile>>,
}

/// The most memory that the weights in `path` can take.
#[must_use]
pub fn memory_bytes_max_of(path: &Path, architecture: &Architecture) -> u64 {
    // A file that cannot be looked at will not be loaded either; what comes through a pipe may be of any
    // size.
    let file_bytes = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => u64::MAX,
    };
    memory_bytes_max(architecture, file_bytes)
}

/// Files of one name.
#[derive(Debug, thiserror::Error)]
#[error("{} and {} are both called '{name}': rename one", .first.display(), .second.display())]
pub struct SameName {
    name: String,
    first: PathBuf,
    second: PathBuf,
}

impl Files {
    /// Files of `architecture`, each called by its name without folder and ending. None is opened yet: see
    /// [`Files::entry_of`].
    ///
    /// # Errors
    /// When two have the same name.
    pub fn new(
        architecture: Architecture,
        files: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Self, SameName> {
        let mut named = BTreeMap::new();
        for second in files {
            let name = second.file_stem().unwrap_or(second.as_os_str());
            let name = name.to_string_lossy().into_owned();
            let file = Arc::new(WeightsFile::new(second.clone(), architecture));
            if let Some(first) = named.insert(name.clone(), file) {
                let first = first.path().to_owned();
                return Err(SameName { name, first, second });
            }
        }
        Ok(Self {
            architecture,
            files: named,
        })
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The file called `name`.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.files.get(name).map(|file| file.path())
    }

    /// The weights that were last seen in each file that was looked at.
    pub fn last(&self) -> impl Iterator<Item = (&str, ContentHash)> {
        self.files
            .iter()
            .filter_map(|(name, file)| Some((name.as_str(), file.last()?)))
    }

    /// The model called `name`, with the weights that its file holds when they are looked for.
    #[must_use]
    pub fn entry_of(&self, name: &str) -> Option<Entry> {
        let file = Arc::clone(self.files.get(name)?);
        // Whoever asks cannot mend a file; whoever serves it can.
        let unavailable = |trouble: FileTrouble| LoadError::Unavailable(trouble.to_string());
        let find = move || {
            let seen = file.look().map_err(unavailable)?;
            Ok(Found {
                weights: seen.weights,
                size_bytes_max: seen.size_bytes_max,
                load: Box::new(move || file.load(seen.weights).map_err(unavailable)),
            })
        };
        Some(Entry {
            name: name.to_owned(),
            find: Box::new(find),
        })
    }
}

impl Library for Files {
    fn architecture(&self) -> Architecture {
        self.architecture
    }

    async fn seed(&self) -> Result<Seed, Error> {
        Ok(Seed::default())
    }

    async fn entry(&self, name: &str) -> Result<Entry, Error> {
        self.entry_of(name).ok_or_else(|| {
            let known = self.names().collect::<Vec<_>>().join(", ");
            Error::new(
                StatusCode::NOT_FOUND,
                format!("there is no model '{}' here, only {known}", shown(name)),
            )
        })
    }

    async fn content(&self, _: ContentHash, _: u64) -> Result<Content, Error> {
        Ok(Content::Missing)
    }
}
