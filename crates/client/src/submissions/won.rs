//! Documents that won, as lines that programs read: one JSON object each, with the data as `text`, or as
//! `base64` where it is not UTF-8.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use soma_types::{
    Address, ContentHash, Epoch, ModelId, SubmissionId, TargetId,
    api::{SubmissionView, TargetView},
    provenance::Provenance,
};

/// A document that won, with what the ledger says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WonDocument {
    /// What the ledger says.
    pub facts: WonFacts,
    /// The bytes.
    pub data: Vec<u8>,
}

/// What the ledger says of a document that won.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WonFacts {
    /// The epoch of its target.
    pub epoch: Epoch,
    /// Its place among the epoch's winners.
    pub win: u64,
    /// The target that it filled.
    pub target: TargetId,
    /// The submission.
    pub submission: SubmissionId,
    /// Who made it.
    pub submitter: Address,
    /// The model that predicted it best.
    pub model: ModelId,
    /// That model's loss, in nano-nats.
    pub loss_nano: u64,
    /// Its cross-entropy part, in nano-nats.
    pub cross_entropy_nano: u64,
    /// The dot product of that model's embedding and the target, in Q30.
    pub dot_q30: i32,
    /// Length of the data in bytes.
    pub size_bytes: u64,
    /// BLAKE3 of the data.
    pub hash: ContentHash,
    /// What its submitter says of where it comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// Why a line is no document that won.
#[derive(Debug, thiserror::Error)]
pub enum WonError {
    /// It is no such object.
    #[error("the line is no document that won: {0}")]
    Shape(String),
    /// Its data is other data.
    #[error("the data of submission {submission} hashes to {found}, not to {expected}")]
    WrongHash {
        /// Whose data it should be.
        submission: SubmissionId,
        /// The hash that the line names.
        expected: ContentHash,
        /// The hash of its data.
        found: ContentHash,
    },
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(flatten)]
    facts: WonFacts,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl WonFacts {
    /// What a filled target and its winner's submission say; `None` where there is no win.
    #[must_use]
    pub fn of(target: &TargetView, winner: &SubmissionView) -> Option<Self> {
        let found = winner.submission.found.as_ref()?;
        let index = target
            .target
            .models
            .iter()
            .position(|model| *model == found.model)?;
        Some(Self {
            epoch: target.target.epoch,
            win: found.winner_index?,
            target: target.target.id,
            submission: winner.submission.id,
            submitter: winner.submission.submitter,
            model: found.model,
            loss_nano: *found.losses_nano.get(index)?,
            cross_entropy_nano: found.cross_entropy_nano,
            dot_q30: found.dot_q30,
            size_bytes: found.data_size_bytes,
            hash: found.data_hash,
            provenance: Provenance::of(&found.data_url),
        })
    }
}

impl WonDocument {
    /// It as a line, without its end.
    ///
    /// # Panics
    /// Never: it is plain data.
    #[must_use]
    pub fn to_line(&self) -> String {
        let text = std::str::from_utf8(&self.data).ok().map(Cow::Borrowed);
        let base64 = text.is_none().then(|| STANDARD.encode(&self.data));
        let line = Line {
            facts: self.facts.clone(),
            text,
            base64,
        };
        serde_json::to_string(&line).expect("plain data with string keys is JSON")
    }

    /// Reads [`WonDocument::to_line`], and that the data is what its hash says.
    ///
    /// # Errors
    /// When it is none, or its data is other data.
    pub fn of_line(line: &str) -> Result<Self, WonError> {
        let shape = |reason: &dyn std::fmt::Display| WonError::Shape(reason.to_string());
        let Line { facts, text, base64 } = serde_json::from_str(line).map_err(|error| shape(&error))?;
        let data = match (text, base64) {
            (Some(text), None) => text.into_owned().into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).map_err(|error| shape(&error))?,
            _ => return Err(shape(&"it has to have `text` or `base64`")),
        };
        let found = ContentHash::of(&data);
        if found != facts.hash || data.len() as u64 != facts.size_bytes {
            return Err(WonError::WrongHash {
                submission: facts.submission,
                expected: facts.hash,
                found,
            });
        }
        Ok(Self { facts, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn won(data: &[u8]) -> WonDocument {
        WonDocument {
            facts: WonFacts {
                epoch: Epoch(7),
                win: 3,
                target: TargetId([1; 32]),
                submission: SubmissionId([2; 32]),
                submitter: Address([3; 32]),
                model: ModelId([4; 32]),
                loss_nano: 1_500_000_000,
                cross_entropy_nano: 1_400_000_000,
                dot_q30: 400_000_000,
                size_bytes: data.len() as u64,
                hash: ContentHash::of(data),
                provenance: Provenance::default(),
            },
            data: data.to_vec(),
        }
    }

    #[test]
    fn text_is_text_and_other_bytes_are_base64() {
        let line = won("zwei\nZeilen \u{2028} \u{0}".as_bytes()).to_line();
        assert!(
            line.contains(r#""text":"zwei\nZeilen"#) && !line.contains("base64"),
            "{line}"
        );
        let line = won(b"\xff\xfe").to_line();
        assert!(
            line.contains(r#""base64":"//4=""#) && !line.contains("text"),
            "{line}"
        );
    }

    #[test]
    fn a_line_that_lies_is_found_out() {
        let line = won(b"abc").to_line();
        for (bad, says) in [
            (line.replace("abc", "abd"), "hashes to"),
            (
                line.replace(r#""size_bytes":3"#, r#""size_bytes":4"#),
                "hashes to",
            ),
            (
                line.replace(r#""text":"abc""#, r#""other":"abc""#),
                "`text` or `base64`",
            ),
            (
                line.replace(r#""text""#, r#""base64":"YWJj","text""#),
                "`text` or `base64`",
            ),
            (line.replace(r#""text":"abc""#, r#""base64":"*""#), "no document"),
            (line[..line.len() - 1].to_owned(), "no document"),
            (String::new(), "no document"),
            ("[]".to_owned(), "no document"),
        ] {
            let error = WonDocument::of_line(&bad).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn what_is_told_of_its_origin_stands_beside_it() {
        let mut document = won(b"abc");
        document.facts.provenance.licence = Some("CC0".into());
        let line = document.to_line();
        assert!(
            line.contains(r#""licence":"CC0""#) && !line.contains("source"),
            "{line}"
        );
        assert_eq!(WonDocument::of_line(&line).unwrap(), document);
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_from_one_line(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let document = won(&data);
            let line = document.to_line();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(WonDocument::of_line(&line).unwrap(), document);
        }
    }
}
