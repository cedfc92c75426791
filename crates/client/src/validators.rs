//! What validators do in the ledger: take a seat, vote, report.

use soma_types::{
    Keypair, ModelId, Receipt, Shannons, TransactionKind,
    equivocation::Equivocation,
    receipt::{Created, Outcome},
    transaction::{BasisPoints, ModelFault, VALIDATOR_KEY_NAMESPACE, validator_key_message},
    upgrade::{Ballot, Upgrade},
};

use crate::{
    account::Account,
    error::{ClientError, unexpected},
};

impl Account {
    /// Makes this account a validator, whose node signs with `network`: a seat from the next epoch, if its
    /// stake is among the largest then.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn register_validator(
        &self,
        network: &Keypair,
        commission: BasisPoints,
        stake: Shannons,
    ) -> Result<Receipt, ClientError> {
        let message = validator_key_message(&self.chain().await?, &self.address());
        self.execute(TransactionKind::RegisterValidator {
            network_key: network.public_key(),
            proof: network.sign(VALIDATOR_KEY_NAMESPACE, &message),
            commission,
            stake,
        })
        .await
    }

    /// Gives up this validator's seat at the next boundary. Its stake stays where it is until withdrawn.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn leave_validator(&self) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::LeaveValidator).await
    }

    /// Changes this validator's share of its pool's rewards from the next epoch.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn set_validator_commission(&self, commission: BasisPoints) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::SetValidatorCommission { commission })
            .await
    }

    /// Votes, as a validator, on the price of storing a MiB of weights for an epoch.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn set_rent_vote(&self, rent_per_mib_epoch: Shannons) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::SetRentVote { rent_per_mib_epoch })
            .await
    }

    /// Reports, as a validator with a seat, that a model's revealed weights are unusable.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn report_model(&self, model: ModelId, fault: ModelFault) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::ReportModel { model, fault }).await
    }

    /// Proposes a change of the protocol, as a validator with a seat. Returns the proposal's number.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn propose_upgrade(&self, upgrade: Upgrade) -> Result<(u64, Receipt), ClientError> {
        let receipt = self.execute(TransactionKind::ProposeUpgrade { upgrade }).await?;
        match receipt.outcome {
            Outcome::Applied {
                created: Some(Created::Proposal(proposal)),
            } => Ok((proposal, receipt)),
            _ => Err(unexpected("a proposal")),
        }
    }

    /// Votes on a change of the protocol, as a validator with a seat.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn vote_upgrade(&self, proposal: u64, ballot: Ballot) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::VoteUpgrade { proposal, ballot })
            .await
    }

    /// Hands in evidence that a validator voted for two blocks in one view.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::rejection_code`]), or how it ended did not become known
    /// ([`ClientError::is_unknown`]).
    pub async fn report_equivocation(&self, evidence: Equivocation) -> Result<Receipt, ClientError> {
        self.execute(TransactionKind::ReportEquivocation { evidence })
            .await
    }
}
