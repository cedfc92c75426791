//! Documents one after the other, as they are asked for, with the place to go on from.
//!
//! Upon each call of `next`: the document that follows, read no further than a few buffers ahead, whatever
//! its source holds. What calls slowly is waited for (back-pressure); what stops calling costs nothing more.
//! After an error nothing follows, and [`Documents::cursor`] still stands behind the last document that was
//! given: a new reading goes on there.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Cursor, DataError, Document, LeftOut, Origin, Place, Provenance, Record, Report, Rules, Store,
    cursor::what,
    decoder::{Decoder, Piece, Unopened, looks, too_large},
    error::{is_absent, shown, unreadable},
    find::files,
    plan::{Planned, plan},
    seen::Seen,
};

/// The documents of sources, one after the other.
pub struct Documents {
    rules: Rules,
    store: Option<Arc<dyn Store>>,
    /// What cursors are bound to.
    what: String,
    files: Vec<Planned>,
    /// The file that comes next.
    next: usize,
    /// Where it is taken up.
    start: Place,
    current: Option<Current>,
    /// Behind the last document that was given.
    stands: Option<Cursor>,
    report: Report,
    seen: Option<Seen>,
    is_done: bool,
}

/// A file that is being read.
struct Current {
    index: usize,
    path: Arc<Path>,
    size_bytes: Option<u64>,
    tag: Option<String>,
    has_given: bool,
    decoder: Decoder,
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents")
            .field("files", &self.files.len())
            .field("stands", &self.stands)
            .finish_non_exhaustive()
    }
}

impl Documents {
    /// The documents of `sources`, from the first one on. `store` adds addresses and Parquet.
    ///
    /// # Errors
    /// A source that cannot be found or listed, or is known to be bad before it is read.
    pub fn open<P: AsRef<Path>>(
        sources: &[P],
        rules: &Rules,
        store: Option<Arc<dyn Store>>,
    ) -> Result<Self, DataError> {
        let mut report = Report::default();
        let found = files(sources, &rules.outputs, store.as_deref(), &mut report)?;
        let files = plan(found, rules, store.is_some(), &mut report)?;
        let names: Vec<_> = sources
            .iter()
            .map(|source| source.as_ref().to_string_lossy().into_owned())
            .collect();
        Ok(Self {
            what: what(&names, &rules.want),
            seen: rules.unique.then(Seen::default),
            rules: rules.clone(),
            store,
            files,
            next: 0,
            start: Place::Start,
            current: None,
            stands: None,
            report,
            is_done: false,
        })
    }

    /// The documents of `sources` behind `cursor`, which a reading of the same sources gave. What is before
    /// it in their order is not read, nor known to [`Rules::unique`].
    ///
    /// # Errors
    /// As [`Documents::open`]; if the cursor is of other sources, or its file is gone. That the file has
    /// changed is said by the first call of `next`.
    pub fn open_at<P: AsRef<Path>>(
        sources: &[P],
        rules: &Rules,
        store: Option<Arc<dyn Store>>,
        cursor: &Cursor,
    ) -> Result<Self, DataError> {
        let mut documents = Self::open(sources, rules, store)?;
        if !cursor.fits(&documents.what) {
            return Err(DataError::OtherCursor);
        }
        let mut files = documents.files.iter();
        let index = files.position(|file| file.found.path.to_string_lossy() == cursor.file);
        let index = index.ok_or_else(|| DataError::CursorGone(shown(Path::new(&cursor.file))))?;
        if cursor.place == Place::End {
            documents.next = index + 1;
        } else {
            documents.next = index;
            documents.start = cursor.place;
        }
        documents.stands = Some(cursor.clone());
        Ok(documents)
    }

    /// Where the reading stands: behind the last document that was given. None before the first, and in
    /// standard input, which cannot be read again.
    #[must_use]
    pub const fn cursor(&self) -> Option<&Cursor> {
        self.stands.as_ref()
    }

