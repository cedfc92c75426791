//! A network in a process of its own: one that is killed, and one that may open few files.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use soma_client::NodeClient;
use soma_localnet::{
    Config, Localnet,
    testing::{PATIENCE, wait},
};
use soma_types::{Shannons, amount::SHANNONS_PER_SOMA};

use crate::common::{ALICE, client, height, runtime};

/// The test that is no test: a network in a process of its own.
const CHILD: &str = "process::child";

/// Runs in a child process, until it is killed.
#[test]
#[ignore = "the child of a_killed_network_resumes"]
fn child() {
    let Ok(folder) = std::env::var("SOMA_TEST_LOCALNET") else {
        return;
    };
    if let Ok(files) = std::env::var("SOMA_TEST_FILES") {
        let files = files.parse().unwrap();
        rlimit::setrlimit(rlimit::Resource::NOFILE, files, files).unwrap();
    }
    let net = Localnet::start(Config::new(&folder)).unwrap();
    let apis: Vec<String> = net.apis().iter().map(ToString::to_string).collect();
    std::fs::write(Path::new(&folder).join("api.tmp"), apis.join(" ")).unwrap();
    std::fs::rename(Path::new(&folder).join("api.tmp"), Path::new(&folder).join("api")).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_killed_network_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut before, mut paid) = (0, Vec::new());
    for _ in 0..2 {
        let api = folder.path().join("api");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--ignored"])
            .env("SOMA_TEST_LOCALNET", folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        runtime().block_on(async {
            let addresses = wait("the child", async || std::fs::read_to_string(&api).ok()).await;
            let address = addresses.split(' ').next().unwrap();
            let client = NodeClient::new(&format!("http://{address}")).unwrap();
            wait("blocks", async || {
                (height(&client).await > before + 5).then_some(())
            })
            .await;
            for hash in &paid {
                let view = client
                    .transaction(hash)
                    .await
                    .unwrap()
                    .expect("a payment was lost");
                assert!(view.receipt.unwrap().applied());
            }
            let hash = client.faucet(&ALICE, None).await.unwrap();
            wait("the payment", async || {
                client.transaction(&hash).await.ok()??.receipt
            })
            .await;
            paid.push(hash);
            before = height(&client).await;
        });
        // Not a chance to write anything.
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_file(api).unwrap();
    }
    let net = Localnet::start(Config::new(folder.path())).unwrap();
    runtime().block_on(async {
        let client = client(&net, 2);
        wait("blocks", async || (height(&client).await > before).then_some(())).await;
        let account = client.account(&ALICE).await.unwrap();
        assert_eq!(account.balance, Shannons(2 * 5_000 * SHANNONS_PER_SOMA));
    });
    net.stop().unwrap();
}

/// A child that is killed when the test ends, however it ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a system allows no more than 1024 open files, four validators run, their files do not grow with the
/// chain, and no number of silent clients takes a file from storage.
#[cfg(target_os = "linux")]
#[test]
fn storage_has_its_files_whoever_connects() {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored"])
        .env("SOMA_TEST_LOCALNET", folder.path())
        .env("SOMA_TEST_FILES", "1024")
        .stdout(Stdio::null())
        .spawn()
        .map(Killed)
        .unwrap();
    let open_files = || {
        std::fs::read_dir(format!("/proc/{}/fd", child.0.id()))
            .unwrap()
            .count()
    };
    runtime().block_on(async {
        let api = folder.path().join("api");
        let addresses = wait("the child", async || std::fs::read_to_string(&api).ok()).await;
        let addresses: Vec<String> = addresses.split(' ').map(str::to_owned).collect();
        let last = NodeClient::new(&format!("http://{}", addresses[3])).unwrap();
        let reaches =
            async |at: u64| wait("blocks", async || (height(&last).await >= at).then_some(())).await;
        reaches(50).await;
        let before = open_files();
        reaches(90).await;
        assert!(
            open_files() <= before + 8,
            "{before} files became {}",
            open_files()
        );

        // Followers of events get half of the places, so that others are served besides.
        let mut refused = 0;
        let mut followers = Vec::new();
        for _ in 0..30 {
            let mut stream = std::net::TcpStream::connect(&addresses[3]).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
                .write_all(b"GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            refused += usize::from(&status == b"HTTP/1.1 503");
            followers.push(stream);
        }
        assert!((5..25).contains(&refused), "{refused} of 30 were refused");

        let mut silent = Vec::new();
        for index in 0..900 {
            let mut stream = std::net::TcpStream::connect(&addresses[index % 3]).unwrap();
            if index % 2 == 0 {
                stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: ").unwrap();
            }
            silent.push(stream);
        }
        let now = height(&last).await;
        reaches(now + 20).await;
        assert!(open_files() < 1_000, "{}", open_files());
    });
}
