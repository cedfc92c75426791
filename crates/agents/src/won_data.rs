//! All public data that won since an epoch, kept in files of lines: one for each epoch, or one for all.
//!
//! Upon a run: the lines that are there are read and checked, and what has won and is not among them is
//! downloaded, checked against the ledger's hash, and added. So a run that was stopped is gone on with by the
//! next, and a line that is cut or changed is replaced.
//!
//! Persistence: a file is replaced as a whole ([`soma_files::Output`]), with what had come by then also where
//! the run is stopped or fails. A kill loses what came since the last file.
//! Bounds: [`AT_ONCE`] documents in memory, besides the names of a file's lines.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;
use soma_client::{ClientError, NodeClient, TargetFilter, WonDocument, WonError};
use soma_files::{At as _, FileError, Output};
use soma_types::{Epoch, SubmissionId, TargetId, api::TargetView, objects::TargetStatus, phase::TargetPhase};
use tokio::sync::mpsc;

/// Documents on their way at once.
const AT_ONCE: usize = 8;
/// Longest line that is read: the longest document that parameters allow, escaped, is far shorter.
const LINE_BYTES_MAX: u64 = 1 << 30;

/// Why documents could not be taken home.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The node.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// The epoch is still to come.
    #[error("epoch {since} has not begun: the network is in epoch {current}")]
    Future {
        /// Asked for.
        since: Epoch,
        /// The one in progress.
        current: Epoch,
    },
    /// Reading or writing stopped unexpectedly.
    #[error("a task stopped unexpectedly: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// Where the documents go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file `epoch-N.jsonl` for each epoch with a win, in this folder.
    Folder(PathBuf),
    /// All in this file.
    File(PathBuf),
}

impl Destination {
    /// A file where the path ends in `.jsonl`, or is one; else a folder.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|end| end == "jsonl") || path.is_file() {
            Self::File(path.to_owned())
        } else {
            Self::Folder(path.to_owned())
        }
    }
}

/// A document that has won and could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its target.
    pub target: TargetId,
    /// The epoch.
    pub epoch: Epoch,
    /// Why it could not.
    pub reason: String,
    /// Whether the node gave other bytes than the ledger names.
    pub wrong: bool,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Synced {
    /// Documents that were there, and are as they should be.
    pub kept: u64,
    /// Documents that came.
    pub fetched: u64,
    /// Their length in bytes.
    pub fetched_bytes: u64,
    /// Lines that were there and were none, or not what they said: replaced.
    pub damaged: u64,
    /// Documents that could not be had.
    pub missing: Vec<Missing>,
    /// Whether it was stopped before it was through.
    pub stopped: bool,
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
                let path = folder.join(format!("epoch-{epoch}.jsonl"));
                let mut lines = Lines::open(&path, &mut synced).await?;
                let done = lines.add_epoch(node, epoch, &stop, &mut synced).await;
                lines.close().await?;
                done?;
                seen(epoch, &synced);
                if synced.stopped {
                    break;
                }
            }
        }
        Destination::File(path) => {
            let mut lines = Lines::open(path, &mut synced).await?;
            for epoch in epochs {
                if let Err(error) = lines.add_epoch(node, epoch, &stop, &mut synced).await {
                    lines.close().await?;
                    return Err(error);
                }
                seen(epoch, &synced);
                if synced.stopped {
                    break;
                }
            }
            lines.close().await?;
        }
    }
    Ok(synced)
}

/// A file of lines that grows.
struct Lines {
    path: PathBuf,
    known: HashSet<SubmissionId>,
    /// Whether some of it is to be left out.
    damaged: bool,
    writer: Option<Writer>,
}

struct Writer {
    lines: mpsc::Sender<String>,
    done: tokio::task::JoinHandle<Result<(), FileError>>,
}

impl Lines {
    async fn open(path: &Path, synced: &mut Synced) -> Result<Self, SyncError> {
        let path = path.to_owned();
        let read = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || {
                let mut known = HashSet::new();
                let damaged = good_lines(&path, |document, _| {
                    known.insert(document.facts.submission);
                    Ok(())
                });
                damaged.at("read", &path).map(|damaged| (known, damaged))
            })
        };
        let (known, damaged) = read.await??;
        synced.kept += known.len() as u64;
        synced.damaged += damaged;
        Ok(Self {
            path,
            known,
            damaged: damaged > 0,
            writer: None,
        })
    }

    /// Adds what won in `epoch` and is not there.
    async fn add_epoch(
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
                    self.write(document.to_line()).await?;
                }
                Ok(None) => {}
                Err(error) => synced.missing.push(missing(&view, error)?),
            }
        }
        synced.stopped = wins.next().is_some() || stop();
        Ok(())
    }

    async fn write(&mut self, line: String) -> Result<(), SyncError> {
        if self.writer.is_none() {
            self.writer = Some(Writer::begin(&self.path)?);
        }
        let sent = match &self.writer {
            Some(writer) => writer.lines.send(line).await.is_ok(),
            None => false,
        };
        // It ends before it is told to only where the disk refused.
        if sent { Ok(()) } else { self.close_writer().await }
    }

    async fn close_writer(&mut self) -> Result<(), SyncError> {
        if let Some(Writer { lines, done }) = self.writer.take() {
            drop(lines);
            done.await??;
        }
        Ok(())
    }

    /// Puts the file in place, if anything about it is new.
    async fn close(&mut self) -> Result<(), SyncError> {
        if self.damaged && self.writer.is_none() {
            self.writer = Some(Writer::begin(&self.path)?);
        }
        self.close_writer().await
    }
}