    /// What was read and left out so far.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The files and addresses that are read, in their order.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().map(|file| &file.found.path)
    }

    fn advance(&mut self) -> Result<Option<Document>, DataError> {
        loop {
            let has_enough = |most| self.report.size_bytes >= most;
            if self.rules.take_bytes.is_some_and(has_enough) {
                return Ok(None);
            }
            let Some(mut current) = self.current.take() else {
                if self.next == self.files.len() {
                    return Ok(None);
                }
                self.current = self.open_next()?;
                continue;
            };
            let file = &self.files[current.index];
            let Some(piece) = current.decoder.next_piece(file, &self.rules)? else {
                self.close(&current)?;
                continue;
            };
            let document = self.judge(&mut current, piece)?;
            self.current = Some(current);
            if document.is_some() {
                return Ok(document);
            }
        }
    }

    /// Opens the next file; none if there is nothing to read in it.
    fn open_next(&mut self) -> Result<Option<Current>, DataError> {
        let (index, place) = (self.next, std::mem::take(&mut self.start));
        let (file, rest_bytes) = (&self.files[index], self.rest_bytes());
        self.next += 1;
        let found = &file.found;
        let object = match found.open() {
            Ok(object) => object,
            Err(error) if !found.named && is_absent(&error) => {
                self.report.leave_out(LeftOut::Gone, &found.path);
                return Ok(None);
            }
            Err(error) => return Err(unreadable(&found.path, error)),
        };
        let (size_bytes, tag) = (object.size_bytes(), object.tag());
        if place != Place::Start
            && let Some(cursor) = &self.stands
            && !cursor.is_same(size_bytes, tag.as_deref())
        {
            return Err(DataError::Changed(found.path.clone()));
        }
        let store = self.store.as_deref();
        match Decoder::open(file, object, place, &self.rules, rest_bytes, store) {
            Ok(decoder) => Ok(Some(Current {
                index,
                path: found.path.as_path().into(),
                size_bytes,
                tag,
                has_given: false,
                decoder,
            })),
            Err(Unopened::LeftOut(reason)) => {
                self.report.leave_out(reason, &found.path);
                Ok(None)
            }
            Err(Unopened::Failed(error)) => Err(error),
        }
    }

    /// The document that a record is, unless it is left out; either way the reading stands behind it.
    fn judge(&mut self, current: &mut Current, piece: Piece) -> Result<Option<Document>, DataError> {
        let file = &self.files[current.index];
        let (found, rest_bytes) = (&file.found, self.rest_bytes());
        let number = piece
            .number
            .map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let offset = piece
            .offset
            .map(|offset| usize::try_from(offset).unwrap_or(usize::MAX));
        let origin = Origin {
            line: number,
            offset,
            ..Origin::file(Arc::clone(&current.path))
        };
        let kept = match piece.record {
            Record::NoText => Err(LeftOut::NoTextInLine),
            Record::Filtered => Err(LeftOut::Filtered),
            Record::Unfit => Err(LeftOut::Unfit),
            Record::TooLong => Err(LeftOut::TooLong),
            Record::Text(data, _) if data.is_empty() => Err(LeftOut::NoTextInLine),
            Record::Text(data, _) if data.len() as u64 > self.rules.document_bytes_max => {
                if found.remote.is_none() {
                    return Err(DataError::TooLong {
                        document: shown(Path::new(&origin.to_string())),
                        found_bytes: Some(data.len() as u64),
                        limit_bytes: self.rules.document_bytes_max,
                    });
                }
                Err(LeftOut::TooLong)
            }
            Record::Text(data, _) if number.is_some() && data.len() as u64 > self.rules.record_bytes_max => {
                Err(LeftOut::TooLong)
            }
            Record::Text(data, _) if data.len() as u64 > rest_bytes => {
                return Err(too_large(file, &self.rules, rest_bytes));
            }
            Record::Text(data, provenance) => {
                let note = if number.is_none() {
                    looks(found, &data)
                } else {
                    Ok(None)
                };
                note.and_then(|note| {
                    if let Some(note) = note
                        && !current.has_given
                    {
                        self.report.note(note, &found.path);
                    }
                    let is_new = self.seen.as_mut().is_none_or(|seen| seen.is_new(&data));
                    is_new.then_some((data, provenance)).ok_or(LeftOut::Duplicate)
                })
            }
        };
        let document = match kept {
            Ok((data, provenance)) => {
                let whole = found.remote.as_ref().map(|remote| &remote.provenance);
                let provenance = joined(provenance, whole);
                let is_first = !std::mem::replace(&mut current.has_given, true);
                self.report.files += u64::from(is_first);
                // Parts are one document.
                self.report.documents += u64::from(is_first || offset.is_none());
                self.report.size_bytes += data.len() as u64;
                let origin = Origin { provenance, ..origin };
                Some(Document { origin, data })
            }
            Err(reason) => {
                match number {
                    Some(number) => self.report.leave_out_record(reason, &found.path, number),
                    None => self.report.leave_out(reason, &found.path),
                }
                None
            }
        };
        self.stand(current, piece.next);
        Ok(document)
    }

    /// Ends a file.
    fn close(&mut self, current: &Current) -> Result<(), DataError> {
        if current.decoder.is_empty() {
            let found = &self.files[current.index].found;
            if found.named {
                return Err(DataError::Empty(found.path.clone()));
            }
            self.report.leave_out(LeftOut::Empty, &found.path);
        }
        self.stand(current, Place::End);
        Ok(())
    }

    fn stand(&mut self, current: &Current, place: Place) {
        let found = &self.files[current.index].found;
        self.stands = (!found.is_standard_input()).then(|| {
            Cursor::new(
                &self.what,
                found.path.to_string_lossy().into_owned(),
                current.size_bytes,
                current.tag.clone(),
                place,
            )
        });
    }

    /// What may still be read.
    const fn rest_bytes(&self) -> u64 {
        self.rules.bytes_max.saturating_sub(self.report.size_bytes)
    }
}

impl Iterator for Documents {
    type Item = Result<Document, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.advance().transpose();
        self.is_done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// A record's provenance within its data set's.
fn joined(own: Provenance, whole: Option<&Arc<Provenance>>) -> Option<Arc<Provenance>> {
    match whole {
        Some(whole) if own.is_empty() => Some(Arc::clone(whole)),
        Some(whole) => Some(own.within(whole).into()),
        None if own.is_empty() => None,
        None => Some(own.into()),
    }
}
