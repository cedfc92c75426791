//! A file of documents that grows: what is good of it stays, and what comes is added, once all has come.

use std::{
    collections::{HashSet, VecDeque},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use soma_client::{NodeClient, TargetFilter, WonDocument};
use soma_files::{At as _, FileError, Output};
use soma_types::{Epoch, SubmissionId, objects::TargetStatus, phase::TargetPhase};
use tokio::sync::mpsc;

use super::{
    error::SyncError,
    fetched::{document, missing},
    format::{Format, records},
    synced::Synced,
};

/// Documents on their way at once.
const AT_ONCE: usize = 8;

/// A file, and what of it is known.
pub(super) struct Kept {
    path: PathBuf,
    format: Arc<dyn Format>,
    known: HashSet<SubmissionId>,
    /// Whether some of it is to be left out.
    damaged: bool,
    writer: Option<Writer>,
}

struct Writer {
    documents: mpsc::Sender<WonDocument>,
    done: tokio::task::JoinHandle<Result<(), FileError>>,
}

impl Kept {
    pub(super) async fn open(
        path: &Path,
        format: &Arc<dyn Format>,
        synced: &mut Synced,
    ) -> Result<Self, SyncError> {
        let (path, format) = (path.to_owned(), Arc::clone(format));
        let read = {
            let (path, format) = (path.clone(), Arc::clone(&format));
            tokio::task::spawn_blocking(move || known(&*format, &path).at("read", &path))
        };
        let (known, damaged) = read.await??;
        // What is damaged is replaced, but nothing that was never ours.
        if known.is_empty() && damaged > 0 {
            return Err(SyncError::Foreign { path });
        }
        synced.kept += known.len() as u64;
        synced.damaged += damaged;
        Ok(Self {
            path,
            format,
            known,
            damaged: damaged > 0,
            writer: None,
        })
    }

    /// Adds what won in `epoch` and is not there.
    pub(super) async fn add_epoch(
        &mut self,
        node: &NodeClient,
        epoch: Epoch,
        stop: &(impl Fn() -> bool + Sync),
        synced: &mut Synced,
    ) -> Result<(), SyncError> {
        let filter = TargetFilter {
            phase: Some(TargetPhase::Filled),
            epoch: Some(epoch),
        };
        let mut wins = node.targets(&filter).await?;
        wins.retain(|view| match view.target.status {
            TargetStatus::Filled { submission, .. } => !self.known.contains(&submission),
            _ => false,
        });
        // Latest first.
        let mut wins = wins.into_iter().rev();
        let mut under_way = VecDeque::new();
        loop {
            while under_way.len() < AT_ONCE && !stop() {
                let Some(view) = wins.next() else { break };
                let node = node.clone();
                under_way.push_back(tokio::spawn(async move {
                    let won = document(&node, &view).await;
                    (view, won)
                }));
            }
            let Some(next) = under_way.pop_front() else {
                break;
            };
            let (view, won) = next.await?;
            match won {
                Ok(Some(document)) => {
                    synced.fetched += 1;
                    synced.fetched_bytes += document.facts.size_bytes;
                    self.known.insert(document.facts.submission);
                    self.write(document).await?;
                }
                Ok(None) => {}
                Err(error) => synced.missing.push(missing(&view, error)?),
            }
        }
        synced.stopped = wins.next().is_some() || stop();
        Ok(())
    }

    async fn write(&mut self, document: WonDocument) -> Result<(), SyncError> {
        if self.writer.is_none() {
            self.writer = Some(Writer::begin(&self.path, &self.format)?);
        }
        let sent = match &self.writer {
            Some(writer) => writer.documents.send(document).await.is_ok(),
            None => false,
        };
        // It ends before it is told to only where the disk refused.
        if sent { Ok(()) } else { self.close_writer().await }
    }

    async fn close_writer(&mut self) -> Result<(), SyncError> {
        if let Some(Writer { documents, done }) = self.writer.take() {
            drop(documents);
            done.await??;
        }
        Ok(())
    }

    /// Puts the file in place, if anything about it is new.
    pub(super) async fn close(&mut self) -> Result<(), SyncError> {
        if self.damaged && self.writer.is_none() {
            self.writer = Some(Writer::begin(&self.path, &self.format)?);
        }
        self.close_writer().await
    }
}

impl Writer {
    /// Writes what is good of what is there, then those that are sent.
    fn begin(path: &Path, format: &Arc<dyn Format>) -> Result<Self, SyncError> {
        let output = Output::check(path)?;
        let (documents, mut more) = mpsc::channel(AT_ONCE);
        let (old, format) = (path.to_owned(), Arc::clone(format));
        let done = tokio::task::spawn_blocking(move || {
            output.write_with(|file| {
                let mut file = io::BufWriter::new(file);
                let kept = records(&*format, &old)?.filter_map(Result::transpose);
                let new = std::iter::from_fn(|| more.blocking_recv().map(Ok));
                format.write(&mut file, &mut kept.chain(new))?;
                file.flush()
            })
        });
        Ok(Self { documents, done })
    }
}

/// The submissions whose documents a file holds, and how much of it is damaged.
fn known(format: &dyn Format, path: &Path) -> io::Result<(HashSet<SubmissionId>, u64)> {
    let (mut known, mut damaged) = (HashSet::new(), 0);
    for record in records(format, path)? {
        match record? {
            Some(document) => {
                known.insert(document.facts.submission);
            }
            None => damaged += 1,
        }
    }
    Ok((known, damaged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::won_data::JsonLines;

    #[tokio::test]
    async fn a_file_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("thesis.jsonl");
        std::fs::write(&path, "one line\nanother\n").unwrap();
        let format: Arc<dyn Format> = Arc::new(JsonLines);
        let opened = Kept::open(&path, &format, &mut Synced::default()).await;
        assert!(matches!(opened.err(), Some(SyncError::Foreign { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one line\nanother\n");
    }
}