impl Writer {
    /// Writes the good lines of what is there, then those that are sent.
    fn begin(path: &Path) -> Result<Self, SyncError> {
        let output = Output::check(path)?;
        let (lines, mut more) = mpsc::channel::<String>(AT_ONCE);
        let old = path.to_owned();
        let done = tokio::task::spawn_blocking(move || {
            output.write_with(|file| {
                let mut file = io::BufWriter::new(file);
                good_lines(&old, |_, line| writeln!(file, "{line}"))?;
                while let Some(line) = more.blocking_recv() {
                    writeln!(file, "{line}")?;
                }
                file.flush()
            })
        });
        Ok(Self { lines, done })
    }
}

/// Gives `take` each good line of a file, the first of each submission, without its end; how many were not
/// good. No file has no lines.
fn good_lines(path: &Path, mut take: impl FnMut(&WonDocument, &str) -> io::Result<()>) -> io::Result<u64> {
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let (mut bad, mut seen, mut line) = (0, HashSet::new(), Vec::new());
    loop {
        line.clear();
        if reader
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(bad);
        }
        let text = std::str::from_utf8(&line).map_err(|error| WonError::Shape(error.to_string()));
        let text = text.map(|text| text.trim_end_matches(['\n', '\r']));
        match text.and_then(|text| WonDocument::of_line(text).map(|document| (document, text))) {
            Ok((document, text)) if seen.insert(document.facts.submission) => take(&document, text)?,
            _ => bad += 1,
        }
    }
}

/// What won a target, with its data; none where nothing stands.
async fn document(node: &NodeClient, target: &TargetView) -> Result<Option<WonDocument>, ClientError> {
    let Some(facts) = node.won(target).await? else {
        return Ok(None);
    };
    let data = node.fetch_won(&facts).await?;
    Ok(Some(WonDocument { facts, data }))
}

/// What it means that a document did not come.
///
/// # Errors
/// Where it says nothing of the document.
fn missing(view: &TargetView, error: ClientError) -> Result<Missing, ClientError> {
    let wrong = matches!(
        error,
        ClientError::WrongHash { .. } | ClientError::WrongSize { .. }
    );
    if !error.is_of_content() {
        return Err(error);
    }
    Ok(Missing {
        target: view.target.id,
        epoch: view.target.epoch,
        reason: error.to_string(),
        wrong,
    })
}

#[cfg(test)]
mod tests {
    use soma_types::{ContentHash, Embedding, Height, Seed, api::Problem, objects::Target};

    use super::*;

    fn view() -> TargetView {
        TargetView {
            target: Target {
                id: TargetId([1; 32]),
                epoch: Epoch(5),
                index: 0,
                slot: 0,
                seed: Seed([1; 32]),
                threshold_q30: 0,
                models: Vec::new(),
                opened: Height(1),
                status: TargetStatus::Open,
                candidates: Vec::new(),
            },
            embedding: Embedding::draw(&Seed([1; 32]), 64),
            commit_threshold_q30: 0,
            current: false,
        }
    }

    /// What is gone, or taken down, or a lie is told and passed over; a node that does not answer ends the
    /// run.
    #[test]
    fn only_what_says_something_of_a_document_is_passed_over() {
        let problem = |status| {
            ClientError::Problem(Box::new(Problem {
                kind: "about:blank".into(),
                title: "no".into(),
                status,
                detail: "says the node".into(),
                code: None,
                name: None,
            }))
        };
        for status in [404, 451, 502] {
            let passed = missing(&view(), problem(status)).unwrap();
            assert_eq!((passed.epoch, passed.wrong), (Epoch(5), false));
            assert_eq!(passed.reason, "says the node");
        }
        let lie = ClientError::WrongHash {
            expected: ContentHash([1; 32]),
            found: ContentHash([2; 32]),
        };
        let passed = missing(&view(), lie).unwrap();
        assert!(passed.wrong && passed.reason.contains("hash to"), "{passed:?}");
        assert!(missing(&view(), problem(503)).is_err());
        let gone = ClientError::Unreachable {
            node: "n".into(),
            reason: "r".into(),
        };
        assert!(missing(&view(), gone).is_err());
    }

    #[test]
    fn a_path_says_whether_it_is_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(
            Destination::of(&path("a.jsonl")),
            Destination::File(path("a.jsonl"))
        );
        assert_eq!(Destination::of(&path("a")), Destination::Folder(path("a")));
        fs::write(path("b"), "").unwrap();
        assert_eq!(Destination::of(&path("b")), Destination::File(path("b")));
    }
}
