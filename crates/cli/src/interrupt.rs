//! Ctrl-C: it ends the process at once, until there is work to bring to an end. From then on it comes in the
//! two forms that code can wait for: a flag for threads, a future for tasks.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{printer::Printer, terminal};

/// Within this time a second signal is the first once more.
const ECHO: Duration = Duration::from_millis(300);

/// Set once by Ctrl-C, SIGTERM or the terminal's end (SIGHUP, unless it is ignored, as under `nohup`), if
/// work is held then. A second Ctrl-C or SIGTERM ends the process at once; a second SIGHUP does not, for
/// shells send it again when they end.
#[derive(Clone, Debug)]
pub struct Interrupt {
    held: Arc<AtomicBool>,
    flag: Arc<AtomicBool>,
    happened: watch::Receiver<bool>,
}

impl Interrupt {
    /// Starts to listen. `last` is done when Ctrl-C ends the process, and says with what code. Needs a tokio
    /// runtime.
    pub fn listen_then(printer: Printer, last: impl FnOnce() -> u8 + Send + 'static) -> Self {
        let (sender, happened) = watch::channel(false);
        let (held, flag) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_held, set) = (Arc::clone(&held), Arc::clone(&flag));
        // Before anything else is done: a signal that nobody waits for kills, and leaves a terminal without
        // echo.
        let mut signals = Signals::new();
        tokio::spawn(async move {
            signals.any().await;
            if is_held.load(Ordering::Relaxed) {
                set.store(true, Ordering::Relaxed);
                let _ = sender.send(true);
                printer.note("stopping; press Ctrl-C again to stop at once");
                // One request may come twice: to the process, and to its group.
                tokio::time::sleep(ECHO).await;
                Signals::new().insistent().await;
            }
            // Leaves the terminal as it was, and no file that is half written.
            terminal::restore();
            let code = last();
            soma_files::abandon();
            std::process::exit(code.into())
        });
        Self { held, flag, happened }
    }

    /// From now on there is something to lose: the first Ctrl-C only asks to come to an end.
    pub fn hold(&self) {
        self.held.store(true, Ordering::Relaxed);
    }

    /// For threads that look from time to time.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Ends when the interrupt comes; never if it cannot come any more.
    pub async fn wait(&self) {
        let mut happened = self.happened.clone();
        if happened.wait_for(|happened| *happened).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The signals that ask a process to stop; none where one cannot be listened to.
struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = SignalKind::hangup();
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
            hangup: (!is_ignored(&status, hangup.as_raw_value()))
                .then(|| signal(hangup).ok())
                .flatten(),
        }
    }

    /// The next of them.
    async fn any(&mut self) {
        tokio::select! {
            () = next(&mut self.interrupt) => {}
            () = next(&mut self.terminate) => {}
            () = next(&mut self.hangup) => {}
        }
    }

    /// The next that someone means.
    async fn insistent(&mut self) {
        tokio::select! {
            () = next(&mut self.interrupt) => {}
            () = next(&mut self.terminate) => {}
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Whether whoever started this process wants it to ignore a signal, by Linux's description of the process.
fn is_ignored(status: &str, signal: i32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n";
        assert!(is_ignored(status, 1));
        assert!(!is_ignored(status, 2));
        assert!(is_ignored(status, 13));
        assert!(!is_ignored("", 1));
    }
}
