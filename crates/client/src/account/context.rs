//! What a transaction is built from: network, rules, epoch and today's fees, fetched and kept for a moment.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use soma_types::{ChainId, Epoch, Shannons, SignedTransaction, Transaction, TransactionKind, params::Params};

use super::{
    Account, LIFETIME_EPOCHS,
    fee::limit,
    sequence::{Context, Sequence},
};
use crate::error::ClientError;

/// For how long fees and epoch are taken as known.
pub(super) const CONTEXT_AGE_MAX: Duration = Duration::from_secs(2);

impl Account {
    /// The network's id.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn chain(&self) -> Result<ChainId, ClientError> {
        Ok(self.context().await?.chain)
    }

    /// The protocol's parameters, as last fetched.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn params(&self) -> Result<Arc<Params>, ClientError> {
        Ok(self.context().await?.params)
    }

    /// The epoch in progress, as of a moment ago.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn current_epoch(&self) -> Result<Epoch, ClientError> {
        Ok(self.context().await?.now.epoch)
    }

    /// What `kind` would cost in fees now.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn estimate_fee(&self, kind: &TransactionKind) -> Result<Shannons, ClientError> {
        let context = self.context().await?;
        let transaction = self.unlimited(&context, 0, kind.clone());
        Ok(context.fee(&transaction.sign(&self.keys)))
    }

    async fn context(&self) -> Result<Context, ClientError> {
        self.refresh(&mut *self.sequence.lock().await).await
    }

    pub(super) async fn refresh(&self, sequence: &mut Sequence) -> Result<Context, ClientError> {
        if let Some(context) = &sequence.context
            && context.fetched.elapsed() < CONTEXT_AGE_MAX
        {
            return Ok(context.clone());
        }
        let now = self.node.epoch(None).await?.state;
        let known = sequence.context.take();
        let (chain, params) = match known {
            // Chain and parameters can only have changed at a boundary.
            Some(known) if known.now.epoch == now.epoch => (known.chain, known.params),
            _ => (
                self.node.status().await?.chain,
                Arc::new(self.node.params().await?),
            ),
        };
        if let Some(expected) = self.chain.filter(|expected| *expected != chain) {
            return Err(ClientError::OtherChain {
                expected,
                found: chain,
            });
        }
        let context = Context {
            chain,
            params,
            now,
            fetched: Instant::now(),
        };
        sequence.context = Some(context.clone());
        Ok(context)
    }

    fn unlimited(&self, context: &Context, nonce: u64, kind: TransactionKind) -> Transaction {
        Transaction {
            chain: context.chain,
            sender: self.keys.public_key(),
            nonce,
            expires: context.now.epoch.plus(LIFETIME_EPOCHS),
            max_fee: Shannons::ZERO,
            kind,
        }
    }

    pub(super) fn build(
        &self,
        context: &Context,
        nonce: u64,
        kind: TransactionKind,
    ) -> Result<SignedTransaction, ClientError> {
        let transaction = self.unlimited(context, nonce, kind);
        // The limit has a fixed width, so the length, and with it the fee, does not depend on it.
        let fee = context.fee(&transaction.clone().sign(&self.keys));
        let max_fee = limit(fee, self.max_fee)?;
        Ok(Transaction {
            max_fee,
            ..transaction
        }
        .sign(&self.keys))
    }
}
