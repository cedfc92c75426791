//! How far a run has come, on disk: one that was stopped goes on there.
//!
//! What was committed is in the client's journal; this is about documents that were tried. A folder for each
//! account and text, below the folder of wallets, is locked for as long as a run has it, and its file is
//! replaced whole.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use soma_agents::{
    Service,
    service::{Document, Hits},
};
use soma_client::Account;
use soma_files::{Lock, LockError, create_private_directory, read_bounded, remove, replace_private};
use soma_types::{ContentHash, Height, hash::domain_hash};

use super::place::{Mark, Place};
use crate::{
    args::SubmitArgs,
    error::{CliError, CliResult},
};

/// Between two writings.
const EVERY: Duration = Duration::from_secs(1);
/// Longest file that is read: a cursor names a file.
const FILE_BYTES_MAX: u64 = 1 << 17;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    place: Place,
    /// The block at which the run began.
    begun: Height,
    /// What it has won, and what it raced for.
    #[serde(default)]
    hits: Hits,
}

/// A run that has its folder.
#[derive(Debug)]
pub(super) struct Run {
    file: PathBuf,
    kept: Kept,
    /// Documents that came, by number, from the place on.
    recent: Vec<(u64, ContentHash)>,
    /// Where texts begin, from the one on that the place is in.
    marks: VecDeque<Mark>,
    /// Those of texts that came since.
    marked: Option<mpsc::Receiver<Mark>>,
    written: Option<Instant>,
    _lock: Lock,
}

impl Run {
    /// Goes on with the run of this account over these sources, or begins it.
    pub(super) async fn take_up(home: &Path, account: &Account, args: &SubmitArgs) -> CliResult<Self> {
        let here = std::env::current_dir()?;
        let status = account.node().status().await?;
        let mut parts = vec![status.chain.as_bytes().to_vec(), account.address().0.to_vec()];
        parts.extend(
            args.data
                .iter()
                .map(|source| here.join(source).into_os_string().into_encoded_bytes()),
        );
        parts.push(format!("{:?}", args.selection).into_bytes());
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let name = ContentHash(domain_hash("soma submit run", &parts)).to_string();
        let folder = home.join("submit").join(&name[2..18]);
        create_private_directory(&folder)?;
        let lock = Lock::acquire(&folder).map_err(|error| match error {
            LockError::Held(_) => CliError::new("another `soma submit` is at the same text")
                .hint("wait for it, or give this one other text"),
            LockError::File(error) => error.into(),
        })?;
        let file = folder.join("run.json");
        let found = read_bounded(&file, FILE_BYTES_MAX).ok().flatten();
        // A damaged file costs another look at documents.
        let kept = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Self {
            file,
            kept: kept.unwrap_or(Kept {
                place: Place::default(),
                begun: status.height,
                hits: Hits::default(),
            }),
            recent: Vec::new(),
            marks: VecDeque::new(),
            marked: None,
            written: None,
            _lock: lock,
        })
    }

    /// The block at which it began.
    pub(super) const fn begun(&self) -> Height {
        self.kept.begun
    }

    /// Its hits so far.
    pub(super) const fn hits(&self) -> &Hits {
        &self.kept.hits
    }

    /// Where it goes on.
    pub(super) fn taken_up(&self) -> Place {
        self.kept.place.clone()
    }

    /// Begins at a place, with documents whose texts are marked by what is returned.
    pub(super) fn begin_at(&mut self, place: &Place) -> mpsc::Sender<Mark> {
        let (sender, marked) = mpsc::channel();
        self.kept.place.clone_from(place);
        self.recent.clear();
        self.marks.clear();
        self.marked = Some(marked);
        sender
    }

    /// Notes how far it is, and writes it unless that was done a moment ago.
    pub(super) fn note_soon(&mut self, service: &Service, document: &Document) {
        self.recent
            .push((document.number, ContentHash::of(&document.data)));
        self.set(service);
        if self.written.is_none_or(|written| written.elapsed() >= EVERY) {
            self.written = Some(Instant::now());
            // A disk that is full costs another look at documents, if the run is stopped.
            let _ = self.write();
        }
    }

    /// Notes how far it is, and writes it.
    pub(super) fn note(&mut self, service: &Service) -> CliResult {
        self.set(service);
        self.write()
    }

    fn set(&mut self, service: &Service) {
        let position = service.tally().position;
        self.kept.hits.clone_from(service.hits());
        if position > self.kept.place.position {
            let last = self.recent.iter().find(|(number, _)| number + 1 == position);
            self.marks
                .extend(self.marked.iter().flat_map(mpsc::Receiver::try_iter));
            while self.marks.get(1).is_some_and(|next| next.number < position) {
                self.marks.pop_front();
            }
            if let (Some((_, last)), Some(text)) = (last, self.marks.front()) {
                self.kept.place = Place {
                    position,
                    documents: position - text.number,
                    last: Some(*last),
                    cursor: text.cursor.clone(),
                };
            }
        }
        let position = self.kept.place.position;
        self.recent.retain(|(number, _)| number + 1 > position);
    }

    fn write(&self) -> CliResult {
        let bytes = serde_json::to_vec(&self.kept)?;
        Ok(replace_private(&self.file, &bytes)?)
    }

    /// The text is used up: the next reading begins with its first document.
    pub(super) fn begin_again(&mut self) -> CliResult {
        self.kept.place = Place::default();
        self.write()
    }

    /// The text is used up: the same command begins anew.
    pub(super) fn end(&self) -> CliResult {
        remove(&self.file)?;
        Ok(())
    }
}
