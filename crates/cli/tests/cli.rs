//! What a person sees: snapshots of command, exit code, standard output and standard error.

mod common;

use std::{
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::ffi::OsStrExt as _,
    process::{Command, Stdio},
};

use common::{Bench, Running, vectors};
use serde_json::{Value, json};
use soma_types::ContentHash;

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// The binary with a network address where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:1";

macro_rules! snapshot {
    ($name:literal, $transcript:expr) => {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!($name, $transcript);
        })
    };
}

#[test]
fn usage_errors_exit_with_2() {
    let bench = Bench::new();
    let commands: &[&[&str]] = &[
        &[],
        &["fly"],
        &["balance", "0x12"],
        &["send", "0x12", "1"],
        &["send", "someone", "1.0000000001"],
        &["send", "someone", "a lot"],
        &["send", "someone", "-1"],
        &["faucet", "--amount", "-1"],
        &["train", "--data", ".", "--out", "w", "--steps", "0"],
        &["model", "show", "best"],
        &["stake", "add", "bank:1", "5"],
        &["status", "--network", "ftp://example.org"],
        &["localnet", "--listen", "0.0.0.0:9000"],
        &["localnet", "--listen", "127.0.0.1:65535"],
        &["localnet", "--validators", "0"],
        &["score"],
        &["validator", "register"],
        &["validator", "commission", "10001"],
        &["validator", "report-model", "0x123456", "--fault", "ugly"],
        &["model", "set-commission", "0x123456", "half"],
        &["sim", "network", "--seeds", "0"],
        &["sim", "network", "--validators", "3"],
        &["sim", "network", "--from", "18446744073709551615", "--seeds", "2"],
    ];
    let transcripts: Vec<String> = commands
        .iter()
        .map(|command| {
            let output = bench.run(command);
            assert_eq!(output.status.code(), Some(2), "{command:?}");
            assert!(output.stdout.is_empty(), "{command:?}");
            bench.describe(command, &output)
        })
        .collect();
    snapshot!("usage_errors", transcripts.join("\n"));
    assert!(
        !bench.path("home").exists(),
        "a usage error leaves nothing behind"
    );
}

