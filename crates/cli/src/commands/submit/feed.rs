//! Text cut into documents, one after the other, no faster than they are taken: what is read is in memory
//! one text, or one part of a long one, at a time, so that all together may be longer than memory.

use std::{io, path::PathBuf, sync::mpsc, thread, time::Duration};

use soma_agents::service::Document;
use soma_data::{DataError, Document as Text, Documents, Plain, Report, Rules, no_text};
use soma_sources::documents;
use soma_types::ContentHash;
use tokio::sync::{mpsc::Sender, oneshot};

use super::place::{Mark, Place};
use crate::args::{Selection, SubmitArgs};

/// Most of standard input, which is in memory whole.
const STANDARD_INPUT_BYTES_MAX: u64 = 256 << 20;
/// How long a reading that nobody waits for any more may take to say what it has read.
const FAREWELL: Duration = Duration::from_secs(1);

/// What everyone is told of where a document comes from, once it is revealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// What its source says.
    Provenance,
    Nothing,
}

impl Telling {
    /// As was typed.
    pub(super) const fn of(args: &SubmitArgs) -> Self {
        if args.no_provenance {
            Self::Nothing
        } else {
            Self::Provenance
        }
    }
}

/// All documents of sources from a place on.
pub(super) struct Feed {
    reading: Documents,
    /// The text that comes first: it was read to see whether it is still the same.
    first: Option<Text>,
    place: Place,
}

/// What a reading came to.
pub(super) struct Fed {
    /// What was read and left out.
    pub(super) report: Report,
    /// Whether there was no more (true), or nobody took it; or why there was none.
    pub(super) is_used_up: Result<bool, DataError>,
}

/// A reading under way.
pub(super) struct Feeding(oneshot::Receiver<Fed>);

impl Feed {
    /// From the beginning. Reads up to the first text.
    ///
    /// # Errors
    /// Every way in which sources can be bad; if there is no text in them.
    pub(super) fn open(sources: &[PathBuf], selection: &Selection) -> Result<Self, DataError> {
        Self::at(sources, selection, Place::default())
    }

    /// From where an earlier run was stopped, if the text is still the same there; else from its beginning.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn going_on(
        self,
        sources: &[PathBuf],
        selection: &Selection,
        from: Place,
    ) -> Result<Self, DataError> {
        if from.cursor.is_none() {
            // It is within the first text, which is here: standard input is not read twice.
            return Ok(self.behind(from));
        }
        match Self::at(sources, selection, from) {
            Err(DataError::OtherCursor | DataError::CursorGone(_) | DataError::Changed(_)) => Ok(self),
            opened => opened,
        }
    }

    fn at(sources: &[PathBuf], selection: &Selection, place: Place) -> Result<Self, DataError> {
        let rules = Rules {
            bytes_max: u64::MAX,
            // Files come in parts.
            document_bytes_max: STANDARD_INPUT_BYTES_MAX,
            plain: Plain::Parts,
            unique: true,
            ..selection.rules()
        };
        let mut reading = documents(sources, &rules, place.cursor.as_ref())?;
        let first = reading.next().transpose()?;
        if first.is_none() && place.cursor.is_none() {
            return Err(no_text(sources, reading.report()));
        }
        let feed = Self {
            reading,
            first,
            place: Place::default(),
        };
        Ok(feed.behind(place))
    }

    /// Behind the documents that are done, if the first text still has the last of them; else at its first.
    fn behind(self, mut place: Place) -> Self {
        let is_same = |text: &Text| {
            let before = place.documents.checked_sub(1);
            let before = before.and_then(|at| usize::try_from(at).ok());
            let found = |at| text.pieces().nth(at).map(|(_, piece)| ContentHash::of(piece));
            before.is_none_or(|at| found(at) == place.last)
        };
        if !self.first.as_ref().is_none_or(is_same) {
            place = Place {
                position: place.position - place.documents,
                documents: 0,
                last: None,
                ..place
            };
        }
        Self { place, ..self }
    }

    /// Where it begins.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Sends documents, and before the first of each text its mark, from a thread of its own: one that waits
    /// for its source holds nobody up.
    ///
    /// # Errors
    /// If the operating system has no thread.
    pub(super) fn start(
        self,
        documents: Sender<Document>,
        marks: mpsc::Sender<Mark>,
        telling: Telling,
    ) -> io::Result<Feeding> {
        let (sender, fed) = oneshot::channel();
        thread::Builder::new().name("documents".into()).spawn(move || {
            // Whoever asked may be gone.
            let _ = sender.send(self.run(&documents, &marks, telling));
        })?;
        Ok(Feeding(fed))
    }

    fn run(mut self, documents: &Sender<Document>, marks: &mpsc::Sender<Mark>, telling: Telling) -> Fed {
        let Place {
            position,
            documents: mut done,
            mut cursor,
            ..
        } = self.place;
        let mut number = position - done;
        let mut next = self.first.take().map(Ok).or_else(|| self.reading.next());
        let is_used_up = loop {
            let text = match next {
                None => break Ok(true),
                Some(Err(error)) => break Err(error),
                Some(Ok(text)) => text,
            };
            let mark = Mark { number, cursor };
            if marks.send(mark).is_err() || !send(&text, telling, &mut number, &mut done, documents) {
                break Ok(false);
            }
            cursor = self.reading.cursor().cloned();
            next = self.reading.next();
        };
        Fed {
            report: self.reading.report().clone(),
            is_used_up,
        }
    }
}

