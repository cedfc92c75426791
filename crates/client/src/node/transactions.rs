//! Handing transactions in, and looking them up.
//!
//! A request without an answer may have been carried out ([`ClientError::is_lost`]). [`NodeClient::submit`]
//! then looks the transaction up, and says [`ClientError::OutcomeUnknown`] where that does not tell.

use reqwest::Method;
use soma_types::{
    Address, Receipt, Shannons, SignedTransaction, TransactionHash,
    api::{FaucetRequest, PAGE_ITEMS_MAX, Simulated, Submitted, TransactionView},
};

use super::{
    NodeClient,
    backoff::Backoff,
    request::{Load, Request, encode},
};
use crate::error::ClientError;

/// Most pages of an account's transactions that are gone through for one of them.
const PLACE_PAGES_MAX: usize = 100;

impl NodeClient {
    /// A transaction, or `None` where the node does not know it.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn transaction(&self, hash: &TransactionHash) -> Result<Option<TransactionView>, ClientError> {
        match self.get(&format!("/v1/transactions/{hash}"), &[]).await {
            Ok(view) => Ok(Some(view)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands a signed transaction in. Handing it in again is harmless.
    ///
    /// A refusal is an error of its own; where the transaction may have been taken up although no good answer
    /// came, the error is [`ClientError::OutcomeUnknown`].
    ///
    /// # Errors
    /// When the node refuses it; [`ClientError::OutcomeUnknown`] where it may have been taken up although no
    /// good answer came.
    pub async fn submit(&self, transaction: &SignedTransaction) -> Result<TransactionHash, ClientError> {
        let (hash, mut lost) = (transaction.hash(), false);
        let mut backoff = Backoff::new(self.options().retry_window);
        loop {
            let error = match self.submit_once(transaction).await {
                Ok(()) => return Ok(hash),
                Err(error) => error,
            };
            lost |= error.is_lost();
            // An earlier answer was lost, or an earlier process handed it in: it may be there.
            if (lost || error.is_conflict()) && self.has(transaction).await {
                return Ok(hash);
            }
            if !(error.is_lost() || error.is_passing()) || !backoff.is_open() {
                return Err(if lost {
                    ClientError::OutcomeUnknown {
                        hash,
                        expires: transaction.transaction.expires,
                        cause: Box::new(error),
                    }
                } else {
                    error
                });
            }
            backoff.pause().await;
        }
    }

    async fn submit_once(&self, transaction: &SignedTransaction) -> Result<(), ClientError> {
        let (body, hash) = (transaction.encode(), transaction.hash());
        let request = Request::once(Method::POST, "/v1/transactions").moving(Load::Transaction);
        let submitted: Submitted = self
            .json(&request, |builder| {
                builder
                    .header("content-type", "application/octet-stream")
                    .body(body.clone())
            })
            .await?;
        if submitted.hash == hash {
            Ok(())
        } else {
            Err(request.bad(format!(
                "it calls the transaction {}, it is {hash}",
                submitted.hash
            )))
        }
    }

    /// Whether the node is known to have a transaction.
    async fn has(&self, transaction: &SignedTransaction) -> bool {
        matches!(self.transaction_of(transaction).await, Ok(Some(_)))
    }

    /// What the node knows of a transaction; an answer about another one is an error.
    ///
    /// # Errors
    /// When the node does not answer, or describes another transaction.
    pub async fn transaction_of(
        &self,
        transaction: &SignedTransaction,
    ) -> Result<Option<TransactionView>, ClientError> {
        let hash = transaction.hash();
        let Some(view) = self.transaction(&hash).await? else {
            return Ok(None);
        };
        let body = &transaction.transaction;
        let is_receipt_of = |receipt: &Receipt| {
            receipt.transaction == hash
                && receipt.sender == body.sender.address()
                && receipt.fee <= body.max_fee
        };
        if view.hash == hash && view.transaction == *body && view.receipt.as_ref().is_none_or(is_receipt_of) {
            Ok(Some(view))
        } else {
            Err(ClientError::BadAnswer {
                request: format!("GET /v1/transactions/{hash}"),
                reason: "it describes another transaction".to_owned(),
            })
        }
    }

    /// The transaction that was included under a nonce of `sender`; `None` where the node knows of none yet.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn transaction_at(
        &self,
        sender: &Address,
        nonce: u64,
    ) -> Result<Option<TransactionView>, ClientError> {
        let mut cursor: Option<String> = None;
        for _ in 0..PLACE_PAGES_MAX {
            let page = self
                .account_transactions(sender, cursor.as_deref(), PAGE_ITEMS_MAX)
                .await?;
            // Latest first, so the sender's nonces fall; among them are payments to the sender.
            let mut sent = page
                .items
                .into_iter()
                .filter(|view| view.receipt.is_some() && view.transaction.sender.address() == *sender);
            if let Some(view) = sent.find(|view| view.transaction.nonce <= nonce) {
                return Ok(Some(view).filter(|view| view.transaction.nonce == nonce));
            }
            if page.next.is_none() {
                break;
            }
            cursor = page.next;
        }
        Ok(None)
    }

    /// What a signed transaction would lead to in the next block.
    ///
    /// # Errors
    /// When it would be refused, or the node does not answer.
    pub async fn simulate(&self, transaction: &SignedTransaction) -> Result<Simulated, ClientError> {
        let body = transaction.encode();
        self.json(
            &Request::repeatable(Method::POST, "/v1/transactions/simulate"),
            |builder| {
                builder
                    .header("content-type", "application/octet-stream")
                    .body(body.clone())
            },
        )
        .await
    }

    /// Asks a localnet's faucet to pay `address`; the paying transaction.
    ///
    /// # Errors
    /// When the network has no faucet, or it has paid enough; when the answer is lost, it may have paid
    /// ([`ClientError::is_lost`]).
    pub async fn faucet(
        &self,
        address: &Address,
        amount: Option<Shannons>,
    ) -> Result<TransactionHash, ClientError> {
        let body = encode(&FaucetRequest {
            address: *address,
            amount,
        });
        let submitted: Submitted = self
            .json(&Request::once(Method::POST, "/v1/faucet"), |builder| {
                builder
                    .header("content-type", "application/json")
                    .body(body.clone())
            })
            .await?;
        Ok(submitted.hash)
    }
}
