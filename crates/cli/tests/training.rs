//! `soma train` as people run it: side by side, stopped, on disks that refuse, and without a terminal.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use common::Bench;

/// More steps than any test waits for.
const ENDLESS: &str = "100000000";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write(
        "tiny.json",
        r#"{"embedding_dim":16,"heads":2,"layers":1,"ffn_dim":32,"max_seq_len":32,"rope_wavelength":10000}"#,
    );
    bench.write(
        "text.txt",
        "the cat sat on the mat and the dog lay by the door. ".repeat(200),
    );
    bench
}

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let first = ["train", "--arch", "tiny.json", "--data", "text.txt"];
    first.into_iter().chain(more.iter().copied()).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Starts a run and waits until it has said that it trains.
fn started(mut command: Command) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("bits/byte") {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "it ended before it trained"
        );
    }
    (child, lines)
}

/// The next line that says so.
fn wait_for(lines: &mut impl BufRead, what: &str) -> String {
    let mut line = String::new();
    while !line.contains(what) {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "it ended without saying `{what}`"
        );
    }
    line
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn runs_side_by_side_write_their_own_weights() {
    let bench = bench();
    bench.write("model.tmp", "my notes");
    let run = |seed: usize, out: &str| {
        let seed = seed.to_string();
        let mut command = bench.command(&train(&["--steps", "3", "--seed", &seed, "--out", out]));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    for seed in 0..8 {
        assert!(run(seed, &format!("alone{seed}")).wait().unwrap().success());
    }
    let running: Vec<Child> = (0..8)
        .map(|seed| run(seed, &format!("model.seed{seed}")))
        .collect();
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    for seed in 0..8 {
        let read = |name: String| fs::read(bench.path(&name)).unwrap();
        assert!(
            read(format!("model.seed{seed}")) == read(format!("alone{seed}")),
            "seed {seed}"
        );
    }
    assert_eq!(fs::read(bench.path("model.tmp")).unwrap(), b"my notes");
    assert_eq!(names(&bench.path("")).len(), 2 + 1 + 16);
}

#[test]
fn an_out_that_cannot_be_is_found_before_training() {
    let bench = bench();
    bench.ok(&train(&["--steps", "1", "--out", "init.st"]));
    fs::create_dir_all(bench.path("folder/deep")).unwrap();
    fs::copy(bench.path("text.txt"), bench.path("folder/deep/a.txt")).unwrap();
    fs::hard_link(bench.path("folder/deep/a.txt"), bench.path("hard")).unwrap();
    bench.write("lines.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n");
    let before = names(&bench.path(""));
    for (out, data, says) in [
        ("missing/out.st", "text.txt", "the folder missing does not exist"),
        ("folder", "text.txt", "is a directory"),
        ("new/", "text.txt", "names no file"),
        ("text.txt", "text.txt", "also an input"),
        ("tiny.json", "text.txt", "also an input"),
        ("init.st", "text.txt", "also an input"),
        ("folder/deep/a.txt", "folder", "also an input"),
        ("hard", "folder/*/*.txt", "also an input"),
        ("lines.jsonl", "lines.jsonl", "also an input"),
    ] {
        let output = bench.run(&[
            "train",
            "--arch",
            "tiny.json",
            "--init",
            "init.st",
            "--steps",
            ENDLESS,
            "--data",
            data,
            "--out",
            out,
        ]);
        assert_eq!(output.status.code(), Some(1), "{out}");
        assert!(stderr(&output).contains(says), "{out}: {}", stderr(&output));
    }
    assert_eq!(names(&bench.path("")), before);
    assert!(fs::read(bench.path("text.txt")).unwrap().starts_with(b"the cat"));
}

#[test]
fn an_out_stays_what_it_is() {
    let bench = bench();
    let to = |out: &str| bench.ok(&train(&["--steps", "1", "--out", out]));
    to("plain");
    let weights = fs::read(bench.path("plain")).unwrap();
    fs::create_dir(bench.path("disk")).unwrap();
    symlink("disk/real.st", bench.path("latest.st")).unwrap();
    to("latest.st");
    assert!(bench.path("latest.st").is_symlink());
    assert!(fs::read(bench.path("disk/real.st")).unwrap() == weights);
    bench.write("secret.st", "old");
    fs::set_permissions(bench.path("secret.st"), fs::Permissions::from_mode(0o600)).unwrap();
    to("secret.st");
    let mode = fs::metadata(bench.path("secret.st"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    to("/dev/null");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    // On standard output there is nothing but the weights.
    let output = bench.run(&train(&["--steps", "1", "--out", "/dev/stdout"]));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout == weights);
    assert!(stderr(&output).contains("after 1 step"));
}

#[test]
fn weights_that_cannot_be_written_are_kept_elsewhere() {
    let bench = bench();
    bench.ok(&train(&["--steps", "2", "--out", "plain"]));
    let output = bench.run(&train(&["--steps", "2", "--out", "/dev/full"]));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("the weights are in ./full.rescued-"), "{said}");
    let rescued = names(&bench.path(""))
        .into_iter()
        .find(|name| name.starts_with("full.rescued-"))
        .unwrap();
    assert!(fs::read(bench.path(&rescued)).unwrap() == fs::read(bench.path("plain")).unwrap());
}

#[test]
fn weights_outlive_the_folder_they_were_to_go_to() {
    let bench = bench();
    fs::create_dir(bench.path("gone")).unwrap();
    let (mut child, _stderr) = started(bench.command(&train(&["--steps", ENDLESS, "--out", "gone/out.st"])));
    fs::remove_dir(bench.path("gone")).unwrap();
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let rescued = names(&bench.path(""))
        .into_iter()
        .filter(|name| name.starts_with("out.st.rescued-"));
    assert_eq!(rescued.count(), 1);
}

#[test]
fn a_run_that_is_stopped_leaves_a_finished_out_alone() {
    for (stop, code) in [("-INT", 130), ("-TERM", 130), ("-HUP", 130)] {
        let bench = bench();
        bench.write("out.st", "finished");
        let (mut child, _stderr) = started(bench.command(&train(&["--steps", ENDLESS, "--out", "out.st"])));
        signal(&child, stop);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{stop}");
        assert_eq!(fs::read(bench.path("out.st")).unwrap(), b"finished");
        let partial: Vec<String> = names(&bench.path(""))
            .into_iter()
            .filter(|name| name.starts_with("out.st.step-"))
            .collect();
        assert_eq!(partial.len(), 1, "{stop}: the weights so far stand beside it");
        bench.ok(&train(&["--steps", "0", "--init", &partial[0], "--out", "same"]));
        assert!(fs::read(bench.path(&partial[0])).unwrap() == fs::read(bench.path("same")).unwrap());
    }
}

#[test]
fn a_hangup_that_is_ignored_stops_nothing() {
    let bench = bench();
    let soma = env!("CARGO_BIN_EXE_soma");
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", soma])
        .args(train(&["--steps", ENDLESS, "--out", "out.st"]))
        .current_dir(bench.path(""))
        .env("SOMA_HOME", bench.path("home"));
    let (mut child, mut lines) = started(command);
    signal(&child, "-HUP");
    // It goes on to its next line of progress.
    wait_for(&mut lines, "bits/byte");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_log_says_how_far_a_run_is() {
    let bench = bench();
    let mut command = bench.command(&train(&["--steps", ENDLESS, "--out", "out.st"]));
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let plan = wait_for(&mut lines, "Training");
    for what in [
        "steps of 2 x 1 chunks",
        "learning rate 0.003 (cosine)",
        "of memory",
    ] {
        assert!(plan.contains(what), "no `{what}` in {plan}");
    }
    let line = wait_for(&mut lines, "bits/byte");
    for what in ["tokens/s, step ", "of 100000000", "left"] {
        assert!(line.contains(what), "no `{what}` in {line}");
    }
    signal(&child, "-INT");
    child.wait().unwrap();
}

#[test]
fn what_does_not_fit_into_memory_is_refused_in_words() {
    let bench = bench();
    let soma = env!("CARGO_BIN_EXE_soma");
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 3000000; exec \"$0\" \"$@\"", soma])
        .args([
            "train", "--arch", "v1", "--data", "text.txt", "--steps", "1", "--out", "out.st",
        ])
        .current_dir(bench.path(""))
        .env("SOMA_HOME", bench.path("home"))
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    // Either the disk or the memory is too small for it; both are said in one sentence.
    assert!(said.starts_with("error: "), "{said}");
    assert!(
        said.contains("not enough memory to train this") || said.contains("free"),
        "{said}"
    );
    assert!(!said.contains("backtrace"), "{said}");
}