/// Sends the documents of a text, but for so many that are done; false if nobody takes them.
fn send(
    text: &Text,
    telling: Telling,
    number: &mut u64,
    done: &mut u64,
    documents: &Sender<Document>,
) -> bool {
    let provenance = text.origin.provenance.as_deref();
    let provenance = provenance.filter(|_| telling == Telling::Provenance);
    for (origin, piece) in text.pieces() {
        if *done > 0 {
            *done -= 1;
        } else {
            let document = Document {
                number: *number,
                name: origin.to_string(),
                data: piece.to_vec(),
                provenance: provenance.cloned().unwrap_or_default(),
            };
            if documents.blocking_send(document).is_err() {
                return false;
            }
        }
        *number += 1;
    }
    true
}

impl Feeding {
    /// What it came to; none if its source keeps it and `is_over`, so that nobody waits for it.
    pub(super) async fn end(self, is_over: bool) -> Option<Fed> {
        let limit = if is_over { FAREWELL } else { Duration::MAX };
        tokio::time::timeout(limit, self.0).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Reads on from `from`: the documents that came, with their numbers, and the place behind each.
    fn read(source: &PathBuf, from: Place) -> Vec<(u64, Vec<u8>, Place)> {
        let (sources, selection) = (std::slice::from_ref(source), Selection::default());
        let feed = Feed::open(sources, &selection).unwrap();
        let feed = feed.going_on(sources, &selection, from).unwrap();
        let (sender, mut documents) = tokio::sync::mpsc::channel(10_000);
        let (marked, marks) = mpsc::channel();
        let fed = feed.run(&sender, &marked, Telling::Provenance);
        assert!(fed.is_used_up.unwrap());
        drop((sender, marked));
        let marks: Vec<Mark> = marks.iter().collect();
        let mut all = Vec::new();
        while let Some(document) = documents.blocking_recv() {
            let mark = marks.iter().rfind(|mark| mark.number <= document.number).unwrap();
            let place = Place {
                position: document.number + 1,
                documents: document.number + 1 - mark.number,
                last: Some(ContentHash::of(&document.data)),
                cursor: mark.cursor.clone(),
            };
            all.push((document.number, document.data, place));
        }
        all
    }

    #[test]
    fn it_goes_on_behind_any_document() {
        let folder = tempfile::tempdir().unwrap();
        let long: String = (0..900).map(|line| format!("{line} words\\n")).collect();
        let lines = format!("{{\"text\":\"one\"}}\n{{\"text\":\"{long}\"}}\n{{\"text\":\"three\"}}\n");
        let files = [
            ("a.jsonl", lines.as_bytes()),
            ("b.txt", long.replace("words\\n", "other words\n").as_bytes()),
        ]
        .map(|(name, bytes)| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        });
        for source in [&files[0], &files[1], &folder.path().to_owned()] {
            let all = read(source, Place::default());
            assert!(all.len() > 4, "{}", all.len());
            for at in 0..all.len() {
                let rest = read(source, all[at].2.clone());
                let numbers: Vec<_> = rest.iter().map(|(number, data, _)| (number, data)).collect();
                let expected: Vec<_> = all[at + 1..]
                    .iter()
                    .map(|(number, data, _)| (number, data))
                    .collect();
                assert_eq!(numbers, expected, "behind document {at} of {}", source.display());
            }
        }
    }

