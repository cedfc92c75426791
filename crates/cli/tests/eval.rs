//! `soma eval`, as a person types it.

mod common;

use common::{Bench, SMALL};
use serde_json::Value;

const PROSE: &str = "she sells sea shells by the sea shore\n";
const TABLE: &str = "1021,77,3\n1022,78,4\n1023,79,5\n";

/// A bench with a model of prose and one of tables, and a text that is first one, then the other.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("small.json", SMALL);
    for (name, text) in [("prose", PROSE), ("table", TABLE)] {
        let (data, out) = (format!("{name}.txt"), format!("{name}.safetensors"));
        bench.write(&data, text.repeat(200));
        let train = ["train", "--arch", "small.json", "--steps", "150"];
        bench.ok(&[&train[..], &["--data", &data, "--out", &out]].concat());
    }
    bench.write("mixed.txt", PROSE.repeat(60) + &TABLE.repeat(60));
    bench
}

const MODELS: [&str; 4] = [
    "--arch",
    "small.json",
    "--weights",
    "prose.safetensors,table.safetensors",
];

#[test]
fn each_model_speaks_where_it_knows_most() {
    let bench = bench();
    let text = bench.ok(&[&["eval", "mixed.txt"], &MODELS[..]].concat());
    let picture: String = text
        .lines()
        .filter(|line| !line.is_empty() && line.chars().all(|letter| "AaBb".contains(letter)))
        .collect();
    let half = picture.len() * PROSE.len() / (PROSE.len() + TABLE.len());
    let count = |part: &str, letter| part.chars().filter(|other| *other == letter).count();
    assert!(count(&picture[..half], 'A') * 10 > half * 9, "{text}");
    assert!(
        count(&picture[half + 2..], 'B') * 10 > (picture.len() - half) * 8,
        "{text}"
    );

    let json = bench.ok(&[&["eval", "mixed.txt", "--json"], &MODELS[..]].concat());
    let output: Value = serde_json::from_str(&json).unwrap();
    let bits = |value: &Value| value["bits_per_byte"].as_f64().unwrap();
    let experts = output["experts"].as_array().unwrap();
    assert!(
        experts.iter().all(|expert| bits(&output) < bits(expert)),
        "{json}"
    );
    let shares: f64 = experts
        .iter()
        .map(|expert| expert["share"].as_f64().unwrap())
        .sum();
    assert!((shares - 1.0).abs() < 1e-9, "{json}");
    let bytes = (PROSE.len() + TABLE.len()) as u64 * 60;
    assert!(output["predicted_bytes"].as_u64().unwrap() < bytes);
}

#[test]
fn what_cannot_be_evaluated_says_why() {
    let bench = bench();
    bench.write("empty.txt", "");
    for (args, why) in [
        (
            &["eval", "mixed.txt", "--network", "http://127.0.0.1:1"][..],
            "no models are named",
        ),
        (&["eval", "--weights", "prose.safetensors"], "SRC"),
        (
            &[
                "eval",
                "gone.txt",
                "--weights",
                "prose.safetensors",
                "--arch",
                "small.json",
            ],
            "gone.txt",
        ),
        (
            &[
                "eval",
                "mixed.txt",
                "--weights",
                "gone.safetensors",
                "--arch",
                "small.json",
            ],
            "gone.safetensors",
        ),
        (
            &[
                "eval",
                "mixed.txt",
                "--weights",
                "prose.txt",
                "--arch",
                "small.json",
            ],
            "prose.txt",
        ),
        (
            &[
                "eval",
                "empty.txt",
                "--weights",
                "prose.safetensors",
                "--arch",
                "small.json",
            ],
            "empty",
        ),
    ] {
        let output = bench.run(args);
        assert!(!output.status.success(), "{args:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(why), "{args:?}: {error}");
    }
}
