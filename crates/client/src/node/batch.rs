//! Handing many transactions in with few requests.

use reqwest::Method;
use soma_types::{
    SignedTransaction, TransactionHash,
    api::{
        BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, BatchAnswer, BatchAnswers, EncodedTransaction, Problem,
        TransactionBatch,
    },
    list::List,
};

use super::{
    NodeClient,
    request::{Load, Request, encode},
};
use crate::error::ClientError;

/// Of a batch's JSON, what is not its transactions; and of each of those, what is not base64.
const BATCH_FRAME_BYTES: usize = 64;
const BATCH_ITEM_FRAME_BYTES: usize = 3;

/// Cuts `transactions` into batches, in their order.
fn batches(transactions: &[SignedTransaction]) -> Vec<List<EncodedTransaction, BATCH_TRANSACTIONS_MAX>> {
    let encoded = transactions
        .iter()
        .map(|transaction| EncodedTransaction(transaction.encode()));
    List::cut(
        encoded,
        BATCH_BYTES_MAX - BATCH_FRAME_BYTES,
        |EncodedTransaction(bytes)| bytes.len().div_ceil(3) * 4 + BATCH_ITEM_FRAME_BYTES,
    )
}

impl NodeClient {
    /// Hands many signed transactions in, each sender's in the order of nonces, in as few requests as their
    /// bounds allow. The answers are in the order of `transactions`: the name, or why it is refused. Handing
    /// them in again is harmless.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises. What was sent may have been taken up.
    pub async fn submit_all(
        &self,
        transactions: &[SignedTransaction],
    ) -> Result<Vec<Result<TransactionHash, Problem>>, ClientError> {
        let mut answers = Vec::with_capacity(transactions.len());
        for batch in batches(transactions) {
            let request = Request::repeatable(Method::POST, "/v1/transactions").moving(Load::Transaction);
            let hashes: Vec<TransactionHash> = batch
                .iter()
                .map(|EncodedTransaction(encoded)| TransactionHash::of(encoded))
                .collect();
            let body = encode(&TransactionBatch { transactions: batch });
            let answered: BatchAnswers = self
                .json(&request, |builder| {
                    builder
                        .header("content-type", "application/json")
                        .body(body.clone())
                })
                .await?;
            if answered.answers.len() != hashes.len() {
                return Err(request.bad(format!(
                    "it answers {} of {} transactions",
                    answered.answers.len(),
                    hashes.len()
                )));
            }
            for (hash, answer) in hashes.into_iter().zip(answered.answers) {
                answers.push(match answer {
                    BatchAnswer::Taken { hash: called } if called == hash => Ok(hash),
                    BatchAnswer::Taken { hash: called } => {
                        return Err(request.bad(format!("it calls the transaction {called}, it is {hash}")));
                    }
                    BatchAnswer::Refused { problem } => Err(problem),
                });
            }
        }
        Ok(answers)
    }
}
