//! Who reads much takes turns: so few at once that consensus, which shares the processor and the database
//! with them, never has many before it, however many ask.

#[cfg(test)]
mod attacks;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::{sync::Semaphore, task::JoinError};

/// What is done at once of one kind. Who comes then waits, first come, first served.
const READING_MAX: usize = 4;

/// Places of those who read. Clones share.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(READING_MAX)))
    }

    /// Does `work`, which blocks, once there is a place. It keeps the place until it is done, whoever waits.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let place = Arc::clone(&self.0).acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            let _place = place.expect("it is never closed");
            work()
        })
        .await
    }

    /// Does `work` once there is a place.
    async fn turn<T>(&self, work: impl Future<Output = T>) -> T {
        let _place = self.0.acquire().await.expect("it is never closed");
        work.await
    }
}

/// Answers a request in its turn. What is answered is sent after it, at the reader's pace.
pub(super) async fn in_turn(State(turns): State<Turns>, request: Request, next: Next) -> Response {
    turns.turn(next.run(request)).await
}
