//! Deeds that were left behind and that others rest on: their ends are known first.
//!
//! What the ledger says of a model or a submission is only half of it while a transaction about it is on its
//! way: who looks, decides and sends may do it a second time. So what was left behind is handed in again and
//! followed, and what took effect stays on the disk until a caller has been told: a process that ends in
//! between leaves it to the next.

use soma_types::{Receipt, TransactionKind};

use super::{Account, Sent, handing_in::on_disk};
use crate::{error::ClientError, follow::End};

impl Account {
    /// Waits for the ends of what was left behind, of the kinds that are `wanted`: what took effect, which is
    /// found again until it is forgotten. The rest is forgotten here.
    ///
    /// # Errors
    /// When the node or the disk fails, or one may still happen ([`ClientError::is_unknown`]).
    pub(crate) async fn unheard(
        &self,
        wanted: impl Fn(&TransactionKind) -> bool + Send + 'static,
    ) -> Result<Vec<Sent>, ClientError> {
        let mut taken_up = Vec::new();
        {
            let mut sequence = self.sequence.lock().await;
            let context = self.refresh(&mut sequence).await?;
            let turn = self.turn(&context.chain).await?;
            for kept in on_disk(&turn, move |turn| turn.all_left(wanted)).await? {
                taken_up.extend(self.hand_in_again(kept).await?);
            }
        }
        let mut unheard = Vec::new();
        for (sent, heard) in taken_up {
            match self.followed(&sent, heard).await? {
                End::Included(receipt) if Receipt::applied(&receipt) => unheard.push(sent),
                End::Included(_) | End::Superseded | End::Expired => sent.forget().await?,
            }
        }
        Ok(unheard)
    }
}
