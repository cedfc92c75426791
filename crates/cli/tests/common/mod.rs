//! Runs the real binary, away from the developer's own wallets and settings.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod host;
pub mod localnet;
pub mod serving;

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

/// A process that does not outlive its test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder of its own for every test.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The binary with `SOMA_HOME` below the test's folder, which is also its working directory.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_soma"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("SOMA_HOME", self.path("home"))
            .env_remove("SOMA_NETWORK")
            .env_remove("SOMA_PASSWORD")
            // In the background of whoever's terminal the tests run at: nobody is asked.
            .process_group(0)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs with something on standard input, and perhaps a password.
    pub fn run_with(&self, args: &[&str], input: &str, password: Option<&str>) -> Output {
        let mut command = self.command(args);
        if let Some(password) = password {
            command.env("SOMA_PASSWORD", password);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read it may be gone by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Standard output of a command that must succeed.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same as JSON.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let text = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// Command, exit code, stdout and stderr, without what differs between runs.
    pub fn transcript(&self, args: &[&str]) -> String {
        self.describe(args, &self.run(args))
    }

    pub fn describe(&self, args: &[&str], output: &Output) -> String {
        let folder = self.folder.path().display().to_string();
        let text = format!(
            "$ soma {}\nexit code {}\n--- stdout\n{}--- stderr\n{}",
            args.join(" "),
            output
                .status
                .code()
                .map_or("none".into(), |code| code.to_string()),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        text.replace(&folder, "[FOLDER]")
    }
}

/// The architecture of a model that is trained in a moment.
pub const SMALL: &str = r#"{"embedding_dim": 16, "heads": 2, "layers": 1, "ffn_dim": 32, "max_seq_len": 32, "rope_wavelength": 10000}"#;

/// The reference vectors of exact scoring.
pub fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/vectors")
}