/// One shape for every error, whoever finds it.
#[test]
fn errors_are_json_where_json_is_asked_for() {
    let bench = Bench::new();
    let import = bench.run_with(&["wallet", "import", "alice"], WORDS, None);
    assert!(import.status.success());
    let address = format!("0x{}", "1".repeat(64));
    for (command, exit_code) in [
        (&["fly"][..], 2),
        (&["send", "alice", "a lot"], 2),
        (&["send", "alice", "0"], 2),
        (&["model", "create", "--commission", "10001"], 2),
        (&["balance", "nobody"], 1),
        (&["score", "--weights", "missing", "--data", "missing"], 1),
        (&["status", "--network", NOWHERE], 1),
        (&["send", &address, "1", "--network", NOWHERE], 1),
        (&["status", "--network", "ftp://example.org"], 2),
    ] {
        let output = bench.run(&[command, &["--json"]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit_code), "{command:?}: {text}");
        let error: Value =
            serde_json::from_str(text.trim_end()).unwrap_or_else(|error| panic!("{error}: {text}"));
        let mut names: Vec<_> = error.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected = [
            "code",
            "due",
            "exit_code",
            "fee",
            "hint",
            "message",
            "name",
            "transaction",
            "transactions",
        ];
        assert_eq!(names, expected, "{command:?}");
        assert_eq!(error["exit_code"], exit_code, "{command:?}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.starts_with("error:"), "{message}");
    }
    // Help is no error.
    let help = bench.run(&["send", "--help", "--json"]);
    assert!(help.status.success() && !help.stdout.is_empty());
}

/// `wallet new` does not keep what it could not show.
#[test]
fn words_that_nobody_sees_make_no_wallet() {
    let bench = Bench::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = bench
        .command(&["wallet", "new", "w"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("cannot be printed") && text.contains("no wallet was made"),
        "{text}"
    );
    // Nor where there is no standard output at all.
    let line = format!("{} wallet new w >&-", env!("CARGO_BIN_EXE_soma"));
    let closed = Command::new("sh")
        .args(["-c", &line])
        .env("SOMA_HOME", bench.path("home"))
        .output()
        .unwrap();
    assert_eq!(closed.status.code(), Some(1));
    assert!(bench.json(&["wallet", "list"]).as_array().unwrap().is_empty());
    // A null device as programs open it, to read and to write, takes all that need not be seen.
    let null = std::fs::File::options().read(true).write(true).open("/dev/null");
    let listed = bench.command(&["wallet", "list"]).stdout(null.unwrap()).output();
    assert!(listed.unwrap().status.success());
    // Who throws them away on purpose may.
    let null = bench
        .command(&["wallet", "new", "w"])
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(null.status.success());
}

#[test]
fn wallets_live_and_come_back() {
    let bench = Bench::new();
    let mut transcripts = vec![
        bench.transcript(&["wallet", "list"]),
        bench.transcript(&["balance"]),
        bench.transcript(&["balance", "nobody"]),
    ];
    // A new wallet's words restore it.
    let made = bench.json(&["wallet", "new", "fresh"]);
    let words = made["words"].as_str().unwrap();
    assert_eq!(words.split(' ').count(), 24);
    let import = bench.run_with(&["wallet", "import", "again", "--json"], words, None);
    assert!(import.status.success());
    let again: Value = serde_json::from_slice(&import.stdout).unwrap();
    assert_eq!(again["address"], made["address"]);
    assert_eq!(
        (&made["current"], &again["current"]),
        (&json!(true), &json!(false))
    );

    // From here on nothing is random.
    let bench = Bench::new();
    for (command, input) in [
        (&["wallet", "import", "alice"][..], WORDS),
        (&["wallet", "import", "alice"], WORDS),
        (&["wallet", "import", "bob"], &"7".repeat(64)),
        (&["wallet", "import", "carol"], "abandon abandon about"),
        (&["wallet", "import", "carol"], "0x1234"),
        (&["wallet", "import", "carol"], ""),
        (&["wallet", "import", "../carol"], WORDS),
    ] {
        transcripts.push(bench.describe(command, &bench.run_with(command, input, None)));
    }
    for command in [
        &["wallet", "list"][..],
        &["wallet", "use", "bob"],
        &["wallet", "use", "dave"],
        &["wallet", "list", "--json"],
        &["wallet", "export"],
        &["wallet", "export", "alice", "--json"],
        &["wallet", "export", "dave"],
    ] {
        transcripts.push(bench.transcript(command));
    }
    snapshot!("wallets", transcripts.join("\n"));
}

#[test]
fn a_password_keeps_a_wallet() {
    let bench = Bench::new();
    let import = &["wallet", "import", "safe"];
    let export = &["wallet", "export", "safe"];
    let transcripts = [
        bench.describe(
            import,
            &bench.run_with(import, &"7".repeat(64), Some("correct horse")),
        ),
        bench.transcript(&["wallet", "list"]),
        bench.transcript(export),
        bench.describe(export, &bench.run_with(export, "", Some("battery staple"))),
        bench.describe(export, &bench.run_with(export, "", Some("correct horse"))),
    ];
    snapshot!("passwords", transcripts.join("\n"));
}

/// What registering means so far is said where it is asked for.
#[test]
fn validators_are_told_what_they_get() {
    let bench = Bench::new();
    let import = bench.run_with(&["wallet", "import", "alice"], WORDS, None);
    assert!(import.status.success());
    let vote = |digest: &str| json!({ "digest": format!("0x{}", digest.repeat(64)), "signature": format!("0x{}", "9".repeat(128)) });
    let evidence = |second| json!({ "network_key": format!("0x{}", "7".repeat(64)), "epoch": 5, "view": 6, "first": vote("1"), "second": vote(second) });
    bench.write("same.json", evidence("1").to_string());
    bench.write("half.json", "{\"network_key\": 7}");
    let show = |file| bench.transcript(&["validator", "report-equivocation", file, "--network", NOWHERE]);
    let register = |key| {
        bench.transcript(&[
            "validator",
            "register",
            "--network-key",
            key,
            "--network",
            NOWHERE,
        ])
    };
    let transcripts = [
        bench.transcript(&["validator", "--help"]),
        bench.transcript(&["validator", "register", "--help"]),
        bench.transcript(&["validator", "report-equivocation", "--help"]),
        bench.transcript(&["stake", "--help"]),
        register("alice"),
        register("node"),
        show("missing.json"),
        show("half.json"),
        show("same.json"),
    ];
    snapshot!("validators", transcripts.join("\n"));
}

#[test]
fn a_node_that_is_not_there_is_named() {
    let bench = Bench::new();
    assert!(
        bench
            .run_with(&["wallet", "import", "alice"], WORDS, None)
            .status
            .success()
    );
    for command in [
        &["epoch"][..],
        &["params"],
        &["balance"],
        &["send", "alice", "1"],
        &["model", "list"],
        &["target", "list"],
    ] {
        let output = bench.run(&[command, &["--network", NOWHERE]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains("cannot be reached") && stderr.contains("hint: is the node running?"),
            "{stderr}"
        );
    }
    snapshot!("unreachable", bench.transcript(&["status", "--network", NOWHERE]));
}

#[test]
fn bad_weights_and_data_are_named() {
    let bench = Bench::new();
    let weights = fs::read(vectors().join("nano.safetensors")).unwrap();
    bench.write("nano.safetensors", &weights);
    fs::copy(vectors().join("pico.safetensors"), bench.path("pico.safetensors")).unwrap();
    bench.write("arch.json", architecture("nano").to_string());
    bench.write("broken.json", "{\"embedding_dim\": 64}");
    bench.write("text", "Some text.");
    bench.write("empty", "");
    bench.write("truncated.safetensors", &weights[..weights.len() / 2]);
    let mut lying = weights;
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    bench.write("lying.safetensors", &lying);
    let score = |weights, arch, data| {
        bench.transcript(&["score", "--weights", weights, "--arch", arch, "--data", data])
    };
    let transcripts = [
        score("truncated.safetensors", "arch.json", "text"),
        score("lying.safetensors", "arch.json", "text"),
        score("pico.safetensors", "arch.json", "text"),
        score("text", "arch.json", "text"),
        score("missing.safetensors", "arch.json", "text"),
        score("nano.safetensors", "arch.json", "missing"),
        score("nano.safetensors", "arch.json", "empty"),
        score("nano.safetensors", "missing.json", "text"),
        score("nano.safetensors", "broken.json", "text"),
    ];
    for transcript in &transcripts {
        assert!(
            transcript.contains("exit code 1\n--- stdout\n--- stderr\n") && transcript.contains("\nerror: "),
            "{transcript}"
        );
    }
    snapshot!("bad_scoring", transcripts.join("\n"));
}

#[test]
fn scores_are_those_of_the_vectors() {
    let bench = Bench::new();
    let reference = reference("nano");
    bench.write("arch.json", architecture("nano").to_string());
    let weights = vectors().join("nano.safetensors").display().to_string();
    for case in reference["cases"].as_array().unwrap() {
        bench.write("data", hex(case["data_hex"].as_str().unwrap()));
        let score = bench.json(&[
            "score",
            "--weights",
            &weights,
            "--arch",
            "arch.json",
            "--data",
            "data",
        ]);
        let model = &score["models"][0];
        let nats = model["cross_entropy_nano"].as_u64().unwrap() as f64 / 1e9;
        let expected = case["cross_entropy_nats"].as_f64().unwrap();
        assert!(
            (nats - expected).abs() < 1e-4,
            "{}: {nats} instead of {expected}",
            case["label"]
        );
        assert_eq!(
            model["predicted_tokens"], case["predicted_tokens"],
            "{}",
            case["label"]
        );
        assert_eq!(score["winner"], 0);
    }
    // Two models: every key of the interface, and bytes that may never change.
    bench.write("data", "To be, or not to be, that is the question:\n".repeat(3));
    let both = format!("{weights},{weights}");
    let command = &[
        "score",
        "--weights",
        &both,
        "--arch",
        "arch.json",
        "--data",
        "data",
        "--seed",
        "7",
        "--json",
    ];
    let mut output: Value = serde_json::from_str(&bench.ok(command)).unwrap();
    assert_eq!(output["models"][0], output["models"][1]);
    for model in output["models"].as_array_mut().unwrap() {
        for name in ["embedding_q15", "mean_embedding"] {
            assert_eq!(model[name].as_array_mut().unwrap().split_off(3).len(), 61);
        }
    }
    snapshot!("score", serde_json::to_string_pretty(&output).unwrap());
}

/// Many documents: each has its contest, the one it has alone; what cannot be scored says so.
#[test]
fn many_documents_score_as_each_alone() {
    let bench = Bench::new();
    bench.write("arch.json", architecture("nano").to_string());
    let weights = vectors().join("nano.safetensors").display().to_string();
    let both = format!("{weights},{weights}");
    let start = ["score", "--weights", &both, "--arch", "arch.json", "--data"];
    bench.write("a", "The first document, of a few words.");
    bench.write("b", "b");
    let many = bench.json(&[&start[..], &["a", "b", "--memory", "1MiB"]].concat());
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        let mut document = many["documents"][index].clone();
        assert_eq!(
            document.as_object_mut().unwrap().remove("data"),
            Some(json!(name))
        );
        assert_eq!(document, bench.json(&[&start[..], &[name]].concat()));
    }
    let twice = bench.run(&[&start[..], &["a"]].concat());
    let told = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert!(
        told.contains("nano.safetensors is given more than once"),
        "{told}"
    );
    bench.write("empty", "");
    let transcripts = [
        bench.transcript(&[
            "score",
            "--weights",
            "a",
            "--arch",
            "arch.json",
            "--data",
            "a",
            "empty",
        ]),
        bench.transcript(&["score", "--weights", "a", "--data", "a", "--memory", "1kB"]),
        bench.transcript(&["score", "--weights", "w", "--data", "a", "--memory", "much"]),
        bench.transcript(&["score", "serve", "--weights", "w"]),
        bench.transcript(&["score", "serve", "--weights", "a/w.x,b/w.y"]),
        bench.transcript(&["score", "serve", "--weights", "a", "--memory", "1kB"]),
    ];
    snapshot!("many_documents", transcripts.join("\n"));
}

#[test]
fn every_backend_of_this_machine_is_exact() {
    let bench = Bench::new();
    let output = bench.json(&["score", "self-test"]);
    assert_eq!(output["exact"], true);
    let backends = output["backends"].as_array().unwrap();
    assert!(
        backends
            .iter()
            .filter(|backend| backend["chosen"] == true)
            .count()
            == 1
    );
    for backend in backends.iter().filter(|backend| backend["supported"] == true) {
        for tally in backend["operations"].as_array().unwrap() {
            assert_eq!(tally["matched"], tally["cases"], "{backend}");
        }
    }
    let text = bench.ok(&["score", "self-test"]);
    assert!(text.contains("token_losses") && text.contains("SCALAR"), "{text}");
    let forced = bench
        .command(&["score", "self-test"])
        .env("SOMA_SIMD", "sse9")
        .output()
        .unwrap();
    assert_eq!(forced.status.code(), Some(1));
}

/// A file that nobody can score with is named, and nothing listens.
#[test]
fn score_serve_starts_with_sound_weights_only() {
    let bench = Bench::new();
    bench.write("arch.json", architecture("nano").to_string());
    let sound = vectors().join("nano.safetensors");
    let bytes = fs::read(&sound).unwrap();
    bench.write("cut.safetensors", &bytes[..bytes.len() - 4]);
    bench.write("empty.safetensors", "");
    bench.write("noise.safetensors", [7; 100]);
    fs::create_dir(bench.path("folder.safetensors")).unwrap();
    for bad in ["cut", "empty", "noise", "folder", "missing"] {
        let bad = format!("{bad}.safetensors");
        let weights = format!("{},{bad}", sound.display());
        let output = bench.run(&[
            "score",
            "serve",
            "--arch",
            "arch.json",
            "--listen",
            "127.0.0.1:0",
            "--weights",
            &weights,
        ]);
        assert_eq!(output.status.code(), Some(1), "{bad}");
        assert!(output.stdout.is_empty(), "{bad}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with(&format!("error: {bad}: ")), "{error}");
    }
    // Weights of another architecture are none of this one.
    let weights = sound.display().to_string();
    let output = bench.run(&["score", "serve", "--listen", "127.0.0.1:0", "--weights", &weights]);
    assert_eq!(output.status.code(), Some(1));
}

/// `soma score serve` says where it listens, answers what `soma score --json` prints, and stops when asked.
#[test]
fn scores_are_served() {
    let bench = Bench::new();
    bench.write("arch.json", architecture("nano").to_string());
    bench.write("data", "Served or not, the same bits.");
    let weights = vectors().join("nano.safetensors").display().to_string();
    let models = ["--weights", &weights, "--arch", "arch.json"];
    let serve = [
        &["score", "serve"],
        &models[..],
        &["--listen", "127.0.0.1:0", "--json"],
    ]
    .concat();
    let mut server = Running(bench.command(&serve).stdout(Stdio::piped()).spawn().unwrap());
    let mut output = serde_json::Deserializer::from_reader(server.0.stdout.take().unwrap()).into_iter();
    let said: Value = output.next().unwrap().unwrap();
    let address = said["url"].as_str().unwrap().strip_prefix("http://").unwrap();

    let body = r#"{"models":["nano"],"data":"U2VydmVkIG9yIG5vdCwgdGhlIHNhbWUgYml0cy4="}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /v1/score HTTP/1.1\r\nhost: soma\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, answer) = answer.split_once("\r\n\r\n").unwrap();
    let printed = bench.json(&[&["score"], &models[..], &["--data", "data"]].concat());
    let mut answer: Value = serde_json::from_str(answer).unwrap();
    let named = json!([ContentHash::of(&fs::read(&weights).unwrap())]);
    assert_eq!(
        answer.as_object_mut().unwrap().remove("weights"),
        Some(named.clone())
    );
    assert_eq!(said["weights"], named);
    assert_eq!(answer, printed);

    let pid = server.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn text_that_cannot_be_read_is_named() {
    let bench = Bench::new();
    bench.write("film.mp4", [0, 159, 146, 150].repeat(100));
    bench.write("lines.jsonl", "{\"text\":\"fine\"}\n{\"body\":\"x\"}\n");
    for name in ["nothing", "films"] {
        fs::create_dir(bench.path(name)).unwrap();
    }
    fs::copy(bench.path("film.mp4"), bench.path("films/film.mp4")).unwrap();
    let train = |data| bench.transcript(&["train", "--steps", "1", "--out", "w.safetensors", "--data", data]);
    let transcripts = [
        train("missing"),
        train("nothing"),
        train("films"),
        train("lines.jsonl"),
        train("ftp://host/text"),
        bench.transcript(&["demo", "--data", "missing"]),
        bench.transcript(&["submit", "--data", "missing"]),
    ];
    snapshot!("bad_data", transcripts.join("\n"));
    assert!(!bench.path("w.safetensors").exists());
}

/// Every command reads one file alike, whatever it is packed in, and standard input too.
#[test]
fn commands_read_alike() {
    let bench = Bench::new();
    bench.write("arch.json", architecture("nano").to_string());
    let weights = vectors().join("nano.safetensors").display().to_string();
    let text = "To be, or not to be, that is the question:\n".repeat(3);
    bench.write("text.txt", &text);
    bench.write("text.jsonl", json!({ "text": text }).to_string());
    bench.write("other.jsonl", json!({ "text": format!("{text}!") }).to_string());
    bench.write(OsStr::from_bytes(b"n\xff.txt"), &text);
    let with = |command: &str, data: &OsStr| {
        let mut command = bench.command(&[command, "--weights", &weights, "--arch", "arch.json", "--json"]);
        let output = command.arg("--data").arg(data).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let report = String::from_utf8(output.stderr).unwrap();
        assert_eq!(report, "{\"note\":\"read 1 document, 129 B, from 1 file\"}\n");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    for command in ["score", "embed"] {
        let expected = with(command, "text.txt".as_ref());
        for name in [&b"text.jsonl"[..], b"n\xff.txt", b"te?t.txt"] {
            assert_eq!(
                with(command, OsStr::from_bytes(name)),
                expected,
                "{command} {name:?}"
            );
        }
        let args = [
            command,
            "--weights",
            &weights,
            "--arch",
            "arch.json",
            "--json",
            "--data",
            "-",
        ];
        let output = bench.run_with(&args, &text, None);
        assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), expected);
    }
    let data = &bench.json(&[
        "embed",
        "--weights",
        &weights,
        "--arch",
        "arch.json",
        "--data",
        "text.txt",
        "text.jsonl",
        "other.jsonl",
    ])["data"];
    // Each text once.
    assert_eq!(data["documents"], 2);
    assert_eq!(data["size_bytes"], 259);
}

/// A document without a score names both files and fails the command; the others' scores are printed.
#[test]
fn documents_without_a_score_fail_the_command() {
    let bench = Bench::new();
    bench.write("arch.json", architecture("nano").to_string());
    let mut weights = fs::read(vectors().join("nano.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    weights[header..].fill(0);
    bench.write("zero,0.st", &weights);
    bench.write("1.txt", "one");
    bench.write("evil\u{1b}.txt", "two");
    let start = ["score", "--weights", "zero,0.st", "--arch", "arch.json", "--data"];
    let both = ["1.txt", "evil\u{1b}.txt"];
    let one = bench.transcript(&[&start[..], &both[..1]].concat());
    let many = bench.transcript(&[&start[..], &both].concat());
    let json = bench.run(&[&start[..], &both, &["--json"]].concat());
    assert_eq!(json.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    for document in json["documents"].as_array().unwrap() {
        let error = document["error"].as_str().unwrap();
        assert!(error.starts_with("zero,0.st has no score: "), "{error}");
    }
    snapshot!("no_scores", [one, many].join("\n"));

    let good = vectors().join("nano.safetensors").display().to_string();
    bench.write("good.txt", "To be, or not to be.");
    let output = bench.run(&[
        "score",
        "--weights",
        &good,
        "--arch",
        "arch.json",
        "--data",
        "1.txt",
        "good.txt",
        "--json",
    ]);
    assert!(output.status.success());
}

/// What scoring needs is told before any weights are read, in a sentence.
#[cfg(target_os = "linux")]
#[test]
fn too_little_memory_is_refused_in_words() {
    let bench = Bench::new();
    bench.write("text", "Some text.");
    let weights = bench.write("v1.safetensors", "");
    fs::File::options()
        .write(true)
        .open(weights)
        .unwrap()
        .set_len(5 << 30)
        .unwrap();
    for command in ["score", "embed"] {
        let soma = env!("CARGO_BIN_EXE_soma");
        let script = format!(
            "ulimit -v 3000000; exec {soma} {command} --arch v1 --weights v1.safetensors --data text"
        );
        let mut shell = Command::new("bash");
        let output = shell
            .args(["-c", &script])
            .current_dir(bench.path(""))
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains("error: scoring: 4.") && error.contains("`ulimit -v` leaves"),
            "{error}"
        );
    }
}

/// Where there is no terminal, long work still tells how far it is.
#[test]
fn what_takes_long_leaves_lines_in_a_log() {
    let bench = Bench::new();
    let weights = vectors().join("nano.safetensors").display().to_string();
    bench.write("arch.json", architecture("nano").to_string());
    bench.write("text", vec![b'a'; 1 << 24]);
    let lists = [&weights[..]; 16].join(",");
    let mut child = bench
        .command(&[
            "score",
            "--weights",
            &lists,
            "--arch",
            "arch.json",
            "--data",
            "text",
        ])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let found = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("tokens/s")));
    child.kill().unwrap();
    child.wait().unwrap();
    let found = found.expect("a line before the end").unwrap();
    assert!(
        found.starts_with("scored ") && found.contains(" of 268435456 tokens, "),
        "{found}"
    );
}

#[test]
fn force_deletes_nothing_but_a_localnet() {
    let bench = Bench::new();
    let thesis = bench.write("thesis.txt", "years of work");
    let folder = bench.path("").display().to_string();
    let transcript = bench.transcript(&["localnet", "--force", "--dir", folder.trim_end_matches('/')]);
    assert!(thesis.exists());
    snapshot!("foreign_folder", transcript);
}

#[test]
fn nobody_has_to_read_the_output() {
    let bench = Bench::new();
    for args in [&["wallet", "list", "--json"][..], &["wallet", "export", "nobody"]] {
        let mut child = bench
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        // Neither killed by the broken pipe nor by a panic over it (101).
        assert!(matches!(child.wait().unwrap().code(), Some(0 | 1)), "{args:?}");
    }
}

fn reference(name: &str) -> Value {
    serde_json::from_slice(&fs::read(vectors().join(format!("{name}.json"))).unwrap()).unwrap()
}

fn architecture(name: &str) -> Value {
    reference(name)["architecture"].clone()
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// The key of an empty file would open nothing, and a commit to it could never be revealed.
#[test]
fn nothing_is_not_encrypted() {
    let bench = Bench::new();
    bench.write("empty", "");
    for (weights, why) in [("empty", "is empty"), ("/dev/null", "is no file")] {
        let encrypt = ["weights", "encrypt", weights, "--out", "w.enc", "--key", "w.key"];
        let output = bench.run(&encrypt);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(why), "{stderr}");
        assert!(!bench.path("w.enc").exists() && !bench.path("w.key").exists());
    }
}

/// One's own storage is found fit before anything else is done.
#[test]
fn storage_that_cannot_serve_is_refused_at_once() {
    let bench = Bench::new();
    bench.write("file", "");
    let refused = |base: &str, folder: &str, why: &str| {
        let submit = [
            "submit",
            "--data",
            "missing",
            "--url-base",
            base,
            "--url-folder",
            folder,
        ];
        let output = bench.run(&submit);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(why), "{stderr}");
    };
    refused("ftp://example.org", "new", "ftp://example.org");
    assert!(!bench.path("new").exists());
    refused("https://example.org", "file", "cannot make file");
}

/// One seed, as a person and as a program see it: what the whole says is held by the library's tests.
#[test]
fn a_simulated_network_is_told_of_and_repeats() {
    let bench = Bench::new();
    let command = ["sim", "network", "--seeds", "1", "--from", "3"];
    let text = bench.run(&command);
    assert_eq!(text.status.code(), Some(0), "{text:?}");
    let shown = String::from_utf8(text.stdout).unwrap();
    let last = shown.lines().last().unwrap();
    assert!(
        last.starts_with("one network from seed 3, 4 validators: ")
            && last.ends_with("all 8 properties held"),
        "{shown}"
    );
    let json = bench.run(&[&command[..], &["--json"]].concat());
    assert_eq!(json.status.code(), Some(0), "{json:?}");
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["failures"], json!([]));
    let counts = format!("{} blocks, {} payments", report["blocks"], report["payments"]);
    assert!(last.contains(&counts), "{last}, and then {counts}");
}
