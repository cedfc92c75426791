//! A file elsewhere, read as one here: from its start to its end, or at any place.
//!
//! Upon a failure in the middle that may pass: another request from the byte that is due, a few times in a
//! row. Every answer must be about the same bytes as the first (size and tag), or the reading ends.
//!
//! # Bounds
//!
//! From start to end: a few pieces of the transport. At any place: [`WINDOWS_MAX`] windows of at most
//! [`WINDOW_BYTES_MAX`], and what was asked for at once. A server that cannot send parts is copied to an
//! unnamed file first, where a part is needed.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Buf as _, Bytes};
use flate2::read::MultiGzDecoder;
use soma_data::Object;

use crate::{
    fault::Fault,
    fetch::{Answer, Facts, Fetch, Patience, pause, persistently},
    worker::{Inflow, Worker},
};

/// Parts of a file that are kept: one for each column that is read.
const WINDOWS_MAX: usize = 8;
/// The first part that is fetched somewhere.
const WINDOW_BYTES_MIN: u64 = 256 << 10;
/// One that follows on another is twice as long, up to this.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// How a file is reached.
#[derive(Clone, Debug)]
pub struct Reach {
    /// What has it.
    pub fetch: Arc<dyn Fetch>,
    /// What transfers it.
    pub worker: Arc<Worker>,
    /// How long that may take.
    pub patience: Patience,
}

/// A file elsewhere.
pub struct Transfer {
    reach: Reach,
    facts: Facts,
    /// What its cursor is checked against, where its listing tells more than its server.
    listed_tag: Option<String>,
    /// The first answer, until it is read.
    first: Mutex<Option<Answer>>,
    windows: Mutex<Windows>,
}

#[derive(Default)]
struct Windows {
    /// The last one used, last.
    kept: Vec<Window>,
    copy: Option<File>,
}

struct Window {
    from: u64,
    bytes: Bytes,
}

impl Window {
    const fn end(&self) -> u64 {
        self.from + self.bytes.len() as u64
    }
}

impl Transfer {
    /// Asks for the file.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn open(reach: Reach) -> Result<Self, Fault> {
        let Reach {
            fetch,
            worker,
            patience,
        } = reach.clone();
        let answer = worker.wait(persistently(fetch, 0, None, patience))?;
        Ok(Self {
            facts: answer.facts.clone(),
            first: Mutex::new(Some(answer)),
            ..Self::listed(reach, None, None)
        })
    }

    /// A file of which a listing told size and tag: nothing is asked before it is read.
    pub fn listed(reach: Reach, size_bytes: Option<u64>, tag: Option<String>) -> Self {
        Self {
            reach,
            facts: Facts {
                size_bytes,
                has_parts: true,
                ..Facts::default()
            },
            listed_tag: tag,
            first: Mutex::default(),
            windows: Mutex::default(),
        }
    }

    /// With the tag of the list held against the server's own: in a store they are the same.
    #[must_use]
    pub fn held_to_its_tag(mut self) -> Self {
        self.facts.tag.clone_from(&self.listed_tag);
        self
    }

    /// The bytes as they are sent, from `at` on; up to `until`, or all.
    fn flow(&self, at: u64, until: Option<u64>) -> Flow {
        let first = match (at, until) {
            (0, None) => self.first.lock().unwrap_or_else(PoisonError::into_inner).take(),
            _ => None,
        };
        Flow {
            inflow: first.map(|answer| self.reach.worker.pour(answer.pieces)),
            reach: self.reach.clone(),
            facts: self.facts.clone(),
            at,
            until,
            behind: 0,
            piece: Bytes::new(),
            tries: 0,
        }
    }

    /// Bytes from `from` on, all of them, up to `until`.
    fn part(&self, from: u64, until: u64) -> io::Result<Bytes> {
        let mut bytes = Vec::with_capacity((until - from) as usize);
        self.flow(from, Some(until)).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < until - from {
            return Err(Fault::Changed.into());
        }
        Ok(bytes.into())
    }

    /// Makes a copy of a file of which parts cannot be had.
    fn copy(&self) -> io::Result<File> {
        let no_room = |error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::PermissionDenied => {
                Fault::NoRoom {
                    size_bytes: self.facts.size_bytes,
                    folder: std::env::temp_dir().display().to_string(),
                    problem: error.to_string(),
                }
                .into()
            }
            _ => error,
        };
        let mut file = tempfile::tempfile().map_err(no_room)?;
        io::copy(&mut self.stream(0)?, &mut file).map_err(no_room)?;
        Ok(file)
    }
}

impl Object for Transfer {
    fn size_bytes(&self) -> Option<u64> {
        self.facts.size_bytes.filter(|_| !self.facts.is_packed)
    }

