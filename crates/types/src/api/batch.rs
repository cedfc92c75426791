//! Many transactions in one request, each with its own answer.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Problem;
use crate::{TransactionHash, list::List};

/// Most transactions in a batch.
pub const BATCH_TRANSACTIONS_MAX: usize = 1_024;
/// Longest JSON of a batch, in bytes.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// A signed transaction's encoding. In JSON, base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedTransaction(pub Vec<u8>);

impl Serialize for EncodedTransaction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for EncodedTransaction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(|error| {
            D::Error::custom(format_args!(
                "a signed transaction's encoding is written in base64: {error}"
            ))
        })
    }
}

/// Signed transactions, taken up one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TransactionBatch {
    /// Their encodings in base64, each sender's in the order of nonces.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<EncodedTransaction>, max_items = 1_024))]
    pub transactions: List<EncodedTransaction, BATCH_TRANSACTIONS_MAX>,
}

/// What became of one transaction of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum BatchAnswer {
    /// It waits for a block, or is in one.
    Taken {
        /// Its name.
        hash: TransactionHash,
    },
    /// It is refused, as it would be alone.
    Refused {
        /// Why it is.
        problem: Problem,
    },
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchAnswers {
    /// One for each transaction, in their order.
    pub answers: Vec<BatchAnswer>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_and_says_what_is_wrong() {
        let item = EncodedTransaction(vec![1, 2, 255]);
        let batch = TransactionBatch {
            transactions: List::new(vec![item.clone(); 2]).unwrap(),
        };
        let json = serde_json::to_string(&batch).unwrap();
        assert_eq!(json, r#"{"transactions":["AQL/","AQL/"]}"#);
        assert_eq!(serde_json::from_str::<TransactionBatch>(&json).unwrap(), batch);
        assert!(List::<_, BATCH_TRANSACTIONS_MAX>::new(vec![item; BATCH_TRANSACTIONS_MAX + 1]).is_err());
        for (wrong, says) in [
            (r#"{"transactions":["!"]}"#, "base64"),
            (r#"{"transactions":[],"more":1}"#, "more"),
        ] {
            let error = serde_json::from_str::<TransactionBatch>(wrong)
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn an_answer_is_a_name_or_a_problem() {
        let taken = BatchAnswer::Taken {
            hash: TransactionHash([1; 32]),
        };
        let refused = BatchAnswer::Refused {
            problem: Problem {
                kind: "about:blank".to_owned(),
                title: "Conflict".to_owned(),
                status: 409,
                detail: "it waits".to_owned(),
                code: None,
                name: None,
            },
        };
        for answer in [taken, refused] {
            let json = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<BatchAnswer>(&json).unwrap(), answer);
        }
    }
}
