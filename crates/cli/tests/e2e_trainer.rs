//! A week of `soma trainer run` on a network with short epochs, killed at random; and the strategies on what
//! came of it.

mod common;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::OpenOptions,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use common::{Bench, serving::Server};
use serde_json::{Value, json};
use soma_client::NodeClient;
use soma_localnet::{Config, Localnet};
use soma_types::{
    Address, Architecture, ModelId, TransactionKind,
    objects::ModelStatus,
    params::{ONE_Q16, Params},
};

/// Epochs that the trainer is watched for, and killed.
const WEEK: u64 = 7;
const TEXT: &str =
    "she sells sea shells by the sea shore, and the shells she sells are sea shells, I'm sure.\n";

/// Small enough to train in a moment.
const ARCHITECTURE: Architecture = Architecture {
    embedding_dim: 32,
    heads: 2,
    layers: 1,
    ffn_dim: 64,
    max_seq_len: 64,
    ..Architecture::NANO
};

/// One validator, short epochs, and targets that any direction hits.
fn network(bench: &Bench) -> Localnet {
    let mut config = Config::new(bench.path("net"));
    config.blueprint.validators = 1;
    config.blueprint.params = Params {
        architecture: ARCHITECTURE,
        block_time_ms: 150,
        epoch_blocks: 72,
        audit_commit_blocks: 12,
        audit_reveal_blocks: 8,
        hearing_commit_blocks: 8,
        difficulty_start_q16: -4 * ONE_Q16,
        cross_entropy_max_nano: 1 << 40,
        ..Params::local()
    };
    Localnet::start(config).unwrap()
}

