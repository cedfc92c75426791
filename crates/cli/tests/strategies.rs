//! The strategies that need no network, as a person types them.

mod common;

use common::{Bench, SMALL};

const TEXT: &str =
    "she sells sea shells by the sea shore, and the shells she sells are sea shells, I'm sure.\n";

/// A bench with text and two models.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("small.json", SMALL);
    bench.write("text.txt", TEXT.repeat(200));
    for (seed, out) in [("1", "a.safetensors"), ("2", "b.safetensors")] {
        bench.ok(&[
            "train",
            "--arch",
            "small.json",
            "--data",
            "text.txt",
            "--steps",
            "3",
            "--seed",
            seed,
            "--out",
            out,
        ]);
    }
    bench
}

fn refused(bench: &Bench, args: &[&str], code: i32, why: &str) {
    let output = bench.run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(stderr.contains(why), "{args:?}: {stderr}");
}

#[test]
fn weights_are_averaged_into_a_file_of_their_own() {
    let bench = bench();
    let merge = |mine: &str, theirs: &str, beta: &str, out: &str| {
        [
            "merge",
            mine,
            theirs,
            "--beta",
            beta,
            "--out",
            out,
            "--arch",
            "small.json",
        ]
        .map(str::to_owned)
    };
    let run = |args: &[String]| bench.ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let said = run(&merge("a.safetensors", "b.safetensors", "0.25", "c.safetensors"));
    assert!(
        said.contains("0.75 of a.safetensors, 0.25 of b.safetensors"),
        "{said}"
    );
    let read = |name: &str| std::fs::read(bench.path(name)).unwrap();
    assert_eq!(read("c.safetensors").len(), read("a.safetensors").len());
    run(&merge("a.safetensors", "b.safetensors", "0", "d.safetensors"));
    assert_eq!(read("d.safetensors"), read("a.safetensors"));
    // Whose average it is, it is a model.
    bench.ok(&[
        "score",
        "--weights",
        "c.safetensors",
        "--arch",
        "small.json",
        "--data",
        "text.txt",
    ]);

    let refuse = |args: &[String], code, why: &str| {
        refused(
            &bench,
            &args.iter().map(String::as_str).collect::<Vec<_>>(),
            code,
            why,
        );
    };
    refuse(
        &merge("a.safetensors", "b.safetensors", "1.5", "e.safetensors"),
        2,
        "must be 0 to 1",
    );
    refuse(
        &merge("a.safetensors", "none", "0.5", "e.safetensors"),
        1,
        "cannot read none",
    );
    refuse(
        &merge("a.safetensors", "text.txt", "0.5", "e.safetensors"),
        1,
        "text.txt: weights: a header",
    );
    refuse(
        &merge("a.safetensors", "b.safetensors", "0.5", "b.safetensors"),
        1,
        "also an input",
    );
    refused(
        &bench,
        &[
            "merge",
            "a.safetensors",
            "b.safetensors",
            "--out",
            "e.safetensors",
        ],
        1,
        "a.safetensors: weights: ",
    );
    assert!(!bench.path("e.safetensors").exists());
}

#[test]
fn a_student_is_taught_from_the_command_line() {
    let bench = bench();
    let distill = |teacher: &str, alpha: &str| {
        [
            "distill",
            "--teacher",
            teacher,
            "--alpha",
            alpha,
            "--arch",
            "small.json",
            "--data",
            "text.txt",
            "--steps",
            "3",
            "--out",
            "s.safetensors",
        ]
        .map(str::to_owned)
    };
    let strs = |args: &[String]| args.to_vec();
    let run = |args: Vec<String>| bench.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let output = run(strs(&distill("b.safetensors", "0.5")));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("from the teacher"), "{said}");
    let taught = std::fs::read(bench.path("s.safetensors")).unwrap();
    assert_ne!(taught, std::fs::read(bench.path("a.safetensors")).unwrap());
    for (teacher, alpha, why) in [
        ("text.txt", "0.5", "text.txt: weights: a header"),
        ("b.safetensors", "1.5", "alpha is 1.5, must be 0 to 1"),
        ("none", "0.5", "cannot read none"),
    ] {
        let output = run(strs(&distill(teacher, alpha)));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
    // A teacher is not overwritten by the student.
    let mut args = strs(&distill("b.safetensors", "0.5"));
    *args.last_mut().unwrap() = "b.safetensors".to_owned();
    let stderr = String::from_utf8(run(args).stderr).unwrap();
    assert!(stderr.contains("also an input"), "{stderr}");
}

#[test]
fn an_embedding_is_drawn_by_its_seed_and_needs_a_full_sequence() {
    let bench = bench();
    let embed = |seed: &str| {
        bench.ok(&[
            "embed",
            "--weights",
            "a.safetensors",
            "--arch",
            "small.json",
            "--data",
            "text.txt",
            "--seed",
            seed,
        ])
    };
    assert_eq!(embed("0"), embed("0"));
    assert_ne!(embed("0"), embed("1"));
    bench.write("short.txt", "too short");
    refused(
        &bench,
        &[
            "embed",
            "--weights",
            "a.safetensors",
            "--arch",
            "small.json",
            "--data",
            "short.txt",
        ],
        1,
        "fills a sequence of 32 bytes",
    );
}

#[test]
fn what_needs_a_network_says_that_there_is_none() {
    let bench = bench();
    let nowhere = ["--network", "http://127.0.0.1:1"];
    for args in [
        &["global", "show"][..],
        &["gaps", "--weights", "a.safetensors"],
        &["sparse"],
        &[
            "train",
            "--from",
            "genesis",
            "--data",
            "text.txt",
            "--out",
            "x.safetensors",
        ],
    ] {
        refused(&bench, &[args, &nowhere].concat(), 1, "cannot be reached");
    }
    refused(
        &bench,
        &[
            "train",
            "--from",
            "nowhere",
            "--data",
            "text.txt",
            "--out",
            "x.safetensors",
        ],
        2,
        "give genesis, or a model",
    );
}
