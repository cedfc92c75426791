//! The held-out split: a rule without randomness, so that everyone holds out the same text.
//!
//! Texts are cut, one after the other, into [`pieces`]. Every tenth piece is held out; the text between two
//! held-out pieces stays together as one training document.

use soma_data::{DataError, Dataset, Document, pieces};

/// One piece in this many is held out.
pub const HELD_OUT_EVERY: usize = 10;

/// A data set in two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// To train on.
    pub train: Dataset,
    /// To measure and to submit.
    pub held_out: Dataset,
}

/// Cuts a data set in two.
///
/// # Errors
/// [`DataError::NoText`] if the data set has fewer than [`HELD_OUT_EVERY`] pieces, that is, too little text
/// to hold out any.
pub fn split(name: &str, dataset: &Dataset) -> Result<Split, DataError> {
    let (mut train, mut held_out, mut count) = (Vec::new(), Vec::new(), 0);
    for document in dataset.documents() {
        let mut start = 0;
        let part = |from: usize, to: usize| Document {
            origin: document.origin.part(from),
            data: document.data[from..to].to_vec(),
        };
        let mut at = 0;
        for piece in pieces(&document.data) {
            let end = at + piece.len();
            count += 1;
            if count % HELD_OUT_EVERY == 0 {
                train.push(part(start, at));
                held_out.push(part(at, end));
                start = end;
            }
            at = end;
        }
        train.push(part(start, at));
    }
    let short = format!("{name} (at least {HELD_OUT_EVERY} KiB are needed to hold out a tenth)");
    Ok(Split {
        train: Dataset::new(&short, train)?,
        held_out: Dataset::new(&short, held_out)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use soma_data::PIECE_BYTES_MAX;

    proptest! {
        #[test]
        fn nothing_is_lost_and_pieces_are_bounded(lines in prop::collection::vec("[a-zäß ]{0,400}", 1..200)) {
            let text = lines.join("\n");
            let set = Dataset::new("t", [Document { origin: "t".into(), data: text.clone().into_bytes() }]);
            prop_assume!(set.is_ok());
            let Ok(split) = split("t", &set.unwrap()) else {
                prop_assert!(text.len() < HELD_OUT_EVERY * PIECE_BYTES_MAX);
                return Ok(());
            };
            let mut all: Vec<_> = split.train.documents().iter().chain(split.held_out.documents()).collect();
            all.sort_by_key(|d| d.origin.offset);
            let joined: Vec<u8> = all.iter().flat_map(|d| d.data.clone()).collect();
            prop_assert_eq!(joined, text.into_bytes());
            for piece in split.held_out.documents() {
                prop_assert!(piece.data.len() <= PIECE_BYTES_MAX);
                prop_assert!(std::str::from_utf8(&piece.data).is_ok());
            }
        }
    }

    #[test]
    fn a_tenth_is_held_out_at_line_ends() {
        let line = "0123456789abcde\n".repeat(64 * 20);
        let set = Dataset::new(
            "t",
            [Document {
                origin: "t".into(),
                data: line.into_bytes(),
            }],
        )
        .unwrap();
        let split = split("t", &set).unwrap();
        assert_eq!(split.held_out.documents().len(), 2);
        assert_eq!(split.held_out.documents()[0].origin.to_string(), "t#9216");
        assert!(
            split
                .held_out
                .documents()
                .iter()
                .all(|d| d.data.len() == 1024 && d.data.ends_with(b"\n"))
        );
    }

    #[test]
    fn too_little_text_is_an_error() {
        let set = Dataset::new(
            "t",
            [Document {
                origin: "t".into(),
                data: vec![b'a'; 5000],
            }],
        )
        .unwrap();
        assert!(matches!(split("t", &set), Err(DataError::NoText(_))));
    }
}
