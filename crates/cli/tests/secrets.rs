//! Secrets reach no error, help or screen, and what strangers wrote does nothing there.

mod common;

use std::{
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::ffi::OsStrExt as _,
    process::Output,
    thread,
};

use common::{Bench, vectors};
use serde_json::{Value, json};
use soma_types::text::is_unseen;

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const NOWHERE: &str = "http://127.0.0.1:1";

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]]
        .map(String::from_utf8_lossy)
        .concat()
}

/// Whether nothing in `text` acts on a terminal.
fn is_plain(text: &str) -> bool {
    !text.contains(|character| is_unseen(character) && character != '\n')
}

#[test]
fn credentials_of_a_url_are_not_shown() {
    let bench = Bench::new();
    let doors = [
        "http://alice:hunter2@127.0.0.1:1",
        "http://alice:hun/ter2@127.0.0.1:1",
        "alice:hunter2@127.0.0.1:1",
        "ftp://alice:hunter2@127.0.0.1",
        "http://127.0.0.1:1/?token=hunter2",
        "http://127.0.0.1:1/#hunter2",
    ];
    for door in doors {
        for output in [
            bench.run(&["status", "--network", door]),
            bench.run(&["status", "--network", door, "--json"]),
            bench
                .command(&["status"])
                .env("SOMA_NETWORK", door)
                .output()
                .unwrap(),
            bench
                .command(&["--help"])
                .env("SOMA_NETWORK", door)
                .output()
                .unwrap(),
            bench
                .command(&["send", "--help"])
                .env("SOMA_NETWORK", door)
                .output()
                .unwrap(),
            bench.run(&["status", "--netwrok", door]),
            bench.run(&["status", door]),
            bench.run(&[door]),
        ] {
            let shown = text(&output);
            for secret in ["alice", "hunter2", "ter2"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
}

#[test]
fn keys_and_words_typed_in_a_wrong_place_are_not_repeated() {
    let bench = Bench::new();
    let key = "7a".repeat(32);
    let prefixed = format!("0x{key}");
    let pool = format!("model:{key}z");
    let option = format!("--{key}");
    let words: Vec<&str> = WORDS.split(' ').collect();
    let imports: &[&[&str]] = &[
        &["wallet", "import", "main", &key],
        &["wallet", "import", "main", WORDS],
        &[&["wallet", "import", "main"], &words[..]].concat(),
    ];
    let others: &[&[&str]] = &[
        &["wallet", "import", &key],
        &["wallet", "import", &prefixed],
        &["wallet", "import", WORDS],
        &["wallet", "new", &key],
        &["wallet", "use", WORDS],
        &["wallet", "export", &prefixed],
        &["wallet", "export", &key],
        &["wallet", "use", &key],
        &["send", "main", "1", "--wallet", &key],
        &["wallet", &key],
        &["wallet", "import", "main", &option],
        &[&prefixed],
        &["balance", WORDS],
        &["send", WORDS, "1"],
        &["send", "main", &key],
        &["send", "main", "1", &key],
        &["stake", "add", &pool, "1"],
        &["stake", "add", &key, &key],
        &["model", "show", WORDS],
        &["epoch", &key],
        &["train", "--data", "x", "--out", "y", "--steps", &key],
    ];
    for command in imports.iter().chain(others) {
        let args: Vec<&str> = command.iter().copied().chain(["--network", NOWHERE]).collect();
        let output = bench.run(&args);
        assert!(!output.status.success(), "{command:?}");
        let shown = text(&output);
        assert!(!shown.contains(&key[..12]), "{command:?}: {shown}");
        assert!(!shown.contains("abandon abandon"), "{command:?}: {shown}");
    }
    for command in imports {
        assert!(
            text(&bench.run(command)).contains("reads standard input"),
            "{command:?}"
        );
    }
    assert!(!bench.path("home").exists());
}

/// A key is as long as an address: paid to, it would be published.
#[test]
fn nobody_is_paid_at_a_secret_key() {
    let bench = Bench::new();
    let key = "7a".repeat(32);
    let import = bench.run_with(&["wallet", "import", "main"], &key, Some("correct horse"));
    assert!(import.status.success());
    for command in [&["send", &key, "1"][..], &["balance", &key], &["faucet", &key]] {
        let output = bench.run(&[command, &["--network", NOWHERE]].concat());
        let shown = text(&output);
        assert_eq!(output.status.code(), Some(2), "{shown}");
        assert!(
            shown.contains("the secret key of wallet 'main'") && !shown.contains(&key[..12]),
            "{shown}"
        );
    }
}

#[test]
fn a_password_that_cannot_be_read_is_none_to_store_a_key_without() {
    let bench = Bench::new();
    let latin1 = OsStr::from_bytes(b"p\xe4ssw\xf6rd");
    for (password, complaint) in [(latin1, "not UTF-8"), (OsStr::new(""), "empty")] {
        for command in [&["wallet", "new", "mine"][..], &["wallet", "import", "mine"]] {
            let mut command = bench.command(command);
            let input = bench.write("key", "7".repeat(64));
            let output = command
                .env("SOMA_PASSWORD", password)
                .stdin(fs::File::open(input).unwrap())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2));
            assert!(text(&output).contains(complaint), "{}", text(&output));
            assert!(!bench.path("home").exists());
        }
    }
    for bad in ["pw\r", "pw\n", &"x".repeat(2000)] {
        let output = bench.run_with(&["wallet", "new", "mine"], "", Some(bad));
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    }
    // Where none is needed it does not matter, and empty it is as if it were not set.
    assert!(bench.run(&["wallet", "new", "bare"]).status.success());
    assert!(
        bench
            .run_with(&["wallet", "new", "safe"], "", Some("pässwörd"))
            .status
            .success()
    );
    let export = |name: &str, password: &OsStr| {
        bench
            .command(&["wallet", "export", name])
            .env("SOMA_PASSWORD", password)
            .output()
            .unwrap()
    };
    assert!(export("bare", latin1).status.success());
    assert!(text(&export("safe", latin1)).contains("not UTF-8"));
    assert!(text(&export("safe", OsStr::new(""))).contains("no password was given"));
    // As other keyboards and other ways to store it spell it.
    for password in ["pässwörd", "pa\u{308}sswo\u{308}rd", "pässwörd\r\n"] {
        assert!(
            export("safe", OsStr::new(password)).status.success(),
            "{password:?}"
        );
    }
}

#[test]
fn empty_variables_are_not_set() {
    let bench = Bench::new();
    let output = bench
        .command(&["wallet", "new"])
        .env("SOMA_HOME", "")
        .env("HOME", bench.path("person"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(bench.path("person/.soma/wallets/default.json").exists());
    let status = |network: &str, args: &[&str]| {
        let command = [&["epoch"], args].concat();
        text(
            &bench
                .command(&command)
                .env("SOMA_NETWORK", network)
                .output()
                .unwrap(),
        )
    };
    for output in [status("", &[]), status(" ", &[]), status("local", &[])] {
        assert!(!output.contains("is not a node's address"), "{output}");
    }
    assert!(status(NOWHERE, &[]).contains(NOWHERE));
    assert!(status("", &["--network", ""]).contains("give `local`, or the URL of a node"));
}

#[test]
fn secrets_and_addresses_are_taken_as_people_have_them() {
    let bench = Bench::new();
    let key = "7a".repeat(32);
    let import = |name: &str, bytes: &[u8]| {
        bench.write("secret", bytes);
        let mut command = bench.command(&["wallet", "import", name, "--json"]);
        command.stdin(fs::File::open(bench.path("secret")).unwrap());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {}", text(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["address"].clone()
    };
    let address = import("plain", key.as_bytes());
    let utf16: Vec<u8> = format!("\u{feff}0x{key}\r\n")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(import("utf16", &utf16), address);
    assert_eq!(
        import("upper", format!("0X{}", key.to_uppercase()).as_bytes()),
        address
    );
    for (name, export) in [
        ("text", &["wallet", "export", "plain"][..]),
        ("json", &["wallet", "export", "plain", "--json"]),
    ] {
        assert_eq!(import(name, &bench.run(export).stdout), address);
    }
    assert_eq!(
        import("file", &fs::read(bench.path("home/wallets/plain.json")).unwrap()),
        address
    );
    let made = bench.run(&["wallet", "new", "made"]).stdout;
    assert_eq!(
        import("again", &made),
        bench.json(&["wallet", "list"])[3]["address"]
    );

    let address = address.as_str().unwrap();
    let digits = &address[2..];
    let node = node(vec![(200, json!({ "address": address, "balance": "7", "nonce": 0, "nonce_pending": 0, "stakes": [], "unbonding": [] }).to_string())]);
    for name in [
        address,
        digits,
        &format!("0X{digits}"),
        &format!(" {address}\t"),
        "plain",
    ] {
        let output = bench.run(&["balance", name, "--network", &node]);
        assert!(text(&output).contains(address), "{name}: {}", text(&output));
    }
}

/// A node that gives `answers` in turn, the last for ever.
fn node(answers: Vec<(u16, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let (status, body) = &answers[index.min(answers.len() - 1)];
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 16384]);
            let _ = write!(
                stream,
                "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}")
}

const EVIL: &str = "\u{1b}]0;title\u{7}\u{9b}31m\u{202e}\r\nw.st: verified, all fine";

#[test]
fn a_nodes_words_do_nothing_on_the_terminal() {
    let bench = Bench::new();
    let problem =
        json!({ "type": "about:blank", "title": EVIL, "status": 400, "detail": EVIL.repeat(10_000) });
    for (status, body) in [
        (400, problem.to_string()),
        (400, EVIL.to_owned()),
        (200, json!({ "network": EVIL }).to_string()),
        (200, json!(EVIL).to_string()),
        (200, EVIL.to_owned()),
    ] {
        let node = node(vec![(status, body)]);
        for command in [&["status"][..], &["model", "list"], &["status", "--json"]] {
            let shown = text(&bench.run(&[command, &["--network", &node]].concat()));
            assert!(is_plain(&shown), "{shown}");
            assert!(!shown.contains("\nw.st"), "{shown}");
            assert!(shown.len() < 20_000, "{} bytes", shown.len());
        }
    }
}

#[test]
fn a_strangers_weights_do_nothing_on_the_terminal() {
    let bench = Bench::new();
    let weights = fs::read(vectors().join("nano.safetensors")).unwrap();
    let length = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&weights[8..8 + length]).unwrap();
    let evil = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut header = header.as_object().unwrap().clone();
        change(&mut header);
        let header = Value::from(header).to_string();
        [
            &(header.len() as u64).to_le_bytes()[..],
            header.as_bytes(),
            &weights[8 + length..],
        ]
        .concat()
    };
    let is_tensor = |name: &&String| !name.starts_with("__");
    let first = header
        .as_object()
        .unwrap()
        .keys()
        .find(is_tensor)
        .unwrap()
        .clone();
    let files = [
        evil(&|header| {
            let tensor = header.remove(&first).unwrap();
            header.insert(EVIL.into(), tensor);
        }),
        evil(&|header| {
            let tensor = header.remove(&first).unwrap();
            header.insert(EVIL.repeat(50_000), tensor);
        }),
        evil(&|header| header[&first]["dtype"] = EVIL.into()),
        evil(&|header| header[&first]["data_offsets"] = EVIL.into()),
        evil(&|header| header[&first][EVIL] = 1.into()),
    ];
    let arch = &serde_json::from_slice::<Value>(&fs::read(vectors().join("nano.json")).unwrap()).unwrap()["architecture"];
    bench.write("arch.json", arch.to_string());
    bench.write("text", "Some text.");
    for (index, bytes) in files.iter().enumerate() {
        // So may the file be called.
        let name = format!("{index}{}.safetensors", &EVIL[..20]);
        bench.write(&name, bytes);
        for command in [
            &[
                "score",
                "--weights",
                &name,
                "--arch",
                "arch.json",
                "--data",
                "text",
            ][..],
            &[
                "embed",
                "--weights",
                &name,
                "--arch",
                "arch.json",
                "--data",
                "text",
            ],
        ] {
            let output = bench.run(command);
            assert!(!output.status.success());
            let shown = text(&output);
            assert!(is_plain(&shown), "{shown}");
            assert_eq!(
                shown.lines().filter(|line| line.starts_with("w.st")).count(),
                0,
                "{shown}"
            );
            assert!(shown.len() < 5_000, "{} bytes", shown.len());
        }
    }
}

