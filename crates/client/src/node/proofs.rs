//! Proofs: what a node says, checked by the network's key instead of believed.

use soma_light::{
    key::NetworkKey,
    proof::{Proof, Proven},
    subject::{Held, Subject},
};
use soma_types::{Height, api::ProofView};

use super::NodeClient;
use crate::error::ClientError;

impl NodeClient {
    /// A proof about `subject`, as the node gives it: whether it holds is not checked yet. Of a receipt in the
    /// block at `height`, or in that which it is in.
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
        let bytes = hex::decode(proof.trim_start_matches("0x")).map_err(|error| bad(&path, error))?;
        let proof = Proof::decode(&bytes).map_err(|refused| bad(&path, refused))?;
        let first = proof.finality.links.first().map(|link| link.header.height.get());
        if proof.claim.subject() != *subject || height.is_some_and(|Height(height)| first != Some(height)) {
            return Err(bad(&path, "it is a proof of something else"));
        }
        Ok(proof)
    }

    /// What is so about `subject` at a height that is final, for whoever trusts nothing but `key`. There may
    /// be higher ones: ask several nodes, and take the highest.
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
        proof.verify(key).map_err(|refused| bad(&path, refused))
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

fn bad(path: &str, reason: impl ToString) -> ClientError {
    ClientError::BadAnswer {
        request: format!("GET {path}"),
        reason: reason.to_string(),
    }
}
