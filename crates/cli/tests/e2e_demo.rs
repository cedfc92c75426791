//! The real binary runs the whole competition, with short training, and its report holds.

use std::process::{Command, Output};

use serde_json::Value;

fn demo(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_soma"))
        .arg("demo")
        .args(arguments)
        .env("SOMA_HOME", home.path())
        .output()
        .expect("the binary runs")
}

fn failure(arguments: &[&str]) -> (Option<i32>, String) {
    let output = demo(arguments);
    assert!(output.stdout.is_empty(), "no data on failure");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn e2e_demo_report_holds() {
    let output = demo(&["--json", "--epochs", "1", "--train-seconds", "40", "--seed", "7"]);
    let told = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{told}"));
    assert!(output.status.success(), "{told}\n{report:#}");

    let keys = [
        "elapsed_s",
        "epochs",
        "blocks",
        "finality_ms",
        "validators",
        "models",
        "submissions",
        "targets",
        "audits",
        "rewards",
        "supply",
        "network_bytes_per_hit",
        "roles",
        "mixture",
        "checks",
    ];
    for key in keys {
        assert!(!report[key].is_null(), "{key} is missing: {report:#}");
    }
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 8);
    assert!(checks.iter().all(|check| check["passed"] == true), "{checks:#?}");

    // The checks' own figures, recomputed from the rest of the report.
    let number = |pointer: &str| {
        let value = report
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{pointer} is missing"));
        value
            .as_f64()
            .or_else(|| value.as_str()?.parse().ok())
            .unwrap_or_else(|| panic!("{pointer}: {value}"))
    };
    assert_eq!(report["supply"]["actual"], report["supply"]["expected"]);
    assert!(number("/targets/hit") >= 20.0);
    assert_eq!(number("/submissions/won"), number("/targets/hit"));
    assert_eq!(number("/validators"), 4.0);
    assert!(number("/mixture/bits_per_byte") < number("/mixture/best_single_bits_per_byte"));
    assert!(number("/audits/invalid") >= 1.0);
    assert_eq!(
        number("/audits/done"),
        number("/audits/valid") + number("/audits/invalid")
    );
    assert!(number("/rewards/submitters") > 0.0);
    // Who trains sends weights, who submits and audits scores and fetches them, who follows fetches all.
    let did = |role: usize, what: &str| number(&format!("/roles/{role}/{what}")) > 0.0;
    for (role, does) in [
        (0, [true, false, false, true]),
        (1, [false, true, true, true]),
        (2, [false, true, true, false]),
        (3, [false, false, true, false]),
    ] {
        let done = ["trained", "scored", "downloaded", "uploaded"].map(|what| did(role, what));
        assert_eq!(done, does, "{:#}", report["roles"]);
    }
    let models = report["models"].as_array().unwrap();
    assert_eq!(models.len(), 4);
    for model in models {
        let home = model["bits_per_byte"][model["domain"].as_str().unwrap()]
            .as_f64()
            .unwrap();
        for other in models {
            assert!(
                other["bits_per_byte"][model["domain"].as_str().unwrap()]
                    .as_f64()
                    .unwrap()
                    >= home
            );
        }
    }
}

#[test]
fn bad_data_is_named_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let domain = |set: &str, name: &str, content: &[u8]| {
        let below = folder.path().join(set).join(name);
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("text.txt"), content).unwrap();
    };
    let prose = "It is a truth universally acknowledged. ".repeat(800);

    let (code, told) = failure(&["--data", &path("nowhere")]);
    assert_eq!(code, Some(1));
    assert!(told.contains("does not exist"), "{told}");

    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let (code, told) = failure(&["--data", &path("empty")]);
    assert_eq!(code, Some(1));
    assert!(told.contains("folder"), "{told}");

    domain("single", "english", prose.as_bytes());
    let (code, told) = failure(&["--data", &path("single")]);
    assert_eq!(code, Some(1));
    assert!(told.contains("has one domain (english)"), "{told}");

    domain("binary", "english", prose.as_bytes());
    domain("binary", "noise", &[0, 159, 146, 150].repeat(4096));
    let (code, told) = failure(&["--data", &path("binary")]);
    assert_eq!(code, Some(1));
    assert!(told.contains("binary"), "{told}");

    domain("short", "english", b"too short");
    domain("short", "spanish", b"demasiado corto");
    let (code, told) = failure(&["--data", &path("short")]);
    assert_eq!(code, Some(1));
    assert!(told.contains("english"), "{told}");

    let (code, told) = failure(&["--epochs", "0"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("0 is not in 1..=100"), "{told}");
}
