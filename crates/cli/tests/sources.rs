//! Commands read what lies elsewhere, from servers that the test starts.

mod common;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::Output,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use common::Bench;

const SHA: &str = "9bb295ddab0e05d785b879661af7260fed5140fc";

/// A hub with one data set, `a/b`, of ten lines; and a file of the same at `/file.jsonl`, and at
/// `/busy.jsonl`, which is answered upon the second request. Its address.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_busy = AtomicBool::new(true);
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(socket.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let path = head
                .first()
                .and_then(|line| line.split(' ').nth(1))
                .unwrap_or_default();
            let text = |i: usize| format!("line {i} {}", "of some words and more ".repeat(60));
            let language = |i: usize| if i.is_multiple_of(2) { "en" } else { "de" };
            let data: String = (0..10)
                .map(|i| format!("{{\"body\":\"{}\",\"language\":\"{}\"}}\n", text(i), language(i)))
                .collect();
            let (status, body) = if path.contains("/revision/") {
                (200, format!("{{\"sha\":\"{SHA}\",\"tags\":[\"license:mit\"]}}"))
            } else if path.contains("/tree/") {
                let size = data.len();
                (
                    200,
                    format!("[{{\"type\":\"file\",\"path\":\"x.jsonl\",\"oid\":\"1\",\"size\":{size}}}]"),
                )
            } else if path == "/busy.jsonl" && is_busy.swap(false, Ordering::Relaxed) {
                (503, String::new())
            } else if path.ends_with(".jsonl") {
                (200, data)
            } else {
                (401, String::new())
            };
            let length = body.len();
            // Whoever asked may have enough.
            let _ = write!(
                socket,
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    format!("http://{address}")
}

fn train(bench: &Bench, hub: &str, more: &[&str]) -> Output {
    let args = [
        "train",
        "--steps",
        "1",
        "--out",
        "w.safetensors",
        "--json",
        "--data",
    ];
    let mut command = bench.command(&[&args[..], more].concat());
    command
        .env("HF_ENDPOINT", hub)
        .env_remove("HF_TOKEN")
        .output()
        .unwrap()
}

#[test]
fn a_model_trains_on_what_lies_elsewhere() {
    let (bench, hub) = (Bench::new(), serve());
    let file = format!("{hub}/file.jsonl");
    for source in ["hf://datasets/a/b", &file] {
        let select = ["--column", "body", "--where", "language=en", "--take", "4KB"];
        let output = train(&bench, &hub, &[&[source], &select[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        // Lines of some 1400 bytes: three of them are 4 KB.
        assert_eq!(answer["data"]["documents"], 3, "{answer}");
        assert_eq!(answer["data"]["left_out"]["filtered"]["count"], 2, "{answer}");
    }
}

#[test]
fn what_is_tried_again_is_said() {
    let (bench, hub) = (Bench::new(), serve());
    let file = format!("{hub}/busy.jsonl");
    let output = train(&bench, &hub, &[&file, "--column", "body"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = format!("{file}: the server cannot answer now (503); trying again (1 of 4)");
    assert!(output.status.success() && said.contains(&expected), "{said}");
}

#[test]
fn what_is_refused_elsewhere_is_said_with_what_to_do() {
    let (bench, hub) = (Bench::new(), serve());
    let says = |more: &[&str], what: &[&str]| {
        let output = train(&bench, &hub, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(what.iter().all(|what| said.contains(what)), "{said}");
        assert!(!output.status.success());
    };
    // The hub has no data of this kind, and its conversion is for those it knows.
    says(
        &["hf://datasets/a/b/y.parquet"],
        &["(401)", "hf://datasets/a/b/y.parquet", "set HF_TOKEN"],
    );
    says(
        &["hf://datasets/a/b"],
        &[
            "hf://datasets/a/b/x.jsonl",
            "no field `text`, but `body`",
            "--column",
        ],
    );
    says(
        &[&format!("{hub}/secret.txt")],
        &["access is refused (401)", "needs no login"],
    );
    says(&["x", "--where", "language"], &["FIELD=VALUE, FIELD!=VALUE"]);
    says(&["x", "--where", "score>=high"], &["`high` is no number"]);
}
