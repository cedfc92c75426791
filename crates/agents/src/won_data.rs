//! All public data that won since an epoch, kept in files: one for each epoch, or one for all.
//!
//! Upon a run: what is there is read and checked, and what has won and is not among it is downloaded, checked
//! against the ledger's hash, and added. So a run that was stopped is gone on with by the next, and a record
//! that is cut or changed is replaced.
//!
//! Persistence: a file is replaced as a whole ([`soma_files::Output`]), with what had come by then also where
//! the run is stopped or fails. A kill loses what came since the last file.
//! Bounds: a few documents in memory, or what the [`Format`] writes at once, besides the names of a file's.

mod error;
mod fetched;
mod format;
mod kept;
mod synced;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use soma_client::NodeClient;
use soma_files::At as _;
use soma_types::Epoch;

use self::kept::Kept;
pub use self::{
    error::SyncError,
    format::{Format, JsonLines, Records},
    synced::{Missing, Synced},
};

/// Where the documents go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file `epoch-N` for each epoch with a win, in this folder.
    Folder(PathBuf),
    /// All in this file.
    File(PathBuf),
}

impl Destination {
    /// A file where the path ends as the format's do, or is one; else a folder.
    #[must_use]
    pub fn of(path: &Path, format: &dyn Format) -> Self {
        if path.extension().is_some_and(|end| end == format.ending()) || path.is_file() {
            Self::File(path.to_owned())
        } else {
            Self::Folder(path.to_owned())
        }
    }
}

/// Takes home what has won since epoch `since`, until `stop` says so. `seen` is told now and then how far it
/// is, and in which epoch.
///
/// # Errors
/// When the epoch is still to come, the node does not answer, or the disk refuses. What had come by then is
/// there.
pub async fn sync(
    node: &NodeClient,
    since: Epoch,
    destination: &Destination,
    format: &Arc<dyn Format>,
    stop: impl Fn() -> bool + Send + Sync,
    mut seen: impl FnMut(Epoch, &Synced) + Send,
) -> Result<Synced, SyncError> {
    let current = node.status().await?.epoch;
    if since > current {
        return Err(SyncError::Future { since, current });
    }
    let mut synced = Synced::default();
    let epochs = (since.0..=current.0).map(Epoch);
    match destination {
        Destination::Folder(folder) => {
            fs::create_dir_all(folder).at("create", folder)?;
            for epoch in epochs {
                let path = folder.join(format!("epoch-{epoch}.{}", format.ending()));
                let mut kept = Kept::open(&path, format, &mut synced).await?;
                let done = kept.add_epoch(node, epoch, &stop, &mut synced).await;
                kept.close().await?;
                done?;
                seen(epoch, &synced);
                if synced.stopped {
                    break;
                }
            }
        }
        Destination::File(path) => {
            let mut kept = Kept::open(path, format, &mut synced).await?;
            for epoch in epochs {
                if let Err(error) = kept.add_epoch(node, epoch, &stop, &mut synced).await {
                    kept.close().await?;
                    return Err(error);
                }
                seen(epoch, &synced);
                if synced.stopped {
                    break;
                }
            }
            kept.close().await?;
        }
    }
    Ok(synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_whether_it_is_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(
            Destination::of(&path("a.jsonl"), &JsonLines),
            Destination::File(path("a.jsonl"))
        );
        assert_eq!(
            Destination::of(&path("a"), &JsonLines),
            Destination::Folder(path("a"))
        );
        fs::write(path("b"), "").unwrap();
        assert_eq!(
            Destination::of(&path("b"), &JsonLines),
            Destination::File(path("b"))
        );
    }
}
