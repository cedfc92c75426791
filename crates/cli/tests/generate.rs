//! `soma generate`, as a person types it.

mod common;

use std::process::Output;

use common::{Bench, SMALL};
use serde_json::Value;

const TEXT: &str = "she sells sea shells by the sea shore\n";

/// A bench with a model that has learned a text.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("small.json", SMALL);
    bench.write("text.txt", TEXT.repeat(200));
    bench.ok(&[
        "train",
        "--arch",
        "small.json",
        "--data",
        "text.txt",
        "--steps",
        "150",
        "--out",
        "a.safetensors",
    ]);
    bench
}

fn generate(bench: &Bench, more: &[&str]) -> Output {
    let args = ["generate", "--arch", "small.json", "--weights", "a.safetensors"];
    bench.run(&[&args[..], more].concat())
}

fn text(bench: &Bench, more: &[&str]) -> Vec<u8> {
    let output = generate(bench, more);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn a_text_goes_on_as_the_model_has_learned_it() {
    let bench = bench();
    let likely = text(&bench, &["she sells", "--temperature", "0", "--bytes", "60"]);
    assert_eq!(likely.len(), 60, "the text and nothing else");
    assert!(
        String::from_utf8_lossy(&likely).contains("sea"),
        "{}",
        String::from_utf8_lossy(&likely)
    );
    let drawn = |seed: &str| text(&bench, &["she sells", "--seed", seed, "--bytes", "60"]);
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));

    let output = text(
        &bench,
        &["she sells", "--temperature", "0", "--stop", "shells", "--json"],
    );
    let output: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(output["end"], "stop");
    let said = output["text"].as_str().unwrap();
    assert!(
        !said.contains("shells") && likely.starts_with(said.as_bytes()),
        "{said:?}"
    );
    assert_eq!(output["experts"][0]["weight"], 1.0);
}

#[test]
fn what_cannot_be_written_says_why() {
    let bench = bench();
    for (more, code, why) in [
        (&[""][..], 2, "no model knows how a text begins"),
        (&["a", "--temperature", "-1"], 2, "temperature"),
        (&["a", "--top-p", "0"], 2, "top-p 0 is no share"),
        (&["a", "--stop", ""], 2, "--stop needs a text"),
        (&["a", "--bytes", "-1"], 2, "--bytes"),
        (&["a", "--global", "."], 2, "cannot be used with"),
    ] {
        let output = generate(&bench, more);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {stderr}");
        assert!(stderr.contains(why), "{more:?}: {stderr}");
    }
    for (args, why) in [
        (&["generate", "a", "--weights", "none"][..], "cannot read none"),
        (&["generate", "a", "--weights", "text.txt"], "text.txt"),
        (
            &["generate", "a", "--global", "."],
            "take the global model home first",
        ),
    ] {
        let output = bench.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains(why), "{args:?}: {stderr}");
    }
    bench.write("manifest.json", "{}");
    let output = bench.run(&["generate", "a", "--global", "."]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no manifest"));
}
