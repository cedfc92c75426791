//! Text cut into documents, one after the other, no faster than they are taken.

use soma_agents::service::Document;
use soma_data::Dataset;
use soma_train::split::{PIECE_BYTES_MAX, pieces};
use soma_types::ContentHash;
use tokio::sync::mpsc::Sender;

use super::run::Place;

/// All documents of a text from a place on.
pub(super) struct Feed {
    text: Dataset,
    from: Place,
}

impl Feed {
    /// From where an earlier run was stopped, if the text is still the same up to there; else from its
    /// beginning.
    pub(super) fn new(text: Dataset, from: Place) -> Self {
        let is_same = from.last.is_none_or(|last| {
            let before = from
                .position
                .checked_sub(1)
                .and_then(|at| usize::try_from(at).ok());
            let document = before.and_then(|at| documents(&text).nth(at));
            document.is_some_and(|(_, data)| ContentHash::of(data) == last)
        });
        let from = if is_same { from } else { Place::default() };
        Self { text, from }
    }

    /// Sends them until there are no more (true), or nobody takes them.
    pub(super) fn run(self, sender: &Sender<Document>) -> bool {
        for (number, (name, data)) in (0..).zip(documents(&self.text)) {
            if number < self.from.position {
                continue;
            }
            let document = Document {
                number,
                name,
                data: data.to_vec(),
            };
            if sender.blocking_send(document).is_err() {
                return false;
            }
        }
        true
    }
}

/// The documents of a text, named: whole where they are short, else in pieces.
fn documents(text: &Dataset) -> impl Iterator<Item = (String, &[u8])> {
    text.documents().iter().flat_map(|document| {
        let is_whole = document.data.len() <= PIECE_BYTES_MAX;
        let mut at = 0;
        pieces(&document.data).map(move |piece| {
            let origin = match is_whole {
                true => document.origin.to_string(),
                false => document.origin.part(at).to_string(),
            };
            at += piece.len();
            (origin, piece)
        })
    })
}
