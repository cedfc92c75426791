//! Money and truth, as people meet them: the real binary, a real network, and a hop between that loses
//! answers.

mod common;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::{Bench, localnet::Localnet};
use serde_json::Value;

const SHANNONS_PER_SOMA: u64 = 1_000_000_000;

/// What a hop does with the answer to a transaction that the node took up.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Passes everything on.
    Pass,
    /// Closes the connection instead.
    Reset,
    /// Answers 504 instead.
    Gateway,
    /// Closes it, and every one after it.
    Gone,
}

/// A hop before a node.
struct Hop {
    url: String,
    mode: Arc<Mutex<Mode>>,
}

impl Hop {
    fn before(api: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let node = api.strip_prefix("http://").unwrap().to_owned();
        let mode = Arc::new(Mutex::new(Mode::Pass));
        let (shared, gone) = (Arc::clone(&mode), Arc::new(Mutex::new(false)));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, node, shared, gone) =
                    (client.unwrap(), node.clone(), shared.clone(), gone.clone());
                // A client that hangs up is no failure of the hop.
                std::thread::spawn(move || pass(client, &node, &shared, &gone).unwrap_or_default());
            }
        });
        Self { url, mode }
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

fn pass(mut client: TcpStream, node: &str, mode: &Mutex<Mode>, gone: &Mutex<bool>) -> std::io::Result<()> {
    let (mut request, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let (end, length) = loop {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..count]);
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            break (end + 4, length.map_or(0, |length| length.trim().parse().unwrap()));
        }
    };
    while request.len() < end + length {
        let count = client.read(&mut buffer)?;
        request.extend_from_slice(&buffer[..count]);
    }
    let mode = *mode.lock().unwrap();
    if mode == Mode::Gone && *gone.lock().unwrap() {
        return client.shutdown(Shutdown::Both);
    }
    let is_transaction = request.starts_with(b"POST /v1/transactions ");
    let mut server = TcpStream::connect(node)?;
    let line_end = request.windows(2).position(|window| window == b"\r\n").unwrap() + 2;
    server.write_all(&request[..line_end])?;
    server.write_all(b"connection: close\r\n")?;
    server.write_all(&request[line_end..])?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    match mode {
        Mode::Reset if is_transaction => {}
        Mode::Gone if is_transaction => *gone.lock().unwrap() = true,
        Mode::Gateway if is_transaction => {
            client.write_all(
                b"HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            )?;
        }
        _ => client.write_all(&answer)?,
    }
    client.shutdown(Shutdown::Both)
}

/// Alice, who has money, and Bob, who has an account.
fn stage() -> (Bench, Localnet) {
    let bench = Bench::new();
    bench.json(&["wallet", "new", "alice"]);
    bench.json(&["wallet", "new", "bob"]);
    let net = Localnet::start(&bench);
    net.json(&bench, &["faucet", "alice", "--amount", "5000"]);
    net.json(&bench, &["send", "bob", "1"]);
    (bench, net)
}

