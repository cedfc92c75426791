//! Attacks on those who share a node with whoever asks it. The table is docs/attacks.md.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::{READING_MAX, Turns};

/// A page that is being read, until it is done or its reader leaves.
struct Reading<'a>(&'a AtomicUsize);

impl<'a> Reading<'a> {
    fn begin(now: &'a AtomicUsize, most: &AtomicUsize) -> Self {
        most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Self(now)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Attack: having large content looked at, and leaving
/// Does: asks for content of gigabytes, which a node hashes before it sends it, hangs up, and asks again, so
/// that blocks wait for the disk.
/// Outcome: four are looked at at once; who has left keeps its turn until its disk work is done, and others
/// wait behind it.
#[test]
fn having_content_looked_at_and_leaving() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let (now, most, done) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    runtime.block_on(async {
        let turns = Turns::new();
        for _ in 0..40 {
            let (now, most, done) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&done));
            let look = turns.blocking(move || {
                let _reading = Reading::begin(&now, &most);
                std::thread::sleep(Duration::from_millis(5));
                done.fetch_add(1, Ordering::Relaxed);
            });
            // Gone as soon as its work has begun, if it has.
            let _ = timeout(Duration::from_millis(2), look).await;
        }
        // Whoever comes then is answered.
        turns.blocking(|| ()).await.unwrap();
    });
    assert!(most.load(Ordering::Relaxed) <= READING_MAX);
    assert!(done.load(Ordering::Relaxed) > READING_MAX);
}

/// Attack: asking for everything from everywhere
/// Does: asks a node for its heaviest pages over two hundred connections, each again as soon as it is
/// answered or tired of waiting, so that blocks wait for the processor and the state.
/// Outcome: four pages are read at once, and four single things beside them, however many ask: each waits
/// its turn, and who leaves makes room. The example
/// `greedy` of soma-localnet shows what it does to finality.
#[test]
fn asking_for_everything_from_everywhere() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (turns, now, most) = (Turns::new(), AtomicUsize::new(0), AtomicUsize::new(0));
    let asked = (0..200).map(|number| {
        let page = async {
            let _reading = Reading::begin(&now, &most);
            sleep(Duration::from_millis(1)).await;
        };
        // Some go before they are answered, most of those before it is their turn.
        let patience = Duration::from_millis(if number % 3 == 0 { 10 } else { 60_000 });
        timeout(patience, turns.turn(page))
    });
    let answered = runtime.block_on(async { join_all(asked).await });
    assert_eq!(most.load(Ordering::Relaxed), READING_MAX);
    let waited = answered.iter().enumerate().filter(|(_, answer)| answer.is_err());
    let tired: Vec<usize> = waited.map(|(number, _)| number).collect();
    assert!(tired.len() > 20, "{tired:?}: nobody had to wait");
    assert!(
        tired.iter().all(|number| number % 3 == 0),
        "{tired:?}: someone patient waited for nothing"
    );
}
