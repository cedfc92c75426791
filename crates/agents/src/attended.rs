//! Work that takes long, for somebody who may stop waiting.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use soma_model::Watch;
use tokio::task::JoinError;

/// Says stop when nobody waits for the result any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does `work` where it may block and compute. The watch that it is given says stop once nobody waits for it
/// any more.
///
/// # Errors
/// When it panics.
pub(crate) async fn attended<T: Send + 'static>(
    work: impl FnOnce(&Watch<'_>) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let abandoned = Arc::new(AtomicBool::new(false));
    let _abandon = Abandon(Arc::clone(&abandoned));
    let watch = move |_| {
        if abandoned.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    tokio::task::spawn_blocking(move || work(&watch)).await
}