fn start(bench: &Bench, args: &[&str]) -> Child {
    bench
        .command(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The error of a command under `--json`: the last line of standard error.
fn error(output: &Output) -> Value {
    let text = stderr(output);
    for line in text.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn e2e_equal_commands_at_once_all_happen() {
    let (bench, net) = stage();
    let before = net.balance(&bench, "bob");
    let sends: Vec<_> = (0..12)
        .map(|_| start(&bench, &["send", "bob", "1", "--json", "--network", &net.api]))
        .collect();
    let mut hashes = Vec::new();
    for send in sends {
        let output = send.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
        hashes.push(receipt["transaction"].as_str().unwrap().to_owned());
    }
    assert_eq!(net.balance(&bench, "bob") - before, 12 * SHANNONS_PER_SOMA);
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 12);
    let creates: Vec<_> = (0..3)
        .map(|_| start(&bench, &["model", "create", "--json", "--network", &net.api]))
        .collect();
    for create in creates {
        let output = create.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!(net.json(&bench, &["model", "list"]).as_array().unwrap().len(), 3);
}

#[test]
fn e2e_a_lost_answer_is_no_failure_and_no_second_payment() {
    let (bench, net) = stage();
    let hop = Hop::before(&net.api);
    let mut expected = net.balance(&bench, "bob");
    for mode in [Mode::Reset, Mode::Gateway] {
        hop.set(mode);
        let output = bench.run(&["send", "bob", "7", "--network", &hop.url]);
        assert!(output.status.success(), "{}", stderr(&output));
        expected += 7 * SHANNONS_PER_SOMA;
        assert_eq!(net.balance(&bench, "bob"), expected);
    }
    // The node is gone for good after it took the payment.
    hop.set(Mode::Gone);
    let output = bench.run(&["send", "bob", "7", "--wait", "1", "--json", "--network", &hop.url]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let told = error(&output);
    let hash = told["transaction"].as_str().unwrap();
    assert_eq!(
        (told["exit_code"].as_u64(), told["code"].is_null()),
        (Some(3), true)
    );
    assert!(
        told["message"].as_str().unwrap().contains("may still happen"),
        "{told}"
    );
    assert!(
        told["hint"].as_str().unwrap().contains("soma transaction show"),
        "{told}"
    );
    assert_eq!(told["transactions"][0]["state"], "unknown");
    expected += 7 * SHANNONS_PER_SOMA;
    // It is remembered, can be looked up, and the same command pays no second time.
    let left = net.json(&bench, &["transaction", "list"]);
    assert_eq!(left[0]["transaction"], hash);
    let view = net.json(&bench, &["transaction", "show", hash]);
    assert_eq!(view["receipt"]["outcome"]["status"], "applied");
    let again = bench.run(&["send", "bob", "7", "--network", &net.api]);
    assert!(
        again.status.success() && stderr(&again).contains("nothing new is sent"),
        "{}",
        stderr(&again)
    );
    assert!(String::from_utf8_lossy(&again.stdout).contains(hash));
    assert_eq!(net.balance(&bench, "bob"), expected);
    assert_eq!(
        net.json(&bench, &["transaction", "list"])
            .as_array()
            .unwrap()
            .len(),
        0
    );
    // Whoever asks once more wants it once more.
    net.json(&bench, &["send", "bob", "7"]);
    assert_eq!(net.balance(&bench, "bob"), expected + 7 * SHANNONS_PER_SOMA);
    // Left behind once more, and finished by its hash.
    let hop = Hop::before(&net.api);
    hop.set(Mode::Gone);
    let output = bench.run(&["send", "bob", "2", "--wait", "1", "--json", "--network", &hop.url]);
    let hash = error(&output)["transaction"].as_str().unwrap().to_owned();
    let receipt = net.json(&bench, &["transaction", "resend", &hash]);
    assert_eq!(receipt["transaction"], hash.as_str());
    assert_eq!(net.balance(&bench, "bob"), expected + 9 * SHANNONS_PER_SOMA);
    let none = bench.run(&["transaction", "resend", &hash, "--network", &net.api]);
    assert!(
        none.status.code() == Some(1) && stderr(&none).contains("not left behind"),
        "{}",
        stderr(&none)
    );
}

#[test]
fn e2e_a_deed_is_told_however_the_command_ends() {
    let (bench, net) = stage();
    let mut expected = net.balance(&bench, "bob");
    // Its result cannot be printed.
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for json in [false, true] {
        let flag: &[&str] = if json { &["--json"] } else { &[] };
        let args = [&["send", "bob", "1", "--network", &net.api][..], flag].concat();
        let output = bench
            .command(&args)
            .stdout(full())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        expected += SHANNONS_PER_SOMA;
        assert_eq!(net.balance(&bench, "bob"), expected);
        if json {
            let told = error(&output);
            assert_eq!(told["transactions"][0]["state"], "applied");
            assert!(
                told["transactions"][0]["transaction"]
                    .as_str()
                    .unwrap()
                    .starts_with("0x")
            );
        } else {
            assert!(
                stderr(&output).contains("done: transfer, transaction 0x"),
                "{}",
                stderr(&output)
            );
        }
    }
    // Where there is no standard output at all, nobody wants to read it.
    let line = format!(
        "{} send bob 1 --network {} >&-",
        env!("CARGO_BIN_EXE_soma"),
        net.api
    );
    let closed = std::process::Command::new("sh")
        .args(["-c", &line])
        .env("SOMA_HOME", bench.path("home"))
        .output()
        .unwrap();
    assert_eq!(closed.status.code(), Some(0), "{}", stderr(&closed));
    expected += SHANNONS_PER_SOMA;
    assert_eq!(net.balance(&bench, "bob"), expected);
    // It is stopped while it waits.
    let hop = Hop::before(&net.api);
    hop.set(Mode::Gone);
    let waiting = start(&bench, &["send", "bob", "3", "--json", "--network", &hop.url]);
    let (from, pid) = (Instant::now(), waiting.id().to_string());
    while net.balance(&bench, "bob") == expected {
        assert!(from.elapsed() < Duration::from_secs(60), "it was not taken up");
        std::thread::sleep(Duration::from_millis(50));
    }
    let stopped = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .unwrap();
    assert!(stopped.success());
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let told = error(&output);
    assert_eq!(
        (&told["message"], &told["transactions"][0]["state"]),
        (&"stopped".into(), &"unknown".into())
    );
}

#[test]
fn e2e_what_fails_costs_nothing_and_names_its_code() {
    let (bench, net) = stage();
    let before = net.balance(&bench, "alice");
    let run = |args: &[&str]| bench.run(&[args, &["--network", &net.api]].concat());
    let output = run(&["send", "bob", "9000000"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("code 200 InsufficientBalance") && text.contains("nothing was sent"),
        "{text}"
    );
    let told = error(&run(&["send", "bob", "9000000", "--json"]));
    assert_eq!(
        (&told["code"], &told["name"]),
        (&200.into(), &"InsufficientBalance".into())
    );
    assert_eq!((&told["transaction"], &told["fee"]), (&Value::Null, &Value::Null));
    let pool = format!("model:0x{}", "1".repeat(64));
    for args in [
        &["send", "bob", "0"][..],
        &["send", "bob", "0.0000000001"],
        &["stake", "add", &pool, "0"],
        &["stake", "withdraw", &pool, "0"],
        &["model", "create", "--stake", "0"],
        &["faucet", "--amount", "0"],
    ] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
        let told = error(&run(&[args, &["--json"]].concat()));
        assert_eq!(told["exit_code"], 2, "{args:?}");
    }
    let output = run(&["model", "create", "--stake", "0.000001"]);
    assert!(stderr(&output).contains("StakeTooSmall"), "{}", stderr(&output));
    let output = run(&["send", "bob", "1", "--max-fee", "0.000000001"]);
    assert!(
        stderr(&output).contains("more than the 0.000000001 SOMA"),
        "{}",
        stderr(&output)
    );
    // A node of another chain than the one that was named signs for nobody.
    let other = format!("0x{}", "1".repeat(64));
    let output = run(&["send", "bob", "1", "--chain", &other]);
    assert!(
        stderr(&output).contains("nothing was signed"),
        "{}",
        stderr(&output)
    );
    assert_eq!(net.balance(&bench, "alice"), before);
    // Paying oneself is a payment.
    net.json(&bench, &["send", "alice", "1", "--chain", &net.chain]);
}

/// Stopped between commit and reveal, it says what is due, and the same command goes on.
#[test]
fn e2e_an_interrupted_update_goes_on() {
    let (bench, net) = stage();
    bench.write("text.txt", "The same words, again and again. ".repeat(200));
    bench.json(&[
        "train",
        "--data",
        "text.txt",
        "--steps",
        "1",
        "--out",
        "model.safetensors",
    ]);
    let model = net.json(&bench, &["model", "create"])["model"]
        .as_str()
        .unwrap()
        .to_owned();
    let args = [
        "model",
        "update",
        &model,
        "model.safetensors",
        "--data",
        "text.txt",
        "--network",
        &net.api,
    ];
    let update = start(&bench, &args);
    let from = Instant::now();
    let committed = || net.json(&bench, &["model", "show", &model])["committed"].clone();
    while committed().is_null() {
        assert!(from.elapsed() < Duration::from_secs(60), "nothing was committed");
        std::thread::sleep(Duration::from_millis(100));
    }
    let commit = committed();
    // The receipt takes it a moment.
    std::thread::sleep(Duration::from_secs(2));
    let stopped = std::process::Command::new("kill")
        .args(["-INT", &update.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success());
    let output = update.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(
        text.contains("done: commit_model") && text.contains("due: reveal the weights of model"),
        "{text}"
    );
    let again = bench.run(&args);
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(
        stderr(&again).contains("Going on with the commit"),
        "{}",
        stderr(&again)
    );
    let shown = net.json(&bench, &["model", "show", &model]);
    assert!(shown["committed"].is_null());
    assert_eq!(shown["revealed"]["committed"]["hash"], commit["hash"], "{shown}");
}
