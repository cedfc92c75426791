//! A localnet as its own process: money moves, `kill -9` loses nothing, one folder runs one network.

mod common;

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use common::{Bench, localnet::Localnet};
use serde_json::Value;

const SHANNONS_PER_SOMA: u64 = 1_000_000_000;

/// Whoever stakes enough becomes a validator of the ledger, has a seat from the next epoch, and can leave
/// again.
#[test]
fn e2e_a_validator_comes_and_goes() {
    let bench = Bench::new();
    bench.json(&["wallet", "new", "alice"]);
    bench.json(&["wallet", "new", "node"]);
    let net = Localnet::start(&bench);
    let refused = |args: &[&str], why: &str| {
        let output = bench.run(&[args, &["--network", &net.api]].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(why), "{args:?}: {stderr}");
    };
    let run = |args: &[&str]| bench.ok(&[args, &["--network", &net.api]].concat());
    let register = ["validator", "register", "--network-key", "node"];
    let soma = |amount: &Value| amount.as_str().unwrap().parse::<u64>().unwrap() / SHANNONS_PER_SOMA;

    net.json(&bench, &["faucet", "--amount", "2500"]);
    refused(&["validator", "leave"], "no validator: register first");
    refused(&[&register[..], &["--stake", "999"]].concat(), "1000 SOMA");
    let said = run(&[&register[..], &["--commission", "500"]].concat());
    assert!(
        said.contains("with 1000 SOMA") && said.contains("orders no blocks yet"),
        "{said}"
    );
    refused(&register, "is a validator");
    let list = net.json(&bench, &["stake", "list"]);
    assert_eq!(soma(&list["stakes"][0]["pending"]), 1_000);
    let joined = list["epoch"].as_u64().unwrap();
    assert!(run(&["validator", "commission", "600"]).contains("6.00%"));
    assert!(run(&["validator", "rent", "0.00002"]).contains("0.00002 SOMA"));
    refused(&["validator", "rent", "1.5"], "the most is 1 SOMA");
    let reported = "0x".to_owned() + &"1".repeat(64);
    refused(&["model", "set-commission", &reported, "5"], "model");
    refused(&["model", "deactivate", &reported], "model");
    refused(
        &["validator", "report-model", &reported, "--fault", "wrong-key"],
        "no seat",
    );
    let vote = |digest: &str| serde_json::json!({ "digest": format!("0x{}", digest.repeat(64)), "signature": format!("0x{}", "9".repeat(128)) });
    let evidence = serde_json::json!({ "network_key": reported, "epoch": 0, "view": 6, "first": vote("1"), "second": vote("2") });
    bench.write("evidence.json", evidence.to_string());
    refused(&["validator", "report-equivocation", "evidence.json"], "seat");

    let address = list["address"].as_str().unwrap().to_owned();
    let pool = format!("validator:{address}");
    net.reaches(&bench, joined + 1);
    let seated = net.json(&bench, &["validator", "list"]);
    let validators = seated["validators"].as_array().unwrap();
    let own = validators
        .iter()
        .find(|view| view["validator"]["address"] == address.as_str());
    assert_eq!(soma(&own.unwrap()["seat"]["stake"]), 1_000);
    // It votes, as any seat does.
    run(&["validator", "propose", "--set", "open_targets=20"]);
    refused(&["stake", "withdraw", &pool, "100"], "1000 SOMA");
    let said = run(&["validator", "leave"]);
    assert!(said.contains(&pool), "{said}");
    run(&["stake", "withdraw", &pool, "600"]);
    let list = net.json(&bench, &["stake", "list"]);
    let waiting = &list["unbonding"][0];
    assert_eq!(soma(&list["stakes"][0]["counting"]), 400);
    assert_eq!(soma(&waiting["amount"]), 600);
    assert_eq!(
        waiting["release"].as_u64(),
        list["epoch"].as_u64().map(|now| now + 2)
    );
    let text = run(&["stake", "list"]);
    assert!(
        text.contains("UNBONDING FROM") && text.contains("600") && text.contains("2 ahead"),
        "{text}"
    );
}

