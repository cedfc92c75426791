//! The validators of a localnet as processes: each with only its own keys, its own storage and content, and
//! its own interface. One that dies is started again, and catches up with the others.
//!
//! Each lives in its folder `validator-N`, which is a node's home as `soma node` has it; its settings and its
//! copy of the network are written there anew at each start. It ends when its standard input does: however
//! this process ends, none is left behind.
//!
//! Failures: one that has ended [`TRIES`] times within [`YOUNG`] of its start is given up, with what it said
//! last.

use std::{
    collections::VecDeque,
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use soma_files::FileError;
use soma_node::{consensus::public_key, network::Reach, retention::Retention};
use soma_operator::{Config, Home, Network};

use crate::folder::Folder;

/// One that ends sooner than this after its start has not come far.
const YOUNG: Duration = Duration::from_secs(20);
/// Starts of one that does not come far.
const TRIES: u32 = 3;
/// How long one may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(20);
/// Between two looks at whether one has ended.
const PAUSE: Duration = Duration::from_millis(50);
/// Lines of one that are kept until somebody reads them.
const LINES_MAX: usize = 100;

/// What each of them is told.
pub(crate) struct Plan<'a> {
    /// The `soma` program.
    pub program: &'a Path,
    /// Where each serves clients.
    pub apis: &'a [SocketAddr],
    /// Where each listens for the others.
    pub p2p: &'a [SocketAddr],
    /// Upper bound of each one's content store, in bytes.
    pub blob_store_bytes_max: u64,
    /// How long content stays.
    pub retention: Retention,
}

/// Validators that run.
pub(crate) struct Processes {
    program: PathBuf,
    nodes: Vec<Process>,
    news: Vec<String>,
}

/// One of them.
struct Process {
    home: Home,
    child: Child,
    said: Arc<Mutex<VecDeque<String>>>,
    began: Instant,
    tries: u32,
}

/// One has ended.
pub(crate) struct Ended {
    /// Which, from 0.
    pub index: usize,
    /// What it said last.
    pub reason: String,
}

impl Processes {
    /// Writes every validator's settings and starts it; returns once all serve.
    ///
    /// # Errors
    /// The first that does not.
    pub fn start(folder: &Folder, plan: &Plan<'_>) -> Result<Self, Ended> {
        let network = Network {
            genesis: folder.genesis.clone(),
            committee: folder.dealt.committee.clone(),
            addresses: folder
                .dealt
                .committee
                .identities
                .iter()
                .map(public_key)
                .zip(plan.p2p.iter().copied())
                .collect(),
        };
        let mut processes = Self {
            program: plan.program.to_owned(),
            nodes: Vec::new(),
            news: Vec::new(),
        };
        let mut starting = Vec::new();
        for index in 0..plan.apis.len() {
            let ended = |reason: String| Ended { index, reason };
            let home = Home::new(folder.validator(index));
            settle(&home, folder, plan, index, &network).map_err(|error| ended(error.to_string()))?;
            let (process, serves) =
                Process::spawn(&processes.program, home).map_err(|error| ended(error.to_string()))?;
            processes.nodes.push(process);
            starting.push(serves);
        }
        for (index, serves) in starting.into_iter().enumerate() {
            if serves.join().unwrap_or(false) {
                continue;
            }
            let process = &mut processes.nodes[index];
            let status = process.child.wait();
            let reason = process.last_words(status.ok());
            return Err(Ended { index, reason });
        }
        Ok(processes)
    }

    /// Starts those again that have ended.
    ///
    /// # Errors
    /// One that does not come far however often it is started.
    pub fn tend(&mut self) -> Result<(), Ended> {
        for (index, process) in self.nodes.iter_mut().enumerate() {
            self.news.extend(
                process
                    .lines()
                    .drain(..)
                    .map(|line| format!("validator {index}: {line}")),
            );
            // What cannot be asked is asked again.
            let Ok(Some(status)) = process.child.try_wait() else {
                continue;
            };
            let tries = if process.began.elapsed() < YOUNG {
                process.tries + 1
            } else {
                1
            };
            let reason = process.last_words(Some(status));
            if tries >= TRIES {
                return Err(Ended { index, reason });
            }
            self.news.push(format!(
                "validator {index} has ended ({reason}) and is started again"
            ));
            match Process::spawn(&self.program, process.home.clone()) {
                Ok((again, _)) => *process = Process { tries, ..again },
                Err(error) => {
                    return Err(Ended {
                        index,
                        reason: error.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// What they have told, and what became of them, since the last time.
    pub fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// The processes' ids, in the validators' order.
    pub fn ids(&self) -> Vec<u32> {
        self.nodes.iter().map(|process| process.child.id()).collect()
    }
}

impl Drop for Processes {
    /// Lets all of them stop, and waits.
    fn drop(&mut self) {
        for process in &mut self.nodes {
            process.child.stdin = None;
        }
        let began = Instant::now();
        for process in &mut self.nodes {
            while matches!(process.child.try_wait(), Ok(None)) {
                if began.elapsed() > STOP_TIME_MAX {
                    // It has had its time. What was final is on disk.
                    let _ = process.child.kill();
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Writes what the validator at `index` needs besides its keys.
fn settle(
    home: &Home,
    folder: &Folder,
    plan: &Plan<'_>,
    index: usize,
    network: &Network,
) -> Result<(), FileError> {
    let mut config = Config::new(plan.p2p[index]);
    config.p2p.reach = Reach::Machine;
    config.api.listen = plan.apis[index];
    // They share a processor: one of them scores for others, and gives money away.
    config.api.scoring = index == 0;
    config.faucet = (index == 0).then(|| folder.faucet_file());
    config.content.bytes_max = plan.blob_store_bytes_max;
    config.content.keep_epochs = plan.retention.epochs;
    config.content.keep_bytes = plan
        .retention
        .bytes
        .unwrap_or(u64::MAX)
        .min(plan.blob_store_bytes_max);
    let others = plan.apis.iter().enumerate().filter(|(other, _)| *other != index);
    config.content.nodes = others.map(|(_, api)| format!("http://{api}")).collect();
    config.log.filter = "warn".to_owned();
    config.write(&home.config())?;
    network.write(&home.network())
}

impl Process {
    /// Starts the node of `home`; what is returned besides ends with whether it came to serve.
    fn spawn(program: &Path, home: Home) -> io::Result<(Self, std::thread::JoinHandle<bool>)> {
        let mut child = Command::new(program)
            .args(["node", "start", "--attached", "--json", "--home"])
            .arg(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C is for this process, which lets them stop.
            .process_group(0)
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let serves = std::thread::spawn(move || {
            let lines = stdout.map(|stdout| BufReader::new(stdout).lines());
            lines
                .into_iter()
                .flatten()
                .map_while(Result::ok)
                .any(|line| line == "}")
        });
        let said = Arc::<Mutex<VecDeque<String>>>::default();
        let lines = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr?).lines().map_while(Result::ok) {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == LINES_MAX {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
            Some(())
        });
        let process = Self {
            home,
            child,
            said,
            began: Instant::now(),
            tries: 0,
        };
        Ok((process, serves))
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it has ended.
    fn last_words(&self, status: Option<ExitStatus>) -> String {
        // Its pipe is read by another thread, which may lag a little.
        std::thread::sleep(PAUSE);
        let status = status.map_or_else(|| "it ended".to_owned(), |status| status.to_string());
        match self.lines().back() {
            Some(line) => format!("{status}: {line}"),
            None => status,
        }
    }
}
