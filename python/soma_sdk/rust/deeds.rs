//! What is signed for a network: payments, stake, submissions. All of it goes through
//! [`soma_client::Account`], whose journal and outbox make each deed happen once, however the await ends.

use pyo3::{prelude::*, pybacked::PyBackedBytes};
use soma_client::{Account, ClientError, Scores};
use soma_types::{
    ContentHash, Embedding, ModelId, Receipt, Rejection, Shannons, SubmissionId, TargetId, TransactionKind,
    transaction::{BasisPoints, Payment, PoolId, Withdrawal},
};

use crate::{
    connection::{Client, Connection, keys_of, parse},
    failure::Failure,
    keys::Keypair,
    operation::{Answer, Operation, Outcome},
};

impl Client {
    /// A transaction of `signer`, followed to its end; its receipt.
    fn execute(&self, signer: &Keypair, kind: TransactionKind) -> Result<Operation, Failure> {
        let keys = keys_of(signer);
        self.operation(move |connection| async move {
            let account = connection.account(&keys).await?.account;
            let receipt: Receipt = account.execute(kind).await?;
            Answer::json(&receipt)
        })
    }
}

/// Pays several.
#[pyfunction]
pub fn pay(client: &Client, signer: &Keypair, payments: Vec<(String, u64)>) -> Result<Operation, Failure> {
    let payments = payments
        .iter()
        .map(|(to, amount)| {
            Ok(Payment {
                to: parse(to)?,
                amount: Shannons(*amount),
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let keys = keys_of(signer);
    client.operation(move |connection| async move {
        let account = connection.account(&keys).await?.account;
        Answer::json(&account.transfer(payments).await?)
    })
}

/// Adds stake to `model:ID` or `validator:ADDRESS`.
#[pyfunction]
pub fn add_stake(client: &Client, signer: &Keypair, pool: &str, amount: u64) -> Result<Operation, Failure> {
    let pool: PoolId = parse(pool)?;
    let amount = Shannons(amount);
    client.execute(signer, TransactionKind::AddStake { pool, amount })
}

/// Withdraws stake; all of it where no amount is given.
#[pyfunction]
#[pyo3(signature = (client, signer, pool, amount=None))]
pub fn withdraw_stake(
    client: &Client,
    signer: &Keypair,
    pool: &str,
    amount: Option<u64>,
) -> Result<Operation, Failure> {
    let pool: PoolId = parse(pool)?;
    let amount = amount.map_or(Withdrawal::All, |amount| Withdrawal::Amount(Shannons(amount)));
    client.execute(signer, TransactionKind::WithdrawStake { pool, amount })
}

#[pyfunction]
pub fn set_model_commission(
    client: &Client,
    signer: &Keypair,
    model: &str,
    rate: u16,
) -> Result<Operation, Failure> {
    let model: ModelId = parse(model)?;
    let commission = BasisPoints::new(rate).map_err(Failure::argument)?;
    client.execute(signer, TransactionKind::SetModelCommission { model, commission })
}

/// Retires a model; what it has committed is then due no more.
#[pyfunction]
pub fn deactivate_model(client: &Client, signer: &Keypair, model: &str) -> Result<Operation, Failure> {
    let (keys, model): (_, ModelId) = (keys_of(signer), parse(model)?);
    client.operation(move |connection| async move {
        let account = connection.account(&keys).await?.account;
        let receipt = account
            .execute(TransactionKind::DeactivateModel { model })
            .await?;
        connection.settle_commit(model);
        Answer::json(&receipt)
    })
}

/// Commits data to a target, reveals it, and hands it over if it wins; the submission's id. Goes on where an
/// earlier call was stopped.
/// `scores` are each model's loss and the winner's cross entropy in nano-nats, and the winner's embedding in
/// units of 2^-15.
#[pyfunction]
#[pyo3(signature = (client, signer, target, data, scores, url=None))]
pub fn submit_data(
    client: &Client,
    signer: &Keypair,
    target: &str,
    data: PyBackedBytes,
    scores: (Vec<u64>, u64, Vec<i16>),
    url: Option<&str>,
) -> Result<Operation, Failure> {
    let (keys, target) = (keys_of(signer), parse(target)?);
    let url = url.map(parse).transpose()?;
    let (losses_nano, cross_entropy_nano, embedding_q15) = scores;
    let scores = Scores {
        losses_nano,
        cross_entropy_nano,
        embedding: Embedding::from_q15(embedding_q15).map_err(Failure::argument)?,
    };
    client.operation(move |connection| async move {
        let account = connection.account(&keys).await?.account;
        Answer::json(&submit(&account, target, &data, scores, url).await?)
    })
}

/// Finishes every submission that an earlier process has left: reveals it, and hands its data over if it
/// wins; their ids.
#[pyfunction]
pub fn reveal_submissions(client: &Client, signer: &Keypair) -> Result<Operation, Failure> {
    let keys = keys_of(signer);
    client.operation(move |connection| reveal_pending(connection, keys))
}
async fn submit(
    account: &Account,
    target: TargetId,
    data: &[u8],
    scores: Scores,
    url: Option<soma_types::Url>,
) -> Result<SubmissionId, Failure> {
    let hash = ContentHash::of(data);
    // Others of this account are for others to take up.
    let left = account
        .pending_submissions_of(move |pending| pending.target == target && pending.reveal.data_hash == hash)
        .await?
        .pop();
    if left.is_none() {
        check(account, target, &scores).await?;
    }
    let pending = match (left, url) {
        (Some(pending), _) => pending,
        (None, None) => account.commit_submission(target, data.to_vec(), scores).await?,
        (None, Some(url)) => account.commit_submission_at(target, url, data, scores).await?,
    };
    account.finish_submission(&pending).await?;
    pending
        .submission
        .ok_or_else(|| Failure::argument("the node named no submission: ask again"))
}

/// Refuses what the ledger would refuse at the reveal, when the deposit is paid already.
async fn check(account: &Account, target: TargetId, scores: &Scores) -> Result<(), Failure> {
    let params = account.params().await?;
    let (min_nano, max_nano) = (params.cross_entropy_min_nano, params.cross_entropy_max_nano);
    let cross_entropy_nano = scores.cross_entropy_nano;
    let target = account.node().target(&target).await?;
    let rejection = if !(min_nano..=max_nano).contains(&cross_entropy_nano) {
        Rejection::LossBand {
            cross_entropy_nano,
            min_nano,
            max_nano,
        }
    } else if scores.embedding.dim() != target.embedding.dim() {
        Rejection::EmbeddingDimension {
            given: scores.embedding.dim() as u32,
            expected: target.embedding.dim() as u32,
        }
    } else {
        let dot_q30 = i64::from(scores.embedding.dot(&target.embedding));
        let threshold_q30 = target.commit_threshold_q30;
        if dot_q30 >= threshold_q30 {
            return Ok(());
        }
        Rejection::BelowThreshold {
            dot_q30,
            threshold_q30,
        }
    };
    Err(ClientError::WouldFail { rejection }.into())
}

async fn reveal_pending(connection: std::sync::Arc<Connection>, keys: soma_types::Keypair) -> Outcome {
    let account = connection.account(&keys).await?.account;
    let mut revealed = Vec::new();
    for (pending, finished) in account.finish_submissions().await? {
        finished?;
        revealed.extend(pending.submission);
    }
    Answer::json(&revealed)
}
