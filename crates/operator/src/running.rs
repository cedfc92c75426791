//! A node on a thread and a runtime of its own.

use std::{any::Any, io, thread::JoinHandle};

use soma_node::{Node, query::LiveQuery};
use tokio::sync::{oneshot, watch};

/// Stack of a node's first thread, which drives its start.
const STACK_BYTES: usize = 16 << 20;

/// A node that runs, or has ended.
pub struct Running {
    thread: JoinHandle<()>,
}

impl Running {
    /// Runs `node` on a thread of this `name` until `stopped` turns true; answers once it serves.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn spawn(
        name: String,
        node: Node,
        stopped: watch::Receiver<bool>,
    ) -> io::Result<(Self, oneshot::Receiver<LiveQuery>)> {
        let (started, starting) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(name)
            .stack_size(STACK_BYTES)
            .spawn(move || node.run(started, stopped))?;
        Ok((Self { thread }, starting))
    }

    /// Whether it has ended, by itself or as it was told.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Why it could not go on, if it could not.
    pub fn join(self) -> Result<(), String> {
        self.thread.join().map_err(|panic| reason_of(panic.as_ref()))
    }
}

/// What a panic says.
fn reason_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}
