//! Validators as processes: a network founded by its operators, what is wrong with a home told before and at
//! the start, and a localnet whose validators die one by one.

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use common::{Bench, localnet::Localnet};
use serde_json::Value;
use soma_localnet::testing::free_ports;

const PATIENCE: Duration = Duration::from_secs(180);

/// Whether a node has content.
fn has_blob(api: &str, hash: &str) -> bool {
    let host = api.trim_start_matches("http://");
    let Ok(mut stream) = TcpStream::connect(host) else {
        return false;
    };
    let asked = write!(
        stream,
        "HEAD /v1/blobs/{hash} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    );
    let mut answer = String::new();
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// What a node answers to a GET; none while it does not.
fn get(api: &str, path: &str) -> Option<Value> {
    let host = api.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200")
        .then(|| serde_json::from_str(body).ok())?
}

fn height(api: &str) -> Option<u64> {
    get(api, "/v1/status")?["height"].as_u64()
}

fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The state root that every node has at one height, which all of them have reached.
fn one_root(apis: &[String]) -> String {
    let at = wait("heights", || {
        apis.iter()
            .map(|api| height(api))
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .min()
    });
    let roots: Vec<String> = apis
        .iter()
        .map(|api| {
            let block = wait("a block", || get(api, &format!("/v1/blocks/{at}")));
            block["state_root"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(roots.iter().all(|root| *root == roots[0]), "at {at}: {roots:?}");
    roots[0].clone()
}

fn signal(name: &str, id: u64) {
    let sent = Command::new("kill").args([name, &id.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// One validator of four is killed, under load: the others go on, it is started again, catches up, and all
/// have one state.
#[test]
fn e2e_survivors_go_on_and_the_killed_one_catches_up() {
    let bench = Bench::new();
    bench.json(&["wallet", "new", "alice"]);
    let net = Localnet::start_with(&bench, &["--processes"]);
    assert_eq!(net.processes.len(), 4);
    // Each has only its own.
    for index in 0..4 {
        let home = bench.path(&format!("net/validator-{index}"));
        for name in ["node.toml", "network.json", "secrets.json", "storage", "blobs"] {
            assert!(home.join(name).exists(), "validator {index} has no {name}");
        }
        let network = fs::read_to_string(home.join("network.json")).unwrap();
        let secrets = fs::read_to_string(home.join("secrets.json")).unwrap();
        for (name, secret) in serde_json::from_str::<Value>(&secrets)
            .unwrap()
            .as_object()
            .unwrap()
        {
            let secret = secret.as_str().unwrap();
            assert!(secret.len() > 60 && !network.contains(secret), "{name} is public");
        }
    }
    // What is handed to one of them comes to all.
    let genesis = wait("the genesis", || get(&net.api, "/v1/genesis"));
    let hash = genesis["weights"]["hash"].as_str().unwrap();
    for api in &net.apis {
        wait("the genesis weights", || has_blob(api, hash).then_some(()));
    }
    let done = AtomicBool::new(false);
    let paid = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut paid = 0_u64;
            while !done.load(Ordering::Relaxed) {
                net.json(&bench, &["faucet", "alice", "--amount", "1"]);
                paid += 1;
            }
            paid
        });
        wait("blocks", || (height(&net.apis[2])? > 5).then_some(()));
        signal("-9", net.processes[2]);
        let at = height(&net.api).unwrap();
        wait("blocks of the survivors", || {
            (height(&net.api)? > at + 20).then_some(())
        });
        let tip = height(&net.api).unwrap();
        wait("the killed one", || (height(&net.apis[2])? >= tip).then_some(()));
        done.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    assert!(paid > 0, "there was no load");
    let root = one_root(&net.apis);
    assert!(root.starts_with("0x"));

    // What must go goes everywhere, or from one node.
    let [first, second] = [0, 1].map(|index| format!("net/validator-{index}"));
    let alone = ["content", "drop", hash, "--reason", "not here", "--home", &second];
    bench.ok(&alone);
    wait("one without it", || (!has_blob(&net.apis[1], hash)).then_some(()));
    assert!(has_blob(&net.apis[0], hash));
    bench.ok(&["content", "drop", hash, "--reason", "nowhere", "--dir", "net"]);
    for api in &net.apis {
        wait("none with it", || (!has_blob(api, hash)).then_some(()));
    }
    assert!(
        bench
            .ok(&["content", "list", "--home", &first])
            .contains("nowhere")
    );
    assert_eq!(net.balance(&bench, "alice"), paid * 1_000_000_000);

    // Whoever is left behind ends with the one that started it, however that ends.
    signal("-9", net.child.id().into());
    for id in [net.processes[0], net.processes[1], net.processes[3]] {
        let process = format!("/proc/{id}/exe");
        wait("an orphan to end", || {
            (!Path::new(&process).exists()).then_some(())
        });
    }
}

/// A node in a process of its own; it ends with the value.
struct Node(Child);

impl Node {
    /// Starts it and waits until it serves.
    fn start(bench: &Bench, home: &str) -> Self {
        let mut child = bench
            .command(&["node", "start", "--home", home, "--json"])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(bench.path(&format!("{home}.log"))).unwrap())
            .spawn()
            .unwrap();
        let serves = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .any(|line| line.unwrap() == "}");
        let log = || fs::read_to_string(bench.path(&format!("{home}.log"))).unwrap();
        assert!(serves, "{home} did not start: {}", log());
        Self(child)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn plan(bench: &Bench, folder: &str, start_ms: u128) {
    fs::create_dir_all(bench.path(folder)).unwrap();
    let text = format!(
        "network = 'trial'\nstart_ms = {start_ms}\npreset = 'local'\nvalidator_stake = '10000000000000'\n\
         validator_balance = '1000000000000'\n"
    );
    bench.write(format!("{folder}/plan.toml"), text);
}

fn init(bench: &Bench, home: &str, founding: &str, ports: (u16, u16)) -> Value {
    bench.json(&["wallet", "new", "--home", home]);
    let (p2p, api) = (format!("127.0.0.1:{}", ports.0), format!("127.0.0.1:{}", ports.1));
    let args = [
        "node",
        "init",
        "--home",
        home,
        "--address",
        &p2p,
        "--api",
        &api,
        "--reach",
        "machine",
        "--founding",
        founding,
    ];
    bench.json(&args)
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// A command that fails so, saying that.
fn refused(bench: &Bench, args: &[&str], code: i32, why: &str) {
    let output = bench.run(args);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(why), "{args:?} does not say '{why}': {said}");
}

/// Three operators found a network with nobody whom they trust, and run it; what is wrong is told.
#[test]
fn e2e_operators_found_a_network_and_run_it() {
    let bench = Bench::new();
    let homes = ["op-0", "op-1", "op-2"];
    let ports = free_ports(6);
    plan(&bench, "founding", now_ms() - 1_000);
    for (index, home) in homes.iter().enumerate() {
        init(&bench, home, "founding", (ports[2 * index], ports[2 * index + 1]));
    }
    let again = ["node", "init", "--home", "op-0", "--address", "203.0.113.9:1"];
    refused(&bench, &again, 1, "made once");
    // What cannot be is refused before keys are made, so that the right command finds an empty home.
    let account = format!("0x{}", "77".repeat(32));
    let wallet = ["--home", "op-new", "--account", &account];
    let far = [&["node", "init", "--address", "10.0.0.1:1"][..], &wallet].concat();
    refused(&bench, &far, 2, "cannot reach 10.0.0.1:1");
    let file = [
        "node",
        "init",
        "--address",
        "203.0.113.9:1",
        "--founding",
        "founding/plan.toml",
    ];
    refused(&bench, &[&file[..], &wallet].concat(), 1, "plan.toml");
    assert!(!bench.path("op-new/secrets.json").exists());
    refused(&bench, &["node", "start", "--home", "op-0"], 2, "network.json");
    refused(&bench, &["node", "check", "--home", "op-0"], 5, "no network at");
    let chains: Vec<Value> = homes
        .iter()
        .map(|home| bench.json(&["genesis", "deal", "founding", "--home", home])["chain"].clone())
        .collect();
    assert!(chains.iter().all(|chain| *chain == chains[0]));
    let built = bench.json(&["genesis", "build", "founding"]);
    for home in homes {
        let joined = bench.json(&["node", "join", "founding", "--home", home]);
        assert_eq!((&joined["hash"], &joined["chain"]), (&built["hash"], &chains[0]));
        bench.ok(&["node", "check", "--home", home]);
    }

    // What stands in a start's way is named, by the check as by the start.
    let home = bench.path("op-0");
    let settings = fs::read_to_string(home.join("node.toml")).unwrap();
    let taken = TcpListener::bind(("127.0.0.1", ports[1])).unwrap();
    refused(&bench, &["node", "check", "--home", "op-0"], 5, "port is in use");
    refused(
        &bench,
        &["node", "start", "--home", "op-0"],
        1,
        "[api] cannot listen",
    );
    drop(taken);
    let taken = TcpListener::bind(("127.0.0.1", ports[0])).unwrap();
    refused(
        &bench,
        &["node", "start", "--home", "op-0"],
        1,
        "[p2p] cannot listen",
    );
    drop(taken);
    let with = |text: &str| fs::write(home.join("node.toml"), text).unwrap();
    with(&format!("speed = 3\n{settings}"));
    refused(&bench, &["node", "start", "--home", "op-0"], 2, "speed");
    with(&settings.replace(&format!("127.0.0.1:{}", ports[1]), "0.0.0.0:9000"));
    refused(&bench, &["node", "start", "--home", "op-0"], 2, "public = true");
    with(&settings.replace("\"info\"", "\"info,soma_node=loud\""));
    refused(&bench, &["node", "start", "--home", "op-0"], 2, "filter");
    with(&settings);
    init(&bench, "stranger", "other", (ports[0], ports[1]));
    fs::copy(home.join("network.json"), bench.path("stranger/network.json")).unwrap();
    refused(
        &bench,
        &["node", "start", "--home", "stranger"],
        2,
        "no validator's",
    );
    fs::create_dir_all(home.join("storage")).unwrap();
    bench.write("op-0/storage/chain", "0x1234\n");
    refused(
        &bench,
        &["node", "start", "--home", "op-0"],
        2,
        "storage of the network 0x1234",
    );
    fs::remove_file(home.join("storage/chain")).unwrap();

    let mut nodes: Vec<Node> = homes.iter().map(|home| Node::start(&bench, home)).collect();
    refused(
        &bench,
        &["node", "start", "--home", "op-0"],
        1,
        "another node runs",
    );
    refused(
        &bench,
        &["node", "check", "--home", "op-0"],
        5,
        "another node runs",
    );
    let apis: Vec<String> = (0..3)
        .map(|index| format!("http://127.0.0.1:{}", ports[2 * index + 1]))
        .collect();
    for api in &apis {
        wait("blocks", || (height(api)? > 3).then_some(()));
    }
    one_root(&apis);
    // Asked to stop, each stops cleanly.
    for node in &mut nodes {
        signal("-TERM", node.0.id().into());
        assert_eq!(node.0.wait().unwrap().code(), Some(0));
    }
    let before = fs::read_to_string(bench.path("op-1.log")).unwrap();
    assert!(!before.contains("panicked"), "{before}");
}

/// A clock that is behind the network's start is told, and how far.
#[test]
fn a_clock_that_is_off_is_told() {
    let bench = Bench::new();
    let ports = free_ports(2);
    plan(&bench, "founding", now_ms() + 3 * 3_600_000);
    // Looking makes nothing, and what could not be looked at is not what is wrong.
    let nowhere = ["node", "check", "--home", "nowhere"];
    refused(
        &bench,
        &nowhere,
        5,
        "3 of 10 are not in order, and 7 could not be looked at",
    );
    assert!(!bench.path("nowhere").exists());
    init(&bench, "op", "founding", (ports[0], ports[1]));
    bench.ok(&["genesis", "deal", "founding", "--home", "op"]);
    bench.ok(&["node", "join", "founding", "--home", "op"]);
    refused(&bench, &["node", "check", "--home", "op"], 5, "hours ahead");
    refused(&bench, &["node", "start", "--home", "op"], 1, "the clock says");
}
