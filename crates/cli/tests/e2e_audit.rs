//! Validators audit from the command line: what a false claim says is found, by them alone.

mod common;

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use common::{Bench, Running};
use soma_client::{Account, Journal, NodeClient, Scores, TargetFilter};
use soma_localnet::{
    Config, Localnet,
    testing::{PATIENCE, wait},
};
use soma_types::{
    Architecture, Embedding, Keypair, Seed,
    api::TargetView,
    params::{ONE_Q16, Params},
    phase::TargetPhase,
    transaction::{BasisPoints, Verdict},
};

fn key_text(keys: &Keypair) -> String {
    let bytes = keys.to_secret_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn architecture() -> Architecture {
    let json = std::fs::read(common::vectors().join("nano.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    serde_json::from_value(json["architecture"].clone()).unwrap()
}

/// Short epochs in which any direction hits, and all is audited.
fn rules() -> Params {
    Params {
        architecture: architecture(),
        epoch_blocks: 36,
        audit_commit_blocks: 12,
        audit_reveal_blocks: 8,
        hearing_commit_blocks: 8,
        difficulty_start_q16: -4 * ONE_Q16,
        ..Params::local()
    }
}

async fn compete(account: &Account) {
    let (node, stake) = (account.node(), account.params().await.unwrap().model_stake_min);
    let model = account.create_model(BasisPoints::default(), stake).await.unwrap();
    let weights = std::fs::read(common::vectors().join("nano.safetensors")).unwrap();
    let place = Embedding::draw(&Seed([1; 32]), architecture().embedding_dim as usize);
    let committed = account
        .commit_model(model, weights.into(), Some(place))
        .await
        .unwrap();
    node.wait_for_epoch(committed.reveal_in, PATIENCE).await.unwrap();
    account.reveal_model(model, None).await.unwrap();
    node.wait_for_epoch(committed.reveal_in.next(), PATIENCE)
        .await
        .unwrap();
}

async fn open_target(node: &NodeClient) -> TargetView {
    wait("a target", async || {
        let filter = TargetFilter {
            phase: Some(TargetPhase::Open),
            epoch: None,
        };
        let targets = node.targets(&filter).await.ok()?;
        targets.into_iter().find(|view| view.current)
    })
    .await
}

#[test]
fn e2e_validators_audit() {
    let bench = Bench::new();
    let mut config = Config::new(bench.path("net"));
    config.blueprint.params = rules();
    // Nobody audits here but the commands.
    let net = Localnet::start(config).unwrap();
    let apis: Vec<String> = net.apis().iter().map(|api| format!("http://{api}")).collect();

    // Who is no validator is told so.
    bench.ok(&["wallet", "new"]);
    let refused = bench.run(&["validator", "audit", "--network", &apis[0]]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("is no validator of this network"), "{said}");

    let auditors: Vec<Running> = net
        .validator_accounts()
        .iter()
        .zip(&apis)
        .enumerate()
        .map(|(index, (keys, api))| {
            let wallet = format!("validator-{index}");
            let key = key_text(keys);
            let imported = bench.run_with(&["wallet", "import", &wallet], &key, None);
            assert!(imported.status.success(), "{imported:?}");
            let log = std::fs::File::create(bench.path(&format!("{wallet}.log"))).unwrap();
            let child = bench
                .command(&["validator", "audit", "--wallet", &wallet, "--network", api])
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            Running(child.unwrap())
        })
        .collect();

    // Memory that holds no model is no memory.
    let small = [
        "validator",
        "audit",
        "--wallet",
        "validator-0",
        "--memory",
        "1KiB",
    ];
    let refused = bench.run(&[&small[..], &["--network", &apis[0]]].concat());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("the least is"), "{said}");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    // One is enough.
    let log = bench.path("validator-0.log");
    runtime.block_on(wait("the first", async || {
        std::fs::read_to_string(&log)
            .ok()
            .filter(|log| log.contains("Auditing for"))
    }));
    let again = [
        "validator",
        "audit",
        "--wallet",
        "validator-0",
        "--network",
        &apis[0],
    ];
    let refused = bench.run(&again);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("another `soma validator audit` is at work"),
        "{said}"
    );

    let outcome = runtime.block_on(async {
        let node = NodeClient::new(&apis[0]).unwrap();
        let keys = Keypair::from_secret_bytes([9; 32]);
        let account = Account::new(node.clone(), keys, Journal::new(bench.path("journal")));
        wait("the faucet", async || {
            let _ = node.faucet(&account.address(), None).await;
            account.balance().await.ok().filter(|balance| !balance.is_zero())
        })
        .await;
        compete(&account).await;
        // Scores that nobody computed.
        let target = open_target(&node).await;
        let made_up = Scores {
            losses_nano: vec![1_000_000_000; target.target.models.len()],
            cross_entropy_nano: 900_000_000,
            embedding: target.embedding.clone(),
        };
        let data = b"What nobody has scored.".to_vec();
        node.put_blob(&data.clone().into()).await.unwrap();
        let pending = account.enter_submission(target.target.id, data, made_up, None);
        let submission = pending.await.unwrap().submission.unwrap();
        wait("the verdict", async || {
            let view = node.submission(&submission).await.ok()?;
            view.audit_outcome
        })
        .await
    });
    let logs: Vec<String> = (0..auditors.len())
        .map(|index| std::fs::read_to_string(bench.path(&format!("validator-{index}.log"))).unwrap())
        .collect();
    let votes = outcome.decisive();
    let found = votes.majority.map(|finding| finding.verdict);
    assert_eq!(
        (found, votes.silent.len()),
        (Some(Verdict::FalseScore), 0),
        "{logs:?}"
    );
    assert!(
        logs.iter().all(|log| log.contains("committed 1 verdict")),
        "{logs:?}"
    );
    assert!(
        logs.iter().all(|log| log.contains("revealed 1 verdict")),
        "{logs:?}"
    );

    // Asked to stop, each does, and says nothing is lost.
    for mut auditor in auditors {
        let told = std::process::Command::new("kill")
            .args(["-INT", &auditor.0.id().to_string()])
            .status();
        assert!(told.unwrap().success());
        let ended = wait_for(&mut auditor.0);
        assert!(ended.success(), "{ended}");
    }
}

fn wait_for(child: &mut Child) -> std::process::ExitStatus {
    let start = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "it does not stop");
        std::thread::sleep(Duration::from_millis(50));
    }
}
