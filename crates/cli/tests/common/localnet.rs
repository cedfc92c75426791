//! A localnet as its own process.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::Bench;

/// A local network of four validators; it ends with the value.
pub struct Localnet {
    pub child: Child,
    /// Where its first validator serves.
    pub api: String,
    /// Where all of them do.
    pub apis: Vec<String>,
    /// Their processes, where they have their own.
    pub processes: Vec<u64>,
    pub chain: String,
}

impl Localnet {
    /// Starts the network in the bench's folder on free ports, and waits until it serves.
    pub fn start(bench: &Bench) -> Self {
        Self::start_with(bench, &[])
    }

    /// [`Self::start`] with more options.
    pub fn start_with(bench: &Bench, options: &[&str]) -> Self {
        Self::serve(bench, "127.0.0.1:0", options)
    }

    /// [`Self::start`] where its first validator served before.
    pub fn start_at(bench: &Bench, address: &str) -> Self {
        Self::serve(bench, address, &[])
    }

    fn serve(bench: &Bench, address: &str, options: &[&str]) -> Self {
        let fixed = ["localnet", "--dir", "net", "--listen", address, "--json"];
        let mut child = bench
            .command(&[&fixed, options].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut text = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            text += &line;
            if line == "}" {
                break;
            }
        }
        let Ok(output) = serde_json::from_str::<Value>(&text) else {
            let _ = child.kill();
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            panic!("it did not start: {stderr}");
        };
        // Its notes go nowhere, but have to go.
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let apis: Vec<String> = serde_json::from_value(output["api"].clone()).unwrap();
        assert_eq!(apis.len(), 4);
        let processes = output["processes"].as_array();
        Self {
            child,
            api: apis[0].clone(),
            apis,
            processes: processes
                .into_iter()
                .flatten()
                .map(|id| id.as_u64().unwrap())
                .collect(),
            chain: output["chain"].as_str().unwrap().to_owned(),
        }
    }

    pub fn json(&self, bench: &Bench, args: &[&str]) -> Value {
        bench.json(&[args, &["--network", &self.api]].concat())
    }

    pub fn balance(&self, bench: &Bench, account: &str) -> u64 {
        self.json(bench, &["balance", account])["balance"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    pub fn height(&self, bench: &Bench) -> u64 {
        self.json(bench, &["status"])["height"].as_u64().unwrap()
    }

    /// Waits for an epoch.
    pub fn reaches(&self, bench: &Bench, epoch: u64) {
        let start = Instant::now();
        while self.json(bench, &["status"])["epoch"].as_u64().unwrap() < epoch {
            assert!(start.elapsed() < Duration::from_secs(120), "no epoch {epoch}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits for a later block.
    pub fn goes_on(&self, bench: &Bench) {
        let (start, height) = (Instant::now(), self.height(bench));
        while self.height(bench) <= height {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "no block after {height}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Localnet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
