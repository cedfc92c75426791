//! What commands make of a node's answers: against the small ledger that the client's tests have.

mod common;
#[path = "../../client/tests/common/mod.rs"]
mod node;

use std::process::Output;

use common::Bench;
use node::Ledger;
use soma_types::Epoch;

/// A bench with a wallet, and the address of a node that answers as `ledger` does.
async fn bench(ledger: &Ledger) -> (Bench, String) {
    let bench = Bench::new();
    bench.ok(&["wallet", "new"]);
    (bench, ledger.serve().await.address().to_owned())
}

/// Runs a command at `address` beside the ledger, which answers meanwhile.
fn run(bench: &Bench, address: &str, command: &[&str]) -> Output {
    let command = [command, &["--network", address]].concat();
    tokio::task::block_in_place(|| bench.run(&command))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_to_come_is_told_from_one_that_is_not_known() {
    let ledger = Ledger::new();
    let (bench, address) = bench(&ledger).await;
    let output = run(&bench, &address, &["epoch", "99"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: epoch 99 has not begun: epoch 4 is in progress\n"
    );
    let output = run(&bench, &address, &["epoch", "3"]);
    assert!(stderr(&output).contains("no such thing"), "{}", stderr(&output));
    let output = run(&bench, &address, &["epoch"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        shown.contains("4 validators") && output.status.success(),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submitting_says_what_it_waits_for() {
    let ledger = Ledger::new();
    ledger.with(|inner| inner.epoch = Epoch(4));
    let (bench, address) = bench(&ledger).await;
    bench.write("text", "some text to submit");
    let mut child = tokio::task::block_in_place(|| {
        let command = ["submit", "--data", "text", "--network", &address];
        bench
            .command(&command)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    });
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let told =
        tokio::task::block_in_place(|| lines.find(|line| line.as_ref().unwrap().contains("waiting for one")));
    child.kill().unwrap();
    child.wait().unwrap();
    let told = told.unwrap().unwrap();
    assert!(
        told.starts_with("No model competes, so no target is open"),
        "{told}"
    );
}
