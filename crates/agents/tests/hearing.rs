//! Real auditors on a real network where one of four is drawn: it accuses a false winner, and all convict it in a hearing.
//! The host of its data answers once, when it is revealed: the nodes keep what auditors need.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use soma_agents::{Auditor, Downloader, Experts, ScoringDesk};
use soma_blobs::FetchPolicy;
use soma_client::{Account, Journal, NodeClient, Scores, TargetFilter};
use soma_model::Scorer;
use soma_node::localnet::{Config, Localnet};
use soma_types::{
    Architecture, Embedding, Keypair, Seed,
    objects::SubmissionStatus,
    params::{ONE_Q16, Params},
    transaction::{BasisPoints, Verdict},
};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);

fn rules(architecture: Architecture) -> Params {
    Params {
        architecture,
        block_time_ms: 150,
        epoch_blocks: 36,
        auditors: 1,
        audit_commit_blocks: 12,
        audit_reveal_blocks: 8,
        hearing_commit_blocks: 8,
        // Any direction hits.
        difficulty_start_q16: -4 * ONE_Q16,
        ..Params::local()
    }
}

/// Asks until `ready` says yes.
async fn wait<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ask().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Serves `body` to the first who asks; then the host is gone.
fn serve_once(body: &'static [u8]) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    });
    format!("http://{address}/data")
}

fn auditors(net: &Localnet, folder: &Path) -> JoinSet<()> {
    let params = &net.genesis().params;
    let desk = ScoringDesk::new(Scorer::new().unwrap());
    let mut tasks = JoinSet::new();
    for (keys, address) in net.validator_accounts().iter().zip(net.apis()) {
        let node = NodeClient::new(&format!("http://{address}")).unwrap();
        let account = Account::new(node.clone(), keys.clone(), Journal::new(folder.join("auditors")));
        let experts = Experts::new(Downloader::new(node, FetchPolicy::default()).unwrap());
        let auditor = Auditor::new(account, params.clone(), experts, desk.clone());
        tasks.spawn(async move { match auditor.run(|_| ()).await {} });
    }
    tasks
}

#[test]
fn a_false_winner_is_accused_by_one_and_convicted_by_all() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/vectors");
    let json = std::fs::read(vectors.join("nano.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let architecture: Architecture = serde_json::from_value(json["architecture"].clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    config.blueprint.params = rules(architecture);
    let net = Localnet::start(config).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let node = NodeClient::new(&format!("http://{}", net.apis()[0])).unwrap();
        let keys = Keypair::from_secret_bytes([9; 32]);
        let account = Account::new(node.clone(), keys, Journal::new(folder.path().join("journal")));
        wait("the faucet", async || {
            let _ = node.faucet(&account.address(), None).await;
            account.balance().await.ok().filter(|balance| !balance.is_zero())
        })
        .await;
        let _auditors = auditors(&net, folder.path());

        let stake = net.genesis().params.model_stake_min;
        let model = account.create_model(BasisPoints::default(), stake).await.unwrap();
        let weights = std::fs::read(vectors.join("nano.safetensors")).unwrap();
        let place = |seed| Embedding::draw(&Seed([seed; 32]), architecture.embedding_dim as usize);
        let committed = account
            .commit_model(model, weights, Some(place(1)))
            .await
            .unwrap();
        node.wait_for_epoch(committed.reveal_in, PATIENCE).await.unwrap();
        account.reveal_model(model, None).await.unwrap();
        node.wait_for_epoch(committed.reveal_in.next(), PATIENCE)
            .await
            .unwrap();

        let open = node.targets(&TargetFilter::default()).await.unwrap();
        let scores = Scores {
            losses_nano: vec![1_000_000_000],
            cross_entropy_nano: 900_000_000,
            embedding: open[0].embedding.clone(),
        };
        let data = b"Nobody scored this.";
        let url = serve_once(data).parse().unwrap();
        let pending = account
            .commit_submission_at(open[0].target.id, url, data, scores)
            .await
            .unwrap();
        let hash = pending.reveal.data_hash;
        assert_eq!(node.data_claim(&hash).await.unwrap(), None);
        account.reveal_submission(&pending).await.unwrap();
        let submission = pending.submission.unwrap();
        let claim = node.data_claim(&hash).await.unwrap().unwrap();
        assert_eq!((claim.hash, claim.submission), (hash, submission));
        let view = wait("the verdict", async || {
            let view = node.submission(&submission).await.unwrap();
            view.audit_outcome.is_some().then_some(view)
        })
        .await;
        assert!(
            matches!(
                view.submission.status,
                SubmissionStatus::FoundFalse {
                    verdict: Verdict::FalseScore,
                    ..
                }
            ),
            "{view:?}"
        );
        let outcome = view.audit_outcome.unwrap();
        assert_eq!(outcome.drawn.agreed.len(), 1);
        let hearing = outcome.hearing.expect("three had no say before");
        assert!(2 * hearing.agreed.len() > 4, "{hearing:?}");
    });
    net.stop().unwrap();
}
