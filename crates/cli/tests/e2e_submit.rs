//! The documents' flow typed by hand, with storage of one's own, and `soma submit` killed at any step: the
//! real binary on a real network.

mod common;

use std::{
    collections::BTreeSet,
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use common::{Bench, host::Host, localnet::Localnet};
use serde_json::{Value, json};

const SOMA: u64 = 1_000_000_000;

fn amount(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

/// Text that is new each time, as many lines as wanted.
fn text(lines: usize) -> String {
    let words = [
        "river", "stone", "morning", "letter", "garden", "window", "silver", "winter",
    ];
    let line = |number: usize| {
        let word = |at: usize| words[(number * 7 + at * at * 3 + number / 8) % words.len()];
        format!(
            "{} {} and {} {} number {number}\n",
            word(1),
            word(2),
            word(3),
            word(4)
        )
    };
    (0..lines).map(line).collect()
}

/// Encrypt, upload, commit, reveal, submit: each step a command.
fn publish(bench: &Bench, net: &Localnet, host: &Host) -> String {
    let soma = |args: &[&str]| net.json(bench, args);
    bench.write("corpus.txt", text(2_000));
    bench.ok(&[
        "train",
        "--data",
        "corpus.txt",
        "--steps",
        "30",
        "--out",
        "w.safetensors",
    ]);
    let encrypted = bench.json(&[
        "weights",
        "encrypt",
        "w.safetensors",
        "--out",
        "w.enc",
        "--key",
        "w.key",
    ]);
    let key = bench.path("w.key");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    bench.ok(&[
        "weights",
        "decrypt",
        "w.enc",
        "--key",
        "w.key",
        "--out",
        "again.safetensors",
    ]);
    assert_eq!(
        fs::read(bench.path("again.safetensors")).unwrap(),
        fs::read(bench.path("w.safetensors")).unwrap()
    );
    let refused = |args: &[&str], why: &str| {
        let output = bench.run(&[args, &["--network", &net.api]].concat());
        assert!(!output.status.success(), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(why), "{args:?}: {stderr}");
    };
    let encrypt = ["weights", "encrypt", "w.safetensors", "--out"];
    refused(
        &[&encrypt[..], &["w.enc", "--key", "new.key"]].concat(),
        "exists already",
    );
    refused(
        &[&encrypt[..], &["new.enc", "--key", "w.key"]].concat(),
        "exists already",
    );
    bench.write("bad.key", "no key at all");
    let decrypt = ["weights", "decrypt", "w.enc", "--out", "x", "--key"];
    refused(&[&decrypt[..], &["bad.key"]].concat(), "holds no key");
    bench.write("other.key", format!("0x{}\n", "7".repeat(64)));
    refused(&[&decrypt[..], &["other.key"]].concat(), "wrong decryption key");

    let model = soma(&["model", "create"])["model"].as_str().unwrap().to_owned();
    let url = format!("{}/weights", host.url);
    let commit = ["model", "commit", &model, "w.enc", "--url", &url, "--key"];
    // Nobody commits to what nobody can fetch, or to what no key opens.
    refused(&[&commit[..], &["w.key"]].concat(), "404");
    fs::write(bench.path("served/weights"), b"something else").unwrap();
    refused(&[&commit[..], &["w.key"]].concat(), "14 bytes");
    refused(&[&commit[..], &["other.key"]].concat(), "wrong decryption key");
    fs::copy(bench.path("w.enc"), bench.path("served/weights")).unwrap();
    let committed = soma(&[&commit[..], &["w.key"]].concat());
    assert_eq!(
        (&committed["hash"], &committed["url"]),
        (&encrypted["hash"], &url.clone().into())
    );
    // The same again goes on instead of committing twice.
    assert_eq!(soma(&[&commit[..], &["w.key"]].concat())["receipt"], Value::Null);

    let reveal_in = committed["reveal_in"].as_u64().unwrap();
    net.reaches(bench, reveal_in);
    let reveal = [
        "model",
        "reveal",
        &model,
        "--data",
        "corpus.txt",
        "--weights",
        "w.safetensors",
    ];
    let other = format!("{}/other", host.url);
    refused(&[&reveal[..], &["--url", &other]].concat(), "the commit names");
    refused(
        &[&reveal[..], &["--encrypted", "w.safetensors"]].concat(),
        "the commit is to",
    );
    let sure = ["--url", &url, "--encrypted", "w.enc", "--key", "w.key"];
    bench.ok(&[&reveal[..], &sure, &["--network", &net.api]].concat());
    net.reaches(bench, reveal_in + 1);
    model
}

/// All that an account submitted, as the ledger has it.
fn submissions(bench: &Bench, net: &Localnet, wallet: &str) -> Vec<Value> {
    let list = net.json(bench, &["submission", "list", "--submitter", wallet]);
    list.as_array().unwrap().clone()
}

#[test]
fn e2e_what_is_submitted_is_finished_once_whatever_happens() {
    let bench = Bench::new();
    fs::create_dir(bench.path("served")).unwrap();
    for wallet in ["alice", "bob"] {
        bench.json(&["wallet", "new", wallet]);
    }
    bench.json(&["wallet", "use", "alice"]);
    let net = Localnet::start(&bench);
    for wallet in ["alice", "bob"] {
        net.json(&bench, &["faucet", wallet, "--amount", "5000"]);
    }
    let host = Host::of(&bench.path("served"));
    publish(&bench, &net, &host);
    own_storage_gets_winners_alone(&bench, &net, &host);
    budgets_are_kept(&bench, &net);
    killed_at_any_step_it_goes_on(&bench, &net);
    a_node_that_is_gone_is_waited_for(&bench, net);
}

/// Validators fetch winning data from the participant's host once it has won, and nothing of it before.
fn own_storage_gets_winners_alone(bench: &Bench, net: &Localnet, host: &Host) {
    let record = json!({"text": text(400), "license": "CC0-1.0", "id": 7});
    bench.write("own.jsonl", format!("{record}\n"));
    let output = net.json(
        bench,
        &[
            "submit",
            "--data",
            "own.jsonl",
            "--hits",
            "3",
            "--url-base",
            &host.url,
            "--url-folder",
            "served",
        ],
    );
    let won = output["won"].as_u64().unwrap();
    // No more are under way than would be enough.
    assert_eq!(won, 3, "{output:#}");
    let winners = submissions(bench, net, "alice");
    let names: BTreeSet<String> = winners
        .iter()
        .filter(|view| view["status"]["status"] != "lost_race")
        .map(|view| view["found"]["data_hash"].as_str().unwrap()[2..].to_owned())
        .collect();
    for view in &winners {
        let url = view["found"]["data_url"].as_str().unwrap();
        assert!(
            url.starts_with(&host.url) && url.ends_with("#licence=CC0-1.0&id=7"),
            "{url}"
        );
    }
    let start = Instant::now();
    loop {
        let asked: BTreeSet<String> = host.asked().into_iter().collect();
        let served: BTreeSet<String> = fs::read_dir(bench.path("served"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.len() == 64)
            .collect();
        assert!(
            served.is_subset(&names),
            "only what has won: {served:?} {names:?}"
        );
        if served == names && names.is_subset(&asked) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{served:?} {asked:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    // It comes home as lines and as a table, which read alike, with what was told of it.
    let read = |file: &str| {
        let sync = ["data", "sync", "--since", "0", "--out", file];
        let synced = net.json(bench, &sync);
        assert_eq!(
            (synced["fetched"].as_u64(), synced["kept"].as_u64()),
            (Some(3), Some(0))
        );
        assert_eq!(net.json(bench, &sync)["kept"], 3, "{file}");
        let reading = soma_sources::read(&[bench.path(file)], &soma_data::Rules::default()).unwrap();
        let documents = reading.dataset.documents().iter();
        let told = documents.map(|document| {
            let provenance = document.origin.provenance.as_deref().cloned().unwrap();
            (
                document.data.clone(),
                provenance.licence.unwrap(),
                provenance.id.unwrap(),
            )
        });
        told.collect::<BTreeSet<_>>()
    };
    let (lines, table) = (read("won.jsonl"), read("won.parquet"));
    assert!(lines == table && lines.len() == 3, "{lines:?} {table:?}");
    assert!(
        lines
            .iter()
            .all(|(_, licence, id)| licence == "CC0-1.0" && id == "7")
    );
}

/// What a budget forbids is not begun.
fn budgets_are_kept(bench: &Bench, net: &Localnet) {
    bench.write("budget.txt", text(900).split_off(9_000));
    let submit = [
        "submit",
        "--wallet",
        "bob",
        "--data",
        "budget.txt",
        "--network",
        &net.api,
    ];
    let output = bench.run(&[&submit[..], &["--bond-budget", "0.001"]].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && stderr.contains("0.001 SOMA that may be locked"),
        "{stderr}"
    );
    assert!(submissions(bench, net, "bob").is_empty());
    let before = net.balance(bench, "bob");
    let output = bench.run(&[&submit[..], &["--fee-budget", "0.0000001"]].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && stderr.contains("--fee-budget is reached"),
        "{stderr}"
    );
    assert_eq!(net.balance(bench, "bob"), before);
    let output = bench.run(&[&submit[..], &["--fee-budget", "0.0001", "--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let output: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (fees, submitted) = (amount(&output["fees"]), output["submitted"].as_u64().unwrap());
    assert!(submitted > 0 && fees > 0 && fees <= SOMA / 10_000, "{output:#}");
}

/// Killed again and again, it goes on: nothing expires, no data wins twice, no winner's data is missing.
fn killed_at_any_step_it_goes_on(bench: &Bench, net: &Localnet) {
    bench.write("killed.txt", text(6_000).split_off(30_000));
    let submit = [
        "submit",
        "--wallet",
        "bob",
        "--data",
        "killed.txt",
        "--network",
        &net.api,
    ];
    let before = submissions(bench, net, "bob");
    let is_new = |view: &&Value| before.iter().all(|other| other["id"] != view["id"]);
    let is_won = |view: &&Value| ["won", "paid"].contains(&view["status"]["status"].as_str().unwrap());
    // Each second one is asked to stop, and comes to its end.
    for (run, pause_ms) in [2_000, 300, 3_000, 900, 3_500, 1_300, 2_500, 600, 4_000]
        .into_iter()
        .enumerate()
    {
        let mut child = bench
            .command(&submit)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(pause_ms));
        if run % 2 == 0 {
            let _ = child.kill();
            child.wait().unwrap();
        } else {
            let asked = std::process::Command::new("kill")
                .args(["-INT", &child.id().to_string()])
                .status();
            assert!(asked.unwrap().success());
            assert_eq!(child.wait().unwrap().code(), Some(130));
        }
    }
    // The next run finishes what those have left, and knows what they won: no more is won than is wanted.
    let run = |hits: u64| {
        let hits = hits.to_string();
        net.json(bench, &[&submit[..5], &["--hits", &hits]].concat())
    };
    let output = run(1);
    let before_it = output["hits"].as_u64().unwrap();
    let all = submissions(bench, net, "bob");
    let won = all.iter().filter(is_new).filter(is_won).count() as u64;
    assert!(before_it >= 1 && before_it == won, "{output:#} {won}");
    let output = run(before_it + 2);
    assert_eq!(
        (output["won"].as_u64(), output["hits"].as_u64()),
        (Some(2), Some(before_it + 2)),
        "{output:#}"
    );
    let output = run(before_it + 2);
    assert_eq!(
        (output["won"].as_u64(), output["submitted"].as_u64()),
        (Some(0), Some(0)),
        "{output:#}"
    );
    assert_eq!(
        net.json(bench, &["submission", "finish", "--wallet", "bob"]),
        Value::Array(Vec::new())
    );

    // A commit whose target closed before it could be revealed is given up; it expires when its time to be
    // revealed is over.
    let start = Instant::now();
    let all = loop {
        let all = submissions(bench, net, "bob");
        let open = |view: &Value| view["status"]["status"] == "committed";
        if !all.iter().any(open) {
            break all;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{all:#?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    let mut winners = BTreeSet::new();
    for view in &all {
        let status = view["status"]["status"].as_str().unwrap();
        if status == "expired" {
            // Its target closed before it could be revealed: that costs nothing.
            assert_eq!(amount(&view["status"]["forfeited"]), 0, "{view:#}");
            continue;
        }
        assert!(["won", "paid", "lost_race"].contains(&status), "{view:#}");
        if status != "lost_race" {
            let hash = view["found"]["data_hash"].as_str().unwrap().to_owned();
            assert!(winners.insert(hash), "{view:#}");
        }
    }
    assert!(all.iter().filter(is_new).count() > 2, "{} submissions", all.len());
}

/// A run for ever outlives its node: it says so, waits, and goes on.
fn a_node_that_is_gone_is_waited_for(bench: &Bench, net: Localnet) {
    bench.write("gone.txt", text(9_000).split_off(200_000));
    let api = net.api.clone();
    let file = |name: &str| fs::File::create(bench.path(name)).unwrap();
    let mut child = bench
        .command(&[
            "submit",
            "--wallet",
            "bob",
            "--data",
            "gone.txt",
            "--follow",
            "--wait",
            "10",
            "--network",
            &api,
        ])
        .stdout(file("told"))
        .stderr(file("noted"))
        .spawn()
        .unwrap();
    let read = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !is_so() {
            let noted = read("noted");
            assert!(start.elapsed() < Duration::from_secs(120), "{what}: {noted}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let wins = || read("told").matches("  won").count();
    until("the first win", &|| wins() > 0);
    drop(net);
    until("its word", &|| {
        read("noted").contains("waiting until the node answers")
    });
    assert!(child.try_wait().unwrap().is_none(), "{}", read("noted"));
    let before = wins();
    let again = Localnet::start_at(bench, api.trim_start_matches("http://"));
    assert_eq!(again.api, api);
    until("another win", &|| wins() > before);
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130), "{}", read("noted"));
}