/// A trainer's process; its notes are appended to a file.
fn trainer(bench: &Bench, api: &str) -> Child {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(bench.path("trainer.log"))
        .unwrap();
    bench
        .command(&[
            "trainer",
            "run",
            "trainer",
            "--data",
            "text",
            "--steps",
            "12",
            "--gain",
            "0",
            "--follow-wins",
            "4",
            "--wallet",
            "alice",
            "--network",
            api,
        ])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Not random enough to be a secret, and another at every run.
fn below(bound: u64) -> u64 {
    let nanos = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .subsec_nanos();
    u64::from(nanos / 1_000) % bound
}

/// Kinds of the account's applied transactions, earliest first, and the number of those that failed.
async fn deeds(node: &NodeClient, address: &Address) -> (Vec<TransactionKind>, usize) {
    let (mut kinds, mut failed, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let page = node
            .account_transactions(address, cursor.as_deref(), 1_000)
            .await
            .unwrap();
        for view in page
            .items
            .into_iter()
            .filter(|view| view.transaction.sender.address() == *address)
        {
            match view.receipt {
                Some(receipt) if receipt.applied() => kinds.push(view.transaction.kind),
                Some(_) => failed += 1,
                None => {}
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    kinds.reverse();
    (kinds, failed)
}

#[test]
fn e2e_a_trainer_killed_at_random_keeps_one_model_published() {
    let bench = Bench::new();
    let address: Address =
        serde_json::from_value(bench.json(&["wallet", "new", "alice"])["address"].clone()).unwrap();
    bench.json(&["wallet", "new", "bob"]);
    std::fs::create_dir(bench.path("text")).unwrap();
    bench.write("text/own.txt", TEXT.repeat(400));
    let others: String = (0..40)
        .map(|n| format!("{{\"text\": \"{n} {}\"}}\n", "tick tock ".repeat(8 + n)))
        .collect();
    bench.write("others.jsonl", others);
    let net = network(&bench);
    let api = format!("http://{}", net.apis()[0]);
    let on = |args: &[&str]| -> Vec<String> {
        [args, &["--network", &api]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let json = |args: &[&str]| {
        let args = on(args);
        bench.json(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = NodeClient::new(&api).unwrap();
    let epoch = || runtime.block_on(node.status()).map_or(0, |status| status.epoch.0);
    let start = Instant::now();
    while bench
        .run(
            &on(&["faucet", "alice"])
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        )
        .status
        .code()
        != Some(0)
    {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "the network does not begin"
        );
        std::thread::sleep(Duration::from_millis(300));
    }
    json(&["faucet", "bob"]);

    let first = epoch();
    let (mut kills, mut submitted) = (0, 0);
    let (mut served, mut receipts) = (None, Vec::new());
    let mut child = trainer(&bench, &api);
    while epoch() < first + WEEK {
        // Every other start lives long enough to do what is due.
        let lives = if kills % 2 == 0 { 6_000 } else { 100 + below(4_000) };
        std::thread::sleep(Duration::from_millis(lives));
        if kills == 2 {
            // Two at once are refused.
            let output = bench.run(
                &on(&["trainer", "run", "trainer", "--once"])
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
            );
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(stderr.contains("is in use by another process"), "{stderr}");
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "{}",
            std::fs::read_to_string(bench.path("trainer.log")).unwrap()
        );
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        kills += 1;
        child = trainer(&bench, &api);
        // Others use the model meanwhile.
        let active = runtime
            .block_on(node.global())
            .is_ok_and(|global| !global.experts.is_empty());
        if active && submitted < 2 {
            let args = on(&[
                "submit",
                "--data",
                "others.jsonl",
                "--hits",
                "4",
                "--wallet",
                "bob",
            ]);
            let output = bench.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(output.status.code().is_some(), "{output:?}");
            submitted += 1;
        }
        // And ask it: whatever changes, they are answered.
        if active {
            let follow = ["--global", "served", "--follow", "--network", &api];
            let server = served.get_or_insert_with(|| Server::start(&bench, &follow));
            let ask = json!({"model": "whole", "prompt": "she sells", "max_tokens": 8, "seed": 1});
            receipts.push(server.complete(&ask)["soma"].clone());
        }
    }
    // Asked to stop, it ends soon and says how it stands. Before it has begun a signal just ends it.
    std::thread::sleep(Duration::from_secs(5));
    let stopped = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(stopped.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let log = std::fs::read_to_string(bench.path("trainer.log")).unwrap();
    println!(
        "{log}\n{kills} kills in {WEEK} epochs, {} s",
        start.elapsed().as_secs()
    );

    let (kinds, failed) = runtime.block_on(deeds(&node, &address));
    let count = |wanted: fn(&TransactionKind) -> bool| kinds.iter().filter(|kind| wanted(kind)).count();
    let created = count(|kind| matches!(kind, TransactionKind::CreateModel { .. }));
    let commits = count(|kind| matches!(kind, TransactionKind::CommitModel { .. }));
    let reveals = count(|kind| matches!(kind, TransactionKind::RevealModel { .. }));
    println!("{created} models, {commits} commits, {reveals} reveals, {failed} failed transactions");
    assert_eq!(created, 1, "{log}");
    assert!(commits >= 3 && reveals >= 2, "{log}");
    assert!(commits - reveals <= 1, "a commit lapsed: {log}");
    let model: ModelId = {
        let all = runtime.block_on(node.models(&soma_client::ModelFilter {
            owner: Some(address),
            ..Default::default()
        }));
        let all = all.unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].model.status, ModelStatus::Active);
        assert!(
            all[0].pool.stake >= net.genesis().params.model_stake_min,
            "nothing was slashed"
        );
        all[0].model.id
    };

    // Models of every epoch have answered, and only the last one's are kept.
    let epochs: BTreeSet<u64> = receipts
        .iter()
        .map(|receipt| receipt["epoch"].as_u64().unwrap())
        .collect();
    assert!(epochs.len() >= 2, "{epochs:?}");
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt["models"][0]["name"] == model.to_string())
    );
    let kept = || {
        let files = std::fs::read_dir(bench.path("served")).unwrap();
        let is_weights = |name: &OsStr| Path::new(name).extension() == Some("safetensors".as_ref());
        files
            .filter(|file| is_weights(&file.as_ref().unwrap().file_name()))
            .count()
    };
    let begun = Instant::now();
    while kept() > 2 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "more than a model and the genesis weights"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(served);

    // As cron starts it: what is due is done, and a second start in the same epoch finds nothing.
    let once = ["trainer", "run", "trainer", "--once", "--wallet", "alice"];
    let told = json(&once);
    assert_eq!(told["model"], Value::String(model.to_string()));
    let again = json(&once);
    if again["round"] == told["round"] {
        assert!(again["deeds"].as_array().unwrap().is_empty(), "{again}");
    }
    assert!(
        again["due"][0]["epoch"].as_u64().unwrap() > first + WEEK,
        "{again}"
    );

    // Where a round outlasts its epoch, the next one is the next start's.
    let long = json(&[&once[..], &["--steps", "40000"]].concat());
    let rounds = long["round"].as_u64().unwrap() - again["round"].as_u64().unwrap();
    assert!(rounds <= 1, "{long}");

    strategies(&bench, &json, model);
    net.stop().unwrap();
}

/// The commands on a network that has a model and data that won.
fn strategies(bench: &Bench, json: &dyn Fn(&[&str]) -> Value, model: ModelId) {
    let home = json(&["global", "fetch", "--out", "global"]);
    assert_eq!(
        (home["complete"].as_bool(), home["fetched"].as_u64()),
        (Some(true), Some(1))
    );
    let expert = &home["experts"][0];
    assert_eq!(expert["model"], Value::String(model.to_string()));
    let name = expert["file"]["name"].as_str().unwrap().to_owned();
    let weights = bench.path("global").join(&name);
    let bytes = std::fs::read(&weights).unwrap();
    soma_model::Model::from_bytes(&bytes, &ARCHITECTURE).unwrap();
    // It goes on where it was; what is damaged is fetched again.
    let again = json(&["global", "fetch", "--out", "global"]);
    let of_one_epoch = again["epoch"] == home["epoch"];
    if of_one_epoch {
        assert_eq!(
            (again["fetched"].as_u64(), again["kept"].as_u64()),
            (Some(0), Some(1))
        );
    }
    std::fs::write(&weights, b"damaged").unwrap();
    let mended = json(&["global", "fetch", "--out", "global"]);
    if mended["epoch"] == home["epoch"] {
        assert_eq!(mended["fetched"], 1);
        assert_eq!(std::fs::read(&weights).unwrap(), bytes);
    } else {
        std::fs::write(&weights, &bytes).unwrap();
    }
    // Without a word of which models, it is the network's.
    let written = json(&["generate", "she sells", "--bytes", "8"]);
    assert_eq!(written["experts"].as_array().unwrap().len(), 1, "{written}");
    let shown = json(&["global", "show"]);
    assert_eq!(shown["experts"][0]["model"], Value::String(model.to_string()));

    // A model has no gap to itself; another's weights have one for each target.
    let file = weights.to_str().unwrap();
    let own = json(&["gaps", "--weights", file, "--model", &model.to_string()]);
    assert!(own["gaps"].as_array().unwrap().is_empty(), "{own}");
    let all = json(&["gaps", "--weights", file, "--out", "behind"]);
    let gaps = all["gaps"].as_array().unwrap();
    if let Some(gap) = gaps.first() {
        assert_eq!(all["domains"][0]["model"], gap["winner"]);
        let of = |name: &str| gap[name].as_i64().unwrap();
        assert_eq!(of("gap_nano"), of("loss_nano") - of("winner_loss_nano"));
    }
    let sparse = json(&[
        "sparse",
        "--weights",
        file,
        "--data",
        "text/own.txt",
        "others.jsonl",
    ]);
    let places = sparse["places"].as_array().unwrap();
    assert_eq!((sparse["models"].as_u64(), places.len()), (Some(1), 2));
    // With a single model each place is given every target.
    assert_eq!(places[0]["share"], 1.0);
}