    fn tag(&self) -> Option<String> {
        self.listed_tag.clone().or_else(|| self.facts.tag.clone())
    }

    fn stream(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        if !self.facts.is_packed {
            return Ok(Box::new(self.flow(offset, None)));
        }
        let mut reader = MultiGzDecoder::new(self.flow(0, None));
        io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
        Ok(Box::new(reader))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let size_bytes = match self.size_bytes() {
            Some(size_bytes) if self.facts.has_parts => size_bytes,
            _ => {
                let file = match windows.copy.take() {
                    Some(file) => file,
                    None => self.copy()?,
                };
                return windows.copy.insert(file).read_exact_at(buffer, offset);
            }
        };
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let wanted = at.saturating_add(rest.len() as u64);
            let window = match windows.kept.iter().position(|w| w.from <= at && at < w.end()) {
                Some(index) => windows.kept.remove(index),
                None => {
                    if wanted > size_bytes {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    // A window that ends here is used up, and what follows it is likely to be read on.
                    let before = windows.kept.iter().position(|w| w.end() == at);
                    let length = before.map_or(WINDOW_BYTES_MIN, |index| {
                        let length = windows.kept.remove(index).bytes.len() as u64;
                        (2 * length).min(WINDOW_BYTES_MAX)
                    });
                    let until = at.saturating_add(length).max(wanted).min(size_bytes);
                    Window {
                        from: at,
                        bytes: self.part(at, until)?,
                    }
                }
            };
            let inside = &window.bytes[(at - window.from) as usize..];
            let count = inside.len().min(rest.len());
            rest[..count].copy_from_slice(&inside[..count]);
            rest = &mut rest[count..];
            at += count as u64;
            windows.kept.push(window);
            if windows.kept.len() > WINDOWS_MAX {
                windows.kept.remove(0);
            }
        }
        Ok(())
    }
}

/// A file's bytes as they are sent; taken up where they stopped.
struct Flow {
    reach: Reach,
    facts: Facts,
    /// The byte that is due.
    at: u64,
    /// Where it is to end, if before the file does.
    until: Option<u64>,
    /// Bytes that come and are not due: from who sends all of it each time.
    behind: u64,
    inflow: Option<Inflow>,
    piece: Bytes,
    /// Requests since a byte came.
    tries: u32,
}

impl Flow {
    /// The next piece that is not empty; an empty one at the end.
    fn next_piece(&mut self) -> Result<Bytes, Fault> {
        let end = self.until.or(self.facts.size_bytes);
        loop {
            if end.is_some_and(|end| self.at >= end) {
                return Ok(Bytes::new());
            }
            let mut inflow = match self.inflow.take() {
                Some(inflow) => inflow,
                None => self.request()?,
            };
            let fault = match inflow.next_piece() {
                Some(Ok(mut piece)) => {
                    let over = self.behind.min(piece.len() as u64);
                    piece.advance(over as usize);
                    self.behind -= over;
                    self.inflow = Some(inflow);
                    if piece.is_empty() {
                        continue;
                    }
                    self.tries = 0;
                    // No more than asked for, from who sends more.
                    let rest = end.map_or(u64::MAX, |end| end - self.at);
                    piece.truncate(usize::try_from(rest).unwrap_or(usize::MAX));
                    self.at += piece.len() as u64;
                    return Ok(piece);
                }
                None if end.is_none() && self.behind > 0 => return Err(Fault::Changed),
                None if end.is_none() => return Ok(Bytes::new()),
                None | Some(Err(Fault::Cut { .. })) => Fault::Cut {
                    found_bytes: self.at,
                    expected_bytes: self.facts.size_bytes,
                },
                Some(Err(fault)) => fault,
            };
            if !fault.is_passing() {
                return Err(fault);
            }
            let name = self.reach.fetch.name();
            let Some(wait) = pause(self.reach.patience, &name, &mut self.tries, &fault) else {
                return Err(fault);
            };
            std::thread::sleep(wait);
        }
    }

    /// Asks for what is due.
    fn request(&mut self) -> Result<Inflow, Fault> {
        let Reach {
            fetch,
            worker,
            patience,
        } = self.reach.clone();
        let answer = worker.wait(persistently(fetch, self.at, self.until, patience))?;
        if !self.facts.agree(&answer.facts) {
            return Err(Fault::Changed);
        }
        // What a listing did not tell is known from now on.
        self.facts.tag = self.facts.tag.take().or(answer.facts.tag);
        self.behind = self.at - answer.from.min(self.at);
        Ok(worker.pour(answer.pieces))
    }
}

impl Read for Flow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.next_piece()?;
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