#[test]
fn settings_are_options_with_ranges() {
    let bench = bench();
    for (option, value, says) in [
        (
            "--learning-rate",
            "10000",
            "--learning-rate is 10000, must be above 0, and 1 at most",
        ),
        ("--batch-size", "0", "--batch-size is 0, must be 1 to 4096 chunks"),
        (
            "--grad-accum",
            "5000",
            "--grad-accum is 5000, must be 1 to 4096 passes",
        ),
        ("--dropout", "1", "--dropout is 1, must be 0 to 0.9"),
        ("--weight-decay", "7", "--weight-decay is 7, must be 0 to 1"),
        ("--schedule", "steep", "steep"),
    ] {
        let output = bench.run(&train(&["--steps", ENDLESS, "--out", "out.st", option, value]));
        assert_eq!(output.status.code(), Some(2), "{option}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    bench.ok(&train(&[
        "--steps",
        "2",
        "--out",
        "out.st",
        "--learning-rate",
        "1e-4",
        "--schedule",
        "linear",
        "--warmup-steps",
        "1",
        "--batch-size",
        "2",
        "--grad-accum",
        "3",
        "--dropout",
        "0.1",
        "--weight-decay",
        "0.1",
        "--gradient-norm-max",
        "0.5",
        "--sigreg-directions",
        "8",
        "--threads",
        "1",
        "--checkpoints",
        "ck",
        "--checkpoint-every",
        "1",
    ]));
}

