//! What is asked at a terminal, whatever is redirected; what is typed there is never shown.

mod common;

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use common::Bench;
use pty_process::blocking::{Pts, Pty};
use rustix::termios::{LocalModes, tcgetattr};

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
/// Until a machine under load has done what takes an instant.
const PATIENCE: Duration = Duration::from_secs(60);

/// A shell's command at a terminal of its own.
struct Session {
    pty: Arc<Pty>,
    screen: Arc<Mutex<Vec<u8>>>,
    child: Child,
    /// As a person's shell does: a terminal that nobody has open is hung up.
    _open: Pts,
}

impl Session {
    /// Runs `$SOMA` followed by what a shell makes of `line`.
    fn start(bench: &Bench, line: &str) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        let child = pty_process::blocking::Command::new("sh")
            .args(["-c", &format!("exec \"$SOMA\" {line}")])
            .current_dir(bench.path(""))
            .env("SOMA", env!("CARGO_BIN_EXE_soma"))
            .env("SOMA_HOME", bench.path("home"))
            .env_remove("SOMA_NETWORK")
            .env_remove("SOMA_PASSWORD")
            .spawn_borrowed(&pts)
            .unwrap();
        let (pty, screen) = (Arc::new(pty), Arc::new(Mutex::new(Vec::new())));
        let (source, shown) = (Arc::clone(&pty), Arc::clone(&screen));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Ends with the terminal.
            while let Ok(length @ 1..) = (&*source).read(&mut bytes) {
                shown.lock().unwrap().extend_from_slice(&bytes[..length]);
            }
        });
        Self {
            pty,
            screen,
            child,
            _open: pts,
        }
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    fn echoes(&self) -> bool {
        tcgetattr(&*self.pty)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    /// Waits until `question` was asked for the `times`-th time, and the terminal shows nothing any more.
    fn asked(&self, question: &str, times: usize) {
        let start = Instant::now();
        while self.screen().matches(question).count() < times || self.echoes() {
            assert!(start.elapsed() < PATIENCE, "'{question}' in: {}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn types(&self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
    }

    fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it printed last is still on its way.
                thread::sleep(Duration::from_millis(200));
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn encrypted() -> Bench {
    let bench = Bench::new();
    let import = bench.run_with(
        &["wallet", "import", "safe"],
        &"7".repeat(64),
        Some("correct horse"),
    );
    assert!(import.status.success());
    bench
}

#[test]
fn passwords_are_asked_on_the_terminal_itself() {
    let bench = encrypted();
    for redirected in [
        "",
        "2>log",
        "2>&1 | cat",
        ">out",
        ">out 2>log",
        "<none >out 2>log",
    ] {
        for name in ["none", "out", "log"] {
            bench.write(name, "");
        }
        let mut session = Session::start(&bench, &format!("wallet export safe {redirected}"));
        session.asked("Password of wallet 'safe': ", 1);
        session.types("correct horse\n");
        assert!(session.ended().success(), "{redirected}");
        let shown = session.screen() + &fs::read_to_string(bench.path("out")).unwrap();
        assert!(shown.contains(&"7".repeat(64)), "{redirected}: {shown}");
        assert!(!shown.contains("correct horse"), "{shown}");
        assert!(session.echoes());
    }
}

#[test]
fn ctrl_c_at_a_question_ends_at_once_and_typing_shows_again() {
    let bench = encrypted();
    for question in ["wallet export safe", "wallet import other"] {
        for stop in ["\u{3}", "abc\u{3}", "\u{1a}\u{3}"] {
            let mut session = Session::start(&bench, question);
            session.asked("wallet '", 1);
            session.types(stop);
            assert_eq!(session.ended().code(), Some(130), "{question}");
            assert!(session.echoes(), "{question}");
            assert!(!session.screen().contains("abc"));
        }
        let mut session = Session::start(&bench, question);
        session.asked("wallet '", 1);
        kill("-TERM", &session.child);
        assert_eq!(session.ended().code(), Some(130), "{question}");
        assert!(session.echoes(), "{question}");
    }
    assert!(!bench.path("home/wallets/other.json").exists());
}

#[test]
fn an_import_at_a_terminal_is_unseen_and_can_be_encrypted() {
    let bench = Bench::new();
    // Typed in two lines, as it was printed on paper.
    let (first, second) = WORDS.split_at(WORDS.find("about").unwrap() - 8);
    let mut session = Session::start(&bench, "wallet import safe");
    session.asked("Recovery words or secret key for wallet 'safe'", 1);
    session.types(&format!("{first}\n{second}\n"));
    session.asked("encrypt wallet 'safe'", 1);
    session.types("hunter2\n");
    session.asked("The same again: ", 1);
    session.types("hunter3\n");
    session.asked("encrypt wallet 'safe'", 2);
    session.types("hunter2\n");
    session.asked("The same again: ", 2);
    session.types("hunter2\n");
    assert!(session.ended().success(), "{}", session.screen());
    let screen = session.screen();
    assert!(
        !screen.contains("abandon") && !screen.contains("hunter"),
        "{screen}"
    );
    assert!(screen.contains("They differ."));
    assert_eq!(bench.json(&["wallet", "list"])[0]["encrypted"], true);
    let export = bench.run_with(&["wallet", "export", "safe", "--json"], "", Some("hunter2"));
    assert!(String::from_utf8(export.stdout).unwrap().contains(WORDS));

    let mut session = Session::start(&bench, "wallet import bare");
    session.asked("wallet 'bare'", 1);
    session.types(&format!("{}\n", "7".repeat(64)));
    session.asked("encrypt wallet 'bare'", 1);
    session.types("\n");
    assert!(session.ended().success());
    assert!(session.screen().contains("not encrypted"), "{}", session.screen());
}

/// Ctrl-C ends a command that still reads what it is given.
#[test]
fn nothing_is_lost_before_the_work_begins() {
    let bench = encrypted();
    let pipe = bench.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    bench.write("w.safetensors", "");
    for command in [
        &["wallet", "import", "other"][..],
        &["submit", "--data", "pipe"],
        &["train", "--data", "pipe", "--out", "out.safetensors"],
        &["score", "--weights", "w.safetensors", "--data", "pipe"],
    ] {
        let mut child = bench.command(command).stdin(Stdio::piped()).spawn().unwrap();
        thread::sleep(Duration::from_millis(500));
        kill("-INT", &child);
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{command:?} goes on");
            }
            thread::sleep(Duration::from_millis(20));
        };
        assert!(!status.success(), "{command:?}");
    }
}

fn kill(signal: &str, child: &Child) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn what_may_be_any_bytes_is_no_text_for_a_terminal() {
    let bench = Bench::new();
    for command in ["compress", "decompress"] {
        let mut session = Session::start(&bench, &format!("{command} a.txt -o - --weights a.safetensors"));
        assert_eq!(session.ended().code(), Some(2), "{}", session.screen());
        assert!(
            session.screen().contains("a terminal does not take"),
            "{}",
            session.screen()
        );
    }
}
