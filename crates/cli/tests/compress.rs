//! `soma compress` and `soma decompress`, as a person types them.

mod common;

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{Bench, SMALL};
use serde_json::Value;

const PROSE: &str = "she sells sea shells by the sea shore\n";
const TABLE: &str = "1021,77,3\n1022,78,4\n1023,79,5\n";

/// The longest that a command may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bench with a model of prose and one of tables, and a text of both.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("small.json", SMALL);
    for (name, text) in [("prose", PROSE), ("table", TABLE)] {
        let (data, out) = (format!("{name}.txt"), format!("{name}.safetensors"));
        bench.write(&data, text.repeat(200));
        let train = ["train", "--arch", "small.json", "--steps", "150"];
        bench.ok(&[&train[..], &["--data", &data, "--out", &out]].concat());
    }
    bench.write("mixed.txt", text());
    bench
}

fn text() -> String {
    PROSE.repeat(60) + &TABLE.repeat(60)
}

const WEIGHTS: &str = "prose.safetensors,table.safetensors";

#[test]
fn a_file_goes_there_and_back() {
    let bench = bench();
    let models = ["--arch", "small.json", "--weights", WEIGHTS];
    let said = bench.ok(&[
        &["compress", "mixed.txt", "-o", "mixed.soma", "--json"],
        &models[..],
    ]
    .concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    let packed = std::fs::read(bench.path("mixed.soma")).unwrap();
    assert_eq!(said["text_bytes"], text().len());
    assert_eq!(said["packed_bytes"], packed.len());
    assert!(
        packed.len() * 2 < text().len(),
        "{} of {}",
        packed.len(),
        text().len()
    );
    assert_eq!(said["models"].as_array().unwrap().len(), 2);

    // In any order, with others beside them, on every backend; the file names the architecture.
    bench.ok(&[
        "merge",
        "prose.safetensors",
        "table.safetensors",
        "--out",
        "other.safetensors",
        "--arch",
        "small.json",
    ]);
    for simd in ["scalar", "portable"] {
        let swapped = [
            "--weights",
            "other.safetensors,table.safetensors,prose.safetensors",
        ];
        let args = [&["decompress", "mixed.soma", "--out", "mixed.out"], &swapped[..]].concat();
        let output = bench.command(&args).env("SOMA_SIMD", simd).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(std::fs::read_to_string(bench.path("mixed.out")).unwrap(), text());
        std::fs::remove_file(bench.path("mixed.out")).unwrap();
    }
    for output in ["-", "/dev/stdout"] {
        let opened = bench.ok(&["decompress", "mixed.soma", "-o", output, "--weights", WEIGHTS]);
        assert_eq!(opened, text());
        let written = bench.run(&[&["compress", "mixed.txt", "-o", output], &models[..]].concat());
        assert_eq!(written.stdout, packed);
    }
    assert!(!bench.path("-").exists());
}

#[test]
fn what_cannot_be_opened_says_why() {
    let bench = bench();
    let prose = ["--arch", "small.json", "--weights", "prose.safetensors"];
    bench.ok(&[&["compress", "mixed.txt", "-o", "mixed.soma"], &prose[..]].concat());
    let packed = std::fs::read(bench.path("mixed.soma")).unwrap();
    bench.write("cut.soma", &packed[..packed.len() - 10]);
    let mut damaged = packed.clone();
    damaged[100] ^= 1;
    bench.write("damaged.soma", &damaged);
    bench.write("kept.txt", "kept");
    for (file, weights, why) in [
        ("mixed.soma", "table.safetensors", "which is none of those given"),
        ("mixed.soma", "gone.safetensors", "gone.safetensors"),
        ("cut.soma", "prose.safetensors", "cut.soma: the file is cut off"),
        (
            "damaged.soma",
            "prose.safetensors",
            "damaged.soma: block 0 is damaged",
        ),
        ("mixed.txt", "prose.safetensors", "no file of `soma compress`"),
        ("gone.soma", "prose.safetensors", "cannot read gone.soma"),
        (".", "prose.safetensors", "is a folder"),
    ] {
        let output = bench.run(&["decompress", file, "-o", "kept.txt", "--weights", weights]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{file}: {error}");
        assert!(error.contains(why), "{file}: {error}");
        // A file stays as it was, whatever happens.
        assert_eq!(std::fs::read(bench.path("kept.txt")).unwrap(), b"kept");
    }
    // Nothing that is read is written over: no text, and no model that is used or only offered.
    let offered = ["--weights", WEIGHTS];
    let of_small = ["--arch", "small.json"];
    std::os::unix::fs::symlink("table.safetensors", bench.path("link")).unwrap();
    for (command, out) in [
        (&["compress", "mixed.txt"][..], "mixed.txt"),
        (&["compress", "mixed.txt"], "prose.safetensors"),
        (&["compress", "mixed.txt"], "link"),
        (&["compress", "mixed.txt"], "small.json"),
        (&["decompress", "mixed.soma"], "mixed.soma"),
        (&["decompress", "mixed.soma"], "prose.safetensors"),
        (&["decompress", "mixed.soma"], "link"),
        (&["merge", "prose.safetensors", "table.safetensors"], "small.json"),
    ] {
        let weights = if command[0] == "merge" {
            &[][..]
        } else {
            &offered[..]
        };
        let before = std::fs::read(bench.path(out)).unwrap();
        let output = bench.run(&[command, &["--out", out], weights, &of_small].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command:?} {out}: {error}");
        assert!(
            error.contains("it is also an input"),
            "{command:?} {out}: {error}"
        );
        assert!(
            std::fs::read(bench.path(out)).unwrap() == before,
            "{command:?} {out}"
        );
    }
}

#[test]
fn what_is_stopped_leaves_nothing() {
    let bench = bench();
    bench.write("long.txt", text().repeat(500));
    let models = ["--arch", "small.json", "--weights", WEIGHTS];
    let files = || {
        let entries = std::fs::read_dir(bench.path("")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    // Of a file the work comes to an end; standard input may give nothing for ever, so there it ends at once.
    for source in ["long.txt", "-"] {
        let mut child = bench
            .command(&[&["compress", source, "-o", "long.soma"], &models[..]].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while files() == before {
            assert!(start.elapsed() < PATIENCE, "it writes nothing");
            assert!(
                child.try_wait().unwrap().is_none(),
                "it ended before it was stopped"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let told = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(told.unwrap().success());
        // Its input stays open until it ended.
        let open = child.stdin.take();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        drop(open);
        assert_eq!(files(), before);
    }
}
