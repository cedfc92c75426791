//! A network to offer a load to: `soma localnet --processes`, and the processor time that it takes.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Linux counts in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running network. It ends with this value.
pub struct Network {
    child: Child,
    pub apis: Vec<String>,
    _directory: TempDir,
}

impl Network {
    /// Starts `validators` of them as processes of `program`.
    pub fn start(program: &Path, validators: u32) -> Self {
        let directory = tempfile::tempdir().expect("there is room for a folder");
        let mut child = Command::new(program)
            .args(["localnet", "--processes", "--listen", "127.0.0.1:0"])
            .args(["--validators", &validators.to_string()])
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut apis = Vec::new();
        while apis.len() < validators as usize {
            let line = lines
                .next()
                .expect("it says where it serves")
                .expect("it says text");
            apis.extend(
                line.split_whitespace()
                    .filter(|word| word.starts_with("http://"))
                    .map(str::to_owned),
            );
        }
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            apis,
            _directory: directory,
        }
    }

    /// Processor time of all validators so far, in seconds.
    pub fn work_s(&self) -> f64 {
        let parent = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().map(process_s).sum()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Its validators end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of this process so far, in seconds.
pub fn own_work_s() -> f64 {
    process_s("self")
}

/// User's and system's time of a process; 0 where the system does not tell.
fn process_s(process: &str) -> f64 {
    let line = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything.
    let after_name = line.rsplit(')').next().unwrap_or_default();
    // Fields 14 and 15 of proc(5); what follows the name begins with field 3.
    let times = after_name.split_whitespace().skip(11).take(2);
    times.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}
