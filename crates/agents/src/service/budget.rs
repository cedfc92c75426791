//! What may be locked and paid.

use std::collections::BTreeMap;

use soma_client::{Account, ClientError, SubmissionFilter};
use soma_types::{
    ContentHash, Height, Salt, Shannons, SubmissionId, TargetId, TransactionKind, api::PAGE_ITEMS_MAX,
    bounded::URL_MAX_BYTES, list::List, phase::SubmissionPhase, transaction::SubmissionReveal,
};

use super::{
    error::ServiceError,
    limits::Limits,
    told::{Document, End},
};
use crate::submitter::Find;

/// Bytes of a URL that is not known yet, in an estimate of a fee: a long one.
const URL_BYTES: usize = 256;

/// What one submission may take.
#[derive(Clone, Copy, Debug)]
struct Cost {
    locks: Shannons,
    fees: Shannons,
}

/// What submissions under this account take of its money.
#[derive(Debug)]
pub(super) struct Budget {
    bonds_max: Option<Shannons>,
    fees_max: Option<Shannons>,
    fees_from: Option<Height>,
    fees: Shannons,
    /// What is under way, by the target raced for.
    reserved: BTreeMap<TargetId, Cost>,
    /// What the ledger has locked: by an earlier run, or won since. None where it is to be asked.
    locked: Option<BTreeMap<SubmissionId, Shannons>>,
    /// Why the ledger said that there is too little.
    short: Option<Box<ClientError>>,
}

fn sum(amounts: impl Iterator<Item = Shannons>) -> Shannons {
    amounts.fold(Shannons::ZERO, |sum, amount| {
        Shannons(sum.0.saturating_add(amount.0))
    })
}

