//! Proofs: what a node says, checked by the network's key instead of believed.

use std::iter;

use soma_light::{
    key::NetworkKey,
    proof::{Proof, Proven},
    subject::{Held, Subject},
};
use soma_types::{Height, api::ProofView};
use tokio::task::JoinSet;

use super::NodeClient;
use crate::error::ClientError;

impl NodeClient {
    /// A proof about `subject`, as the node gives it: whether it holds is not checked yet. Of a receipt in
    /// the block at `height`, or in that which it is in.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises, or about something else; when the
    /// transaction is in no block ([`ClientError::is_not_found`]).
    pub async fn proof(&self, subject: &Subject, height: Option<Height>) -> Result<Proof, ClientError> {
        let path = path_of(subject);
        let query: Vec<(&'static str, String)> = height
            .iter()
            .map(|height| ("height", height.to_string()))
            .collect();
        let ProofView { proof, .. } = self.get(&path, &query).await?;
        let digits = proof.strip_prefix("0x").unwrap_or(&proof);
        let bytes = hex::decode(digits).map_err(|error| bad(&path, &error))?;
        let proof = Proof::decode(&bytes).map_err(|refused| bad(&path, &refused))?;
        let first = proof.finality.links.first().map(|link| link.header.height.get());
        if proof.claim.subject() != *subject || height.is_some_and(|Height(height)| first != Some(height)) {
            return Err(bad(&path, &"it is a proof of something else"));
        }
        Ok(proof)
    }

    /// What is so about `subject` at a height that is final, for whoever trusts nothing but `key`. There may
    /// be higher ones: [`Self::latest`] asks several nodes.
    ///
    /// # Errors
    /// Those of [`Self::proof`], and [`ClientError::BadAnswer`] when the proof shows nothing.
    pub async fn proven(
        &self,
        subject: &Subject,
        height: Option<Height>,
        key: &NetworkKey,
    ) -> Result<Proven, ClientError> {
        let path = path_of(subject);
        let proof = self.proof(subject, height).await?;
        proof.verify(key).map_err(|refused| bad(&path, &refused))
    }

    /// What is so about `held` at the greatest height that this node or one of `others` proves to whoever
    /// trusts `key`. What is final need not be the latest: a node that is behind, or says what was so long
    /// ago, is found out by any other. Those that do not answer, or whose proofs show nothing, are passed
    /// over.
    ///
    /// # Errors
    /// Those of [`Self::proven`], when no node proves anything.
    pub async fn latest(&self, others: &[Self], held: Held, key: &NetworkKey) -> Result<Proven, ClientError> {
        let mut asked = JoinSet::new();
        for node in iter::once(self).chain(others) {
            let (node, key) = (node.clone(), *key);
            asked.spawn(async move { node.proven(&Subject::Held(held), None, &key).await });
        }
        let answers = asked.join_all().await;
        answers.into_iter().reduce(later).expect("this node is one")
    }
}

type Answer = Result<Proven, ClientError>;

/// The one of the greatest height; else any that proves something; else the first.
fn later(first: Answer, second: Answer) -> Answer {
    match (&first, &second) {
        (Ok(a), Ok(b)) if b.height > a.height => second,
        (Err(_), Ok(_)) => second,
        _ => first,
    }
}

fn path_of(subject: &Subject) -> String {
    match subject {
        Subject::Held(Held::Account(address)) => format!("/v1/proofs/accounts/{address}"),
        Subject::Held(Held::Model(id)) => format!("/v1/proofs/models/{id}"),
        Subject::Held(Held::Target(id)) => format!("/v1/proofs/targets/{id}"),
        Subject::Receipt(hash) => format!("/v1/proofs/receipts/{hash}"),
    }
}

fn bad(path: &str, reason: &dyn ToString) -> ClientError {
    ClientError::BadAnswer {
        request: format!("GET {path}"),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{Address, BlockHash, ChainId};

    use super::*;

    #[test]
    fn the_highest_that_is_proved_counts() {
        let at = |height| {
            Ok(Proven {
                chain: ChainId([1; 32]),
                height: Height(height),
                block: BlockHash([2; 32]),
                timestamp_ms: 0,
                subject: Subject::Held(Held::Account(Address([3; 32]))),
                found: None,
            })
        };
        let none = |reason: &str| Err(bad("/v1/proofs", &reason));
        let counts = |answers: Vec<Answer>| answers.into_iter().reduce(later).unwrap();
        for answers in [
            vec![at(9), at(8), none("forged")],
            vec![at(8), none("forged"), at(9)],
            vec![none("late"), none("forged"), at(9), at(8)],
        ] {
            assert_eq!(counts(answers).unwrap().height, Height(9));
        }
        let refused = counts(vec![none("late"), none("forged")]).unwrap_err();
        assert!(refused.to_string().ends_with("late"), "{refused}");
    }
}
