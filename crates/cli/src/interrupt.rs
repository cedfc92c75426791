//! Ctrl-C, in the two forms that code can wait for: a flag for threads, a future for tasks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

/// Set once by Ctrl-C or SIGTERM. A second Ctrl-C ends the process at once.
#[derive(Clone, Debug)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
    happened: watch::Receiver<bool>,
}

impl Interrupt {
    /// Starts to listen. Needs a tokio runtime.
    pub fn listen() -> Self {
        let (sender, happened) = watch::channel(false);
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        tokio::spawn(async move {
            signalled().await;
            set.store(true, Ordering::Relaxed);
            let _ = sender.send(true);
            eprintln!("stopping; press Ctrl-C again to stop at once");
            signalled().await;
            std::process::exit(130);
        });
        Self { flag, happened }
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

/// The next Ctrl-C or request to terminate.
async fn signalled() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => if result.is_err() {
            std::future::pending::<()>().await;
        },
        () = terminate => {}
    }
}