    /// What a source says of a text goes with each of its documents, unless nobody is to be told.
    #[test]
    fn provenance_goes_with_each_document() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("a.jsonl");
        let text = "some words\\n".repeat(900);
        fs::write(
            &source,
            format!("{{\"text\":\"{text}\",\"license\":\"CC0\",\"id\":7}}\n"),
        )
        .unwrap();
        for (telling, licence) in [(Telling::Provenance, Some("CC0")), (Telling::Nothing, None)] {
            let feed = Feed::open(std::slice::from_ref(&source), &Selection::default()).unwrap();
            let (sender, mut documents) = tokio::sync::mpsc::channel(10_000);
            let (marked, _marks) = mpsc::channel();
            feed.run(&sender, &marked, telling);
            drop(sender);
            let mut count = 0;
            while let Some(document) = documents.blocking_recv() {
                assert_eq!(document.provenance.licence.as_deref(), licence);
                count += 1;
            }
            assert!(count > 3, "{count}");
        }
    }

    #[test]
    fn other_text_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jsonl", "a.txt"] {
            let source = folder.path().join(name);
            let text =
                |word: &str| -> String { (0..900).map(|line| format!("\"{word} {line}\"\n")).collect() };
            fs::write(&source, text("old")).unwrap();
            let all = read(&source, Place::default());
            fs::write(&source, text("newer")).unwrap();
            let rest = read(&source, all[3].2.clone());
            assert_eq!(rest[0].0, 0, "{name}");
            assert!(rest.len() >= all.len());
        }
    }

    /// A long text is read in parts, and its documents are those of the whole.
    #[test]
    fn a_text_of_many_parts_goes_on_in_any_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("long.txt");
        let text: String = (0..120_000)
            .map(|line| format!("this is line {line}\n"))
            .collect();
        fs::write(&source, &text).unwrap();
        let all = read(&source, Place::default());
        let cut: Vec<_> = all.iter().map(|(_, data, _)| &data[..]).collect();
        assert_eq!(cut, soma_data::pieces(text.as_bytes()).collect::<Vec<_>>());
        let parts = all.iter().filter(|(.., place)| place.documents == 1).count();
        assert_eq!(parts, text.len().div_ceil(1 << 20));
        for at in (0..all.len()).step_by(all.len() / 9) {
            let rest = read(&source, all[at].2.clone());
            assert_eq!(rest.len(), all.len() - at - 1, "behind document {at}");
            assert_eq!(
                rest.first().map(|first| &first.1),
                all.get(at + 1).map(|next| &next.1)
            );
        }
    }

    #[test]
    fn text_that_is_longer_than_what_others_hold_in_memory_is_no_error() {
        for (name, text) in [("long.jsonl", "\"one text\"\n"), ("long.txt", "one text\n")] {
            is_no_error(name, text);
        }
    }

    fn is_no_error(name: &str, text: &str) {
        let rules = Selection::default().rules();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        // Sparse: its size is known, and nothing more of it is there.
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(rules.bytes_max + 1).unwrap();
        assert!(matches!(
            soma_sources::read(&[&path], &rules),
            Err(DataError::TooLarge { .. })
        ));
        assert!(Feed::open(&[path], &Selection::default()).is_ok());
    }
}
