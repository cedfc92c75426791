//! Attacks on blocks by reading the state that they change. The table is docs/attacks.md.

use std::time::{Duration, Instant};

use soma_ledger::view;
use soma_localnet::{Config, testing::PATIENCE};
use soma_node::query::Since;
use soma_types::Height;

use crate::common::{runtime, started};

/// Attack: a page that is never done
/// Does: asks for lists in which nothing matches, so that each page looks at thousands of entries, on the
/// state as of one block, and the next block waits to be applied for as long as that takes.
/// Outcome: after every 64 entries a block that waits goes first, and the page ends there: it names where
/// to go on. So a reader that never leaves stops no block.
#[test]
fn a_page_that_is_never_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    config.blueprint.validators = 1;
    let net = started(config);
    runtime().block_on(async {
        let start = Instant::now();
        let mut reader = net.queries()[0].reader().await;
        let mut seen = Vec::new();
        while seen.len() < 4 {
            let counters = reader.read(view::counters).await.unwrap();
            seen.push(counters.map_or(Height::ZERO, |counters| counters.height));
            while reader.let_others_go_first().await == Since::Nothing {
                assert!(start.elapsed() < PATIENCE, "no block after {seen:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        assert!(
            seen.is_sorted_by(|before, after| before < after),
            "{seen:?}: each is read as of its own block"
        );
    });
    net.stop().unwrap();
}
