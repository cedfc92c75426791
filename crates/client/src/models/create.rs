//! What owners do to their models besides publishing weights.

use soma_types::{
    Architecture, ModelId, Receipt, Shannons, TransactionKind,
    receipt::{Created, Outcome},
    transaction::BasisPoints,
};

use crate::{
    account::Account,
    error::{ClientError, unexpected},
};

impl Account {
    /// Creates a model of the network's architecture.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn create_model(
        &self,
        commission: BasisPoints,
        stake: Shannons,
    ) -> Result<ModelId, ClientError> {
        let architecture = self.params().await?.architecture;
        self.create_model_of(commission, stake, architecture).await
    }

    /// Creates a model of a given architecture, which the ledger compares with the network's.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn create_model_of(
        &self,
        commission: BasisPoints,
        stake: Shannons,
        architecture: Architecture,
    ) -> Result<ModelId, ClientError> {
        let receipt = self
            .execute(TransactionKind::CreateModel {
                commission,
                stake,
                architecture,
            })
            .await?;
        match receipt.outcome {
            Outcome::Applied {
                created: Some(Created::Model(model)),
            } => Ok(model),
            _ => Err(unexpected("a created model")),
        }
    }

    /// Changes the owner's share of a model's rewards from the next epoch.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn set_model_commission(
        &self,
        model: ModelId,
        commission: BasisPoints,
    ) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::SetModelCommission { model, commission })
            .await
    }

    /// Ends a model's competing at the next boundary, for good.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn deactivate_model(&self, model: ModelId) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::DeactivateModel { model }).await
    }
}