impl Budget {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            bonds_max: limits.bonds_max,
            fees_max: limits.fees_max,
            fees_from: limits.fees_from,
            fees: Shannons::ZERO,
            reserved: BTreeMap::new(),
            locked: None,
            short: None,
        }
    }

    pub(super) const fn fees(&self) -> Shannons {
        self.fees
    }

    /// Counts what an earlier run has paid.
    pub(super) async fn begin(&mut self, account: &Account) -> Result<(), ClientError> {
        // Once.
        let Some(from) = self.fees_from.take() else {
            return Ok(());
        };
        let (address, mut cursor) = (account.address(), None::<String>);
        loop {
            let node = account.node();
            let page = node
                .account_transactions(&address, cursor.as_deref(), PAGE_ITEMS_MAX)
                .await?;
            for view in &page.items {
                let Some(receipt) = &view.receipt else { continue };
                // Latest first.
                if receipt.height < from {
                    return Ok(());
                }
                if matches!(
                    view.transaction.kind,
                    TransactionKind::CommitSubmission { .. } | TransactionKind::RevealSubmission { .. }
                ) {
                    self.fees = sum([self.fees, receipt.fee].into_iter());
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether a submission of so much data may be begun now; if not, what is waited for, in words.
    ///
    /// # Errors
    /// When it never may.
    pub(super) async fn admit(
        &mut self,
        account: &Account,
        size_bytes: u64,
    ) -> Result<Result<(), String>, ServiceError> {
        if self.bonds_max.is_none() && self.short.is_none() {
            return Ok(Ok(()));
        }
        let needed = locks(account, size_bytes).await?;
        if let Some(limit) = self.bonds_max.filter(|limit| needed > *limit) {
            return Err(ServiceError::BondsMax { needed, limit });
        }
        let locked = self.locked(account).await?;
        if let Some(error) = self.short.take() {
            if locked.is_zero() {
                return Err(ServiceError::Money(error));
            }
            return Ok(Err(format!(
                "Waiting for bonds to come back, two epochs after they were locked: {error}"
            )));
        }
        Ok(match self.bonds_max {
            Some(limit) if locked.0.saturating_add(needed.0) > limit.0 => Err(format!(
                "Waiting for bonds to come back: {locked} of at most {limit} SOMA are locked, and one more takes {needed}"
            )),
            _ => Ok(()),
        })
    }

    /// Sets aside what a find may take; false where the limit of fees forbids it.
    pub(super) async fn reserve(
        &mut self,
        account: &Account,
        find: &Find,
        document: &Document,
    ) -> Result<bool, ClientError> {
        let cost = Cost {
            locks: locks(account, document.data.len() as u64).await?,
            fees: fees(account, find, document).await?,
        };
        let under_way = sum(self.reserved.values().map(|cost| cost.fees));
        let total = sum([self.fees, under_way, cost.fees].into_iter());
        if self.fees_max.is_some_and(|limit| total > limit) {
            return Ok(false);
        }
        self.reserved.insert(find.target, cost);
        Ok(true)
    }

    /// Takes note of a race's end, if it has begun, and of what it has cost.
    pub(super) fn release(&mut self, target: &TargetId, fees: Shannons, end: Option<&End>) {
        let cost = self.reserved.remove(target);
        self.fees = sum([self.fees, fees].into_iter());
        let stays = match end {
            Some(End::Over(submission, status)) if status.phase() == SubmissionPhase::Won => {
                Some(*submission)
            }
            // Whether it is locked, only the ledger knows.
            Some(End::Left(_)) => {
                self.locked = None;
                None
            }
            _ => None,
        };
        if let (Some(locked), Some(submission), Some(cost)) = (&mut self.locked, stays, cost) {
            locked.insert(submission, cost.locks);
        }
    }

    /// Takes note that the ledger wanted more money than there is.
    pub(super) fn note_shortage(&mut self, error: Box<ClientError>) {
        self.short = Some(error);
    }

    /// What is locked is to be asked of the ledger again.
    pub(super) fn forget_listed(&mut self) {
        self.locked = None;
    }

    /// What is locked now, or may be by what is under way.
    async fn locked(&mut self, account: &Account) -> Result<Shannons, ClientError> {
        if self.locked.is_none() {
            let mut locked = BTreeMap::new();
            for phase in [
                SubmissionPhase::Committed,
                SubmissionPhase::Revealed,
                SubmissionPhase::Won,
            ] {
                let filter = SubmissionFilter {
                    submitter: Some(account.address()),
                    phase: Some(phase),
                    ..SubmissionFilter::default()
                };
                for view in account.node().submissions(&filter).await? {
                    let submission = view.submission;
                    // What is under way counts as that.
                    if !self.reserved.contains_key(&submission.target) {
                        let amount = sum([submission.bond, submission.deposit].into_iter());
                        locked.insert(submission.id, amount);
                    }
                }
            }
            self.locked = Some(locked);
        }
        let listed = self.locked.iter().flat_map(BTreeMap::values).copied();
        let under_way = self.reserved.values().map(|cost| cost.locks);
        Ok(sum(listed.chain(under_way)))
    }
}

/// What a submission of so much data locks: bond and deposit.
async fn locks(account: &Account, size_bytes: u64) -> Result<Shannons, ClientError> {
    let params = account.params().await?;
    let now = account.node().epoch(None).await?.state;
    let bond = now.bond_of(&params, size_bytes);
    Ok(sum([bond, params.submission_deposit].into_iter()))
}

/// About what commit and reveal of a find cost in fees: no less, but for a rise meanwhile.
async fn fees(account: &Account, find: &Find, document: &Document) -> Result<Shannons, ClientError> {
    let url_bytes = if document.provenance.is_empty() {
        URL_BYTES
    } else {
        URL_MAX_BYTES
    };
    let reveal = SubmissionReveal {
        data_url: "u".repeat(url_bytes).parse().expect("short and ASCII"),
        data_size_bytes: document.data.len() as u64,
        data_hash: ContentHash([0; 32]),
        losses_nano: List::new(find.claim.losses_nano.clone())
            .map_err(|error| ClientError::Argument(error.to_string()))?,
        cross_entropy_nano: find.claim.cross_entropy_nano,
        embedding: find.claim.embedding.clone(),
    };
    let salt = Salt([0; 32]);
    let commit = TransactionKind::CommitSubmission {
        target: find.target,
        commitment: reveal.commitment(&account.address(), &salt),
    };
    let reveal = TransactionKind::RevealSubmission {
        submission: SubmissionId([0; 32]),
        salt,
        reveal,
    };
    Ok(sum([
        account.estimate_fee(&commit).await?,
        account.estimate_fee(&reveal).await?,
    ]
    .into_iter()))
}
