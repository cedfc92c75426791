//! A real network with real auditors, and someone with a model and money.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use soma_agents::{
    Auditor, Downloader, Experts, ScoringDesk,
    auditor::Progress,
    bench::{Bench, data_of},
    recheck::{Claimed, Recheck, recheck},
};
use soma_blobs::FetchPolicy;
use soma_client::{Account, Journal, NodeClient, Scores, TargetFilter};
pub use soma_localnet::testing::{PATIENCE, wait};
use soma_localnet::{Config, Localnet};
use soma_model::Scorer;
use soma_types::{
    Architecture, Embedding, Keypair, ModelId, Seed, SubmissionId,
    api::{SubmissionView, TargetView},
    params::{ONE_Q16, Params},
    phase::TargetPhase,
    transaction::BasisPoints,
};
use tokio::{sync::mpsc, task::JoinSet};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/vectors")
}

/// The shape of [`weights`].
pub fn architecture() -> Architecture {
    let json = std::fs::read(vectors().join("nano.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    serde_json::from_value(json["architecture"].clone()).unwrap()
}

/// Sound weights.
pub fn weights() -> Vec<u8> {
    std::fs::read(vectors().join("nano.safetensors")).unwrap()
}

/// Short epochs in which any direction hits.
pub fn rules() -> Params {
    Params {
        architecture: architecture(),
        block_time_ms: 150,
        epoch_blocks: 36,
        audit_commit_blocks: 12,
        audit_reveal_blocks: 8,
        hearing_commit_blocks: 8,
        difficulty_start_q16: -4 * ONE_Q16,
        ..Params::local()
    }
}

/// Starts the network in `folder`, or the one that is there already.
pub fn start(folder: &Path, params: Params) -> Localnet {
    let mut config = Config::new(folder);
    config.blueprint.params = params;
    Localnet::start(config).unwrap()
}

/// A client of the first node.
pub fn client(net: &Localnet) -> NodeClient {
    NodeClient::new(&format!("http://{}", net.apis()[0])).unwrap()
}

/// Fresh auditors, one for each validator. They end with the set; what came of their steps can be received.
pub fn auditors(net: &Localnet, folder: &Path) -> (JoinSet<()>, mpsc::UnboundedReceiver<Progress>) {
    let params = &net.genesis().params;
    let desk = ScoringDesk::new(Scorer::new().unwrap());
    let policy = FetchPolicy {
        private_addresses: true,
        timeout: Duration::from_secs(600),
        ..FetchPolicy::default()
    };
    let (tell, told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for (keys, address) in net.validator_accounts().iter().zip(net.apis()) {
        let node = NodeClient::new(&format!("http://{address}")).unwrap();
        let account = Account::new(node.clone(), keys.clone(), Journal::new(folder.join("auditors")));
        let experts = Experts::new(Downloader::new(node, policy.clone()).unwrap());
        let auditor = Auditor::new(account, params.clone(), experts, desk.clone());
        let tell = tell.clone();
        tasks.spawn(async move {
            let observe = move |step: Result<Progress, _>| {
                if let Ok(progress) = step {
                    let _ = tell.send(progress);
                }
            };
            match auditor.run(observe).await {}
        });
    }
    (tasks, told)
}

/// Someone with the faucet's money.
pub async fn funded(node: &NodeClient, secret: u8, folder: &Path) -> Account {
    let keys = Keypair::from_secret_bytes([secret; 32]);
    let account = Account::new(node.clone(), keys, Journal::new(folder.join("journal")));
    wait("the faucet", async || {
        let _ = node.faucet(&account.address(), None).await;
        account.balance().await.ok().filter(|balance| !balance.is_zero())
    })
    .await;
    account
}

/// Where a model is said to be good.
pub fn place(seed: u8) -> Embedding {
    Embedding::draw(&Seed([seed; 32]), architecture().embedding_dim as usize)
}

/// A model of `account` with its least stake.
pub async fn create(account: &Account) -> ModelId {
    let stake = account.params().await.unwrap().model_stake_min;
    account.create_model(BasisPoints::default(), stake).await.unwrap()
}

/// Publishes sound weights under a new model of `account`, and waits until they compete.
pub async fn compete(account: &Account) -> ModelId {
    let (model, node) = (create(account).await, account.node());
    let committed = account
        .commit_model(model, weights().into(), Some(place(1)))
        .await
        .unwrap();
    node.wait_for_epoch(committed.reveal_in, PATIENCE).await.unwrap();
    account.reveal_model(model, None).await.unwrap();
    node.wait_for_epoch(committed.reveal_in.next(), PATIENCE)
        .await
        .unwrap();
    model
}

/// A host that takes every connection and never answers.
pub fn tarpit() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let held: Vec<_> = listener.incoming().collect();
        drop(held);
    });
    format!("http://{address}/never")
}

/// The targets that are open now.
pub async fn open_targets(node: &NodeClient) -> Vec<TargetView> {
    // One that settles has a reveal, and takes no claim any more once that has won.
    let filter = TargetFilter {
        phase: Some(TargetPhase::Open),
        epoch: None,
    };
    let mut targets = node.targets(&filter).await.unwrap();
    targets.retain(|view| view.current);
    targets
}

/// Scores that nobody computed, and that hit `target`.
pub fn made_up(target: &TargetView) -> Scores {
    Scores {
        losses_nano: vec![1_000_000_000; target.target.models.len()],
        cross_entropy_nano: 900_000_000,
        embedding: target.embedding.clone(),
    }
}

/// Submits `data`, which the node keeps, for `target` with made-up scores.
pub async fn claim_falsely(account: &Account, target: &TargetView, data: &[u8]) -> SubmissionId {
    account.node().put_blob(&data.to_vec().into()).await.unwrap();
    let pending = account.enter_submission(target.target.id, data.to_vec(), made_up(target), None);
    pending.await.unwrap().submission.unwrap()
}

/// The same for data that is said to be at `url`.
pub async fn claim_falsely_at(
    account: &Account,
    target: &TargetView,
    url: &str,
    data: &[u8],
) -> SubmissionId {
    let pending = account
        .commit_submission_at(target.target.id, url.parse().unwrap(), data, made_up(target))
        .await
        .unwrap();
    account.reveal_submission(&pending).await.unwrap();
    pending.submission.unwrap()
}

/// What its audit came to.
pub async fn verdict(node: &NodeClient, submission: &SubmissionId) -> SubmissionView {
    wait("the verdict", async || {
        let view = node.submission(submission).await.ok()?;
        view.audit_outcome.is_some().then_some(view)
    })
    .await
}

/// What an auditor finds of a winner, long after.
pub async fn examine(node: &NodeClient, submission: &SubmissionId) -> Recheck {
    let view = node.submission(submission).await.unwrap();
    let found = view.submission.found.unwrap();
    let target = node.target(&view.submission.target).await.unwrap();
    let bench = Bench::of(node, target).await.unwrap();
    let experts = Experts::new(Downloader::new(node.clone(), FetchPolicy::default()).unwrap());
    let data = data_of(&experts, &found).await.unwrap();
    let desk = ScoringDesk::new(Scorer::new().unwrap());
    let exact = bench.contest(data, &experts, &desk).await.unwrap();
    let claimed = Claimed::by(&found, view.embedding, &bench.target.target.models);
    recheck(&claimed, &bench.target.embedding, &exact)
}
