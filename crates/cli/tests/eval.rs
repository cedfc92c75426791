//! `soma eval`, as a person types it.

mod common;

use common::{Bench, SMALL};
use serde_json::{Value, json};

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

/// A global model is sparse: a text is routed to those that specialise in what it is, and no others are used.
#[test]
fn a_text_is_routed_to_the_models_nearest_to_it() {
    let bench = bench();
    bench.write("all.txt", PROSE.repeat(100) + &TABLE.repeat(100));
    let train = ["train", "--arch", "small.json", "--steps", "150"];
    bench.ok(&[&train[..], &["--data", "all.txt", "--out", "genesis.safetensors"]].concat());
    let file = |name: &str| {
        let bytes = std::fs::read(bench.path(name)).unwrap();
        let hash = soma_types::ContentHash::of(&bytes);
        json!({"name": name, "size_bytes": bytes.len(), "hash": hash})
    };
    let expert = |number: u8, name: &str, stake: &str| {
        let data = format!("{name}.txt");
        let embed = [
            "embed",
            "--arch",
            "small.json",
            "--weights",
            "genesis.safetensors",
        ];
        let place = bench.json(&[&embed[..], &["--data", &data]].concat());
        json!({
            "model": soma_types::ModelId([number; 32]),
            "url": "soma:ab",
            "hash": soma_types::ContentHash([number; 32]),
            "size_bytes": 1,
            "key": format!("0x{}", "7".repeat(64)),
            "embedding": place["embedding"],
            "stake": stake,
            "file": file(&format!("{name}.safetensors")),
            "unusable": null,
        })
    };
    let architecture: Value = serde_json::from_str(SMALL).unwrap();
    let manifest = json!({
        "chain": soma_types::ChainId([1; 32]),
        "epoch": 1,
        "height": 1,
        "architecture": architecture,
        "genesis": file("genesis.safetensors"),
        "experts": [expert(1, "prose", "20000000000"), expert(2, "table", "10000000000")],
        "complete": true,
    });
    bench.write("manifest.json", manifest.to_string());
    let used = |args: &[&str]| -> Vec<String> {
        let output = bench.json(args);
        let experts = output["experts"].as_array().unwrap().iter();
        experts
            .map(|expert| {
                let file = expert["file"].as_str().unwrap();
                file.rsplit('/').next().unwrap().to_owned()
            })
            .collect()
    };
    let (prose, table) = ("prose.safetensors".to_owned(), "table.safetensors".to_owned());
    let nearest = ["--global", ".", "--nearest"];
    for (text, model) in [("prose.txt", &prose), ("table.txt", &table)] {
        let one = [&["eval", text][..], &nearest, &["1"]].concat();
        assert_eq!(used(&one), std::slice::from_ref(model), "{text}");
        let more = [&["eval", text][..], &nearest, &["5"]].concat();
        assert_eq!(used(&more), [prose.clone(), table.clone()], "{text}");
    }
    let one = [&["generate", TABLE, "--bytes", "3"][..], &nearest, &["1"]].concat();
    assert_eq!(used(&one), [table]);
    let output = bench.run(&[&["eval", "prose.txt", "--nearest", "1"], &MODELS[..]].concat());
    assert_eq!(output.status.code(), Some(2), "it is the global model's");
}

#[test]
fn what_cannot_be_evaluated_says_why() {
    let bench = bench();
    bench.write("empty.txt", "");
    bench.write("byte.txt", "a");
    let byte = [&["eval", "byte.txt"], &MODELS[..]].concat();
    let output = bench.run(&byte);
    assert!(output.status.success());
    let (text, note) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(
        !text.contains("0.0") && !text.contains("-0") && !text.contains("NaN"),
        "{text}"
    );
    assert!(note.contains("no byte is predicted"), "{note}");
    let output = bench.json(&byte);
    assert_eq!(output["bits_per_byte"], Value::Null);
    assert_eq!(output["experts"][1]["share"], Value::Null);
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
