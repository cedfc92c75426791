//! Who reads much takes turns: so few at once that consensus, which shares the processor and the database
//! with them, never has many before it, however many ask.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::sync::Semaphore;

/// Requests that read pages or history, at once. Who comes then waits, first come, first served.
const READING_MAX: usize = 4;

/// Places of those who read. Clones share.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(READING_MAX)))
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

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures::future::join_all;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn however_many_ask_few_are_answered_at_once_and_all_in_the_end() {
        let (turns, now, most) = (Turns::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        let asked = (0..200).map(|number| {
            let page = async {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                sleep(Duration::from_millis(1)).await;
                now.fetch_sub(1, Ordering::Relaxed);
            };
            // Some go before they are answered, most of those before it is their turn.
            let patience = Duration::from_millis(if number % 3 == 0 { 10 } else { 60_000 });
            timeout(patience, turns.turn(page))
        });
        let answered = join_all(asked).await;
        assert_eq!(most.load(Ordering::Relaxed), READING_MAX);
        for (number, answered) in answered.iter().enumerate() {
            assert!(answered.is_ok() || number % 3 == 0, "{number} waited for nothing");
        }
    }
}