#[test]
fn a_checkpoint_says_whose_it_is_and_how_far() {
    let bench = bench();
    let run = |more: &[&str]| {
        bench.run(&train(
            &[more, &["--out", "out.st", "--checkpoints", "ck"]].concat(),
        ))
    };
    assert!(run(&["--steps", "5"]).status.success());
    let other = stderr(&run(&["--steps", "5", "--seed", "2"]));
    assert!(
        other.contains("seed was 1, and is 2") && !other.contains("damaged"),
        "{other}"
    );
    let fewer = run(&["--steps", "3"]);
    assert_eq!(fewer.status.code(), Some(1));
    assert!(
        stderr(&fewer).contains("holds 5 steps, more than the 3 asked for"),
        "{}",
        stderr(&fewer)
    );
    let same = run(&["--steps", "5"]);
    assert!(String::from_utf8_lossy(&same.stdout).contains("nothing was left to do"));
    // The architecture forgotten.
    let nano = bench.run(&[
        "train",
        "--data",
        "text.txt",
        "--steps",
        "5",
        "--out",
        "out.st",
        "--checkpoints",
        "ck",
    ]);
    assert!(
        stderr(&nano).contains("embedding_dim was 16, and is 128"),
        "{}",
        stderr(&nano)
    );
}

#[test]
fn weights_that_overflow_are_named() {
    let bench = bench();
    bench.ok(&train(&["--steps", "1", "--out", "ok.st"]));
    let mut bytes = fs::read(bench.path("ok.st")).unwrap();
    let begin = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..begin]).unwrap();
    let [from, to] = [0, 1].map(|at| {
        let offset = &header["predictor.weight"]["data_offsets"][at];
        begin + offset.as_u64().unwrap() as usize
    });
    for value in bytes[from..to].chunks_exact_mut(4) {
        let large = f32::from_le_bytes(value.try_into().unwrap()) * 1e30;
        value.copy_from_slice(&large.to_le_bytes());
    }
    bench.write("big.st", bytes);
    let output = bench.run(&train(&["--steps", "3", "--init", "big.st", "--out", "out.st"]));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("big.st") && said.contains("before any training"),
        "{said}"
    );
    assert!(!said.contains("lower the learning rate"), "{said}");
}
