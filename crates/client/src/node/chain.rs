//! What a node tells of the chain: its rules, epochs, accounts, validators and blocks.

use soma_types::{
    Address, Epoch, Height,
    api::{
        AccountView, BlockView, EpochView, FinalityView, Page, ProposalView, Status, Supply, TransactionView,
        ValidatorView,
    },
    genesis::Genesis,
    params::Params,
};

use super::{NodeClient, filter::Query};
use crate::{error::ClientError, events::EventStream};

impl NodeClient {
    /// How the node stands.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status", &[]).await
    }

    /// The protocol's parameters in force.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn params(&self) -> Result<Params, ClientError> {
        self.get("/v1/params", &[]).await
    }

    /// How the network began.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn genesis(&self) -> Result<Genesis, ClientError> {
        self.get("/v1/genesis", &[]).await
    }

    /// Where every shannon is.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn supply(&self) -> Result<Supply, ClientError> {
        self.get("/v1/supply", &[]).await
    }

    /// An epoch; the current one for `None`.
    ///
    /// # Errors
    /// When there is no such epoch ([`ClientError::is_not_found`]), or the node does not answer.
    pub async fn epoch(&self, epoch: Option<Epoch>) -> Result<EpochView, ClientError> {
        let path = format!("/v1/epochs/{}", latest(epoch));
        match epoch {
            Some(epoch) => self.get_one(&path, &epoch, |view: &EpochView| view.epoch).await,
            None => self.get(&path, &[]).await,
        }
    }

    /// An account.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn account(&self, address: &Address) -> Result<AccountView, ClientError> {
        self.get_one(
            &format!("/v1/accounts/{address}"),
            address,
            |view: &AccountView| view.address,
        )
        .await
    }

    /// A page of an account's transactions, latest first.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn account_transactions(
        &self,
        address: &Address,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<TransactionView>, ClientError> {
        self.page(
            &format!("/v1/accounts/{address}/transactions"),
            Query::new(),
            cursor,
            limit,
        )
        .await
    }

    /// All validators.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn validators(&self) -> Result<Vec<ValidatorView>, ClientError> {
        self.list("/v1/validators", &Query::new()).await
    }

    /// All proposed changes of the protocol.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn proposals(&self) -> Result<Vec<ProposalView>, ClientError> {
        self.list("/v1/proposals", &Query::new()).await
    }

    /// A finalized block; the last for `None`.
    ///
    /// # Errors
    /// When there is no such block ([`ClientError::is_not_found`]), or the node does not answer.
    pub async fn block(&self, height: Option<Height>) -> Result<BlockView, ClientError> {
        let path = format!("/v1/blocks/{}", latest(height));
        match height {
            Some(height) => self.get_one(&path, &height, |view: &BlockView| view.height).await,
            None => self.get(&path, &[]).await,
        }
    }

    /// The certificate of a finalized block.
    ///
    /// # Errors
    /// When there is no such block ([`ClientError::is_not_found`]), or the node does not answer.
    pub async fn finality(&self, height: Height) -> Result<FinalityView, ClientError> {
        self.get(&format!("/v1/finality/{height}"), &[]).await
    }

    /// What changes in the ledger from block `from` on, or from now on. Reconnects by itself.
    pub fn events(&self, from: Option<Height>) -> EventStream {
        EventStream::new(self.clone(), from)
    }
}

fn latest(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "latest".to_owned(), |number| number.to_string())
}