/// Results, too: tables, JSON and lines with names that strangers gave.
#[test]
fn file_names_do_nothing_on_the_terminal() {
    let bench = Bench::new();
    let evil = "a\u{1b}[2J\u{9b}31m\nw.st: verified";
    fs::copy(vectors().join("nano.safetensors"), bench.path(evil)).unwrap();
    let arch = &serde_json::from_slice::<Value>(&fs::read(vectors().join("nano.json")).unwrap()).unwrap()["architecture"];
    bench.write("arch.json", arch.to_string());
    bench.write("b\u{1b}[2J\nw.st", "Some text.");
    let two = ["arch.json", "b\u{1b}[2J\nw.st"];
    for command in [
        &[
            "score",
            "--weights",
            evil,
            "--arch",
            "arch.json",
            "--data",
            two[0],
            two[1],
        ][..],
        &[
            "score",
            "--weights",
            evil,
            "--arch",
            "arch.json",
            "--data",
            two[1],
            "--json",
        ],
        &["score", "--weights", evil, "--arch", two[1], "--data", two[1]],
        &["score", "--weights", "missing", "--data", two[1]],
        &["train", "--data", evil, "--steps", "1", "--out", "x"],
        &["model", "show", evil],
        &["score", "--weights", "w", "--data", "d", "--memory", evil],
        &["localnet", "--listen", evil],
        &["--a\u{1b}[2Jb"],
        &[evil],
    ] {
        let shown = text(&bench.run(command));
        assert!(is_plain(&shown), "{command:?}: {shown}");
        assert!(!shown.contains("\nw.st"), "{command:?}: {shown}");
    }
}

#[test]
fn shells_complete_commands() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bench.ok(&["completions", shell]);
        assert!(script.contains("soma") && script.contains("wallet"), "{shell}");
    }
    assert_eq!(bench.run(&["completions", "dosh"]).status.code(), Some(2));
}