#[test]
fn e2e_localnet_survives_kill() {
    let bench = Bench::new();
    bench.json(&["wallet", "new", "alice"]);
    bench.json(&["wallet", "new", "bob"]);
    let mut net = Localnet::start(&bench);

    net.json(&bench, &["faucet", "--amount", "5"]);
    assert_eq!(net.balance(&bench, "alice"), 5 * SHANNONS_PER_SOMA);
    let receipt = net.json(&bench, &["send", "bob", "1.5"]);
    let fee: u64 = receipt["fee"].as_str().unwrap().parse().unwrap();
    assert!(fee > 0);
    // Bob is new: the account has its price, once.
    let opened = &receipt["events"][0];
    assert_eq!(opened["event"], "account_opened");
    let price: u64 = opened["price"].as_str().unwrap().parse().unwrap();
    let left = 5 * SHANNONS_PER_SOMA - 1_500_000_000 - price - fee;
    let balances = |net: &Localnet| (net.balance(&bench, "alice"), net.balance(&bench, "bob"));
    assert_eq!(balances(&net), (left, 1_500_000_000));

    // What the ledger refuses is told in its own words, which name the values and the remedy.
    let output = bench.run(&["send", "bob", "100", "--network", &net.api]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("error: ") && stderr.contains("100 SOMA are needed: fund the account"),
        "{stderr}"
    );
    let missing = bench.run(&["model", "show", "0x123456", "--network", &net.api]);
    assert_eq!(missing.status.code(), Some(1));

    // Tables and texts of a young network.
    for command in [
        &["status"][..],
        &["epoch"],
        &["params"],
        &["model", "list"],
        &["target", "list"],
        &["submission", "list"],
    ] {
        let args = [command, &["--network", &net.api]].concat();
        bench.ok(&args);
        net.json(&bench, command);
    }

    // One folder, one network.
    let second = bench.run(&["localnet", "--dir", "net", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert!(stderr.contains("another localnet is running"), "{stderr}");
    let forced = bench.run(&["localnet", "--dir", "net", "--force"]);
    assert_eq!(forced.status.code(), Some(1));
    net.goes_on(&bench);

    // What would fail was not sent, and has cost nothing. All of it is as final as a block can be.
    let before = (left, 1_500_000_000);
    assert_eq!(balances(&net), before);
    let (height, chain) = (net.height(&bench), net.chain.clone());
    net.child.kill().unwrap();
    net.child.wait().unwrap();
    drop(net);

    let mut net = Localnet::start(&bench);
    assert_eq!(net.chain, chain);
    assert!(
        net.height(&bench) >= height,
        "blocks after {} are lost; there were {height}",
        net.height(&bench)
    );
    assert_eq!(balances(&net), before);
    net.goes_on(&bench);
    net.json(&bench, &["send", "bob", "0.5"]);
    assert_eq!(net.balance(&bench, "bob"), 2_000_000_000);

    // Another shape is another network.
    let args = [
        "localnet",
        "--dir",
        "net",
        "--listen",
        "127.0.0.1:0",
        "--validators",
        "2",
    ];
    let other = bench.run(&args);
    assert_eq!(other.status.code(), Some(1));

    // Asked to stop, it stops cleanly.
    let asked = std::process::Command::new("kill")
        .arg(net.child.id().to_string())
        .status()
        .unwrap();
    assert!(asked.success());
    assert_eq!(net.child.wait().unwrap().code(), Some(0));
}

/// The engine panics where it cannot go on; the person at the terminal reads one sentence.
#[test]
fn e2e_a_localnet_whose_folder_goes_says_why_it_ends() {
    let bench = Bench::new();
    let mut child = bench
        .command(&[
            "localnet",
            "--dir",
            "net",
            "--validators",
            "1",
            "--listen",
            "127.0.0.1:0",
            "--json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let announced = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .any(|line| line.unwrap() == "}");
    assert!(announced, "it did not start");
    std::fs::remove_dir_all(bench.path("net")).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("genesis.json") && !stderr.contains("panicked"),
        "{stderr}"
    );
}
