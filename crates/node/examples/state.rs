//! What it costs that what the state holds can be proved: the same blocks written to a database whose root
//! is that of all changes, and to that of a node, whose root is that of the current values in order.
//! `cargo run --release -p soma-node --example state -- 1000000`, which is how many values there are.

use std::{
    env,
    time::{Duration, Instant},
};

use commonware_parallel::Sequential;
use commonware_runtime::{
    Runner as _, Supervisor as _,
    buffer::paged::CacheRef,
    tokio::{Config, Context, Runner},
};
use commonware_storage::{
    journal::contiguous::variable::Config as LogConfig,
    mmr::{self, full::Config as MmrConfig},
    qmdb::{any, current, floor::Proportional},
    translator::EightCap,
};
use commonware_utils::{NZU16, NZU64, NZUsize};
use soma_node::{
    consensus::{Digest, Hasher},
    execution::{Database, StateValue, state_key},
};

/// The log alone.
type Log<E> = any::unordered::variable::Db<mmr::Family, E, Digest, StateValue, Hasher, EightCap, Sequential>;
/// A change of a value.
type Change = (Digest, Option<StateValue>);

/// Values that a block writes.
const WRITES: u64 = 1_000;
/// Bytes of one.
const VALUE_BYTES: usize = 128;
/// Blocks that are measured.
const BLOCKS: u64 = 50;

fn write(number: u64, block: u64) -> Change {
    let mut value = vec![0; VALUE_BYTES];
    value[..8].copy_from_slice(&block.to_le_bytes());
    (state_key(&number.to_le_bytes()), Some(StateValue(value)))
}

/// The blocks that fill the state, those that change values, that add some, and that take them away.
fn phases(values: u64) -> [(&'static str, Vec<Vec<Change>>); 4] {
    let blocks = |first: u64, count: u64, change: &dyn Fn(u64, u64) -> Change| {
        let block = |block| (0..WRITES).map(move |index| (block, index));
        (0..count)
            .map(|number| {
                block(number)
                    .map(|(block, index)| change(first + block * WRITES + index, block))
                    .collect()
            })
            .collect::<Vec<Vec<Change>>>()
    };
    // Far from each other, and each once.
    let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % values;
    [
        ("filled", blocks(0, values.div_ceil(WRITES), &write)),
        (
            "changed",
            blocks(0, BLOCKS, &|number, block| write(spread(number), block + 1)),
        ),
        ("added", blocks(values + WRITES, BLOCKS, &write)),
        (
            "removed",
            blocks(values + WRITES, BLOCKS, &|number, _| (write(number, 0).0, None)),
        ),
    ]
}

/// Writes all blocks to a new database, and prints what one of a kind costs.
macro_rules! measure {
    ($name:literal, $database:ty, $context:expr, $config:expr, $values:expr) => {{
        let mut database = <$database>::init($context.child($name), $config, None)
            .await
            .expect("a new database");
        for (kind, blocks) in phases($values) {
            let (mut time, count, before) = (Duration::ZERO, blocks.len(), *database.bounds().end);
            for changes in blocks {
                let start = Instant::now();
                let mut batch = database.new_batch();
                for (key, value) in changes {
                    batch = batch.write(key, value);
                }
                let sealed = batch
                    .merkleize(&database, None, &mut Proportional)
                    .await
                    .expect("the database is sound");
                database = database.apply_batch(sealed).await.expect("the database is sound");
                database = database.commit().await.expect("the disk takes it");
                time += start.elapsed();
            }
            let entries = (*database.bounds().end - before) / count as u64;
            let each = time.as_secs_f64() * 1e3 / count as f64;
            println!(
                "{:8} {kind:8} {each:7.2} ms a block of {WRITES}, {entries} entries of the log",
                $name
            );
        }
    }};
}

async fn all(context: Context, values: u64) {
    let cache = CacheRef::new(NZU16!(4_096), NZUsize!(16_384));
    let merkle = |name: &str| MmrConfig {
        journal_partition: format!("{name}-tree"),
        metadata_partition: format!("{name}-tree-pinned"),
        items_per_blob: NZU64!(1 << 16),
        write_buffer: NZUsize!(1 << 20),
        replay_buffer: NZUsize!(1 << 20),
        strategy: Sequential,
        page_cache: cache.clone(),
    };
    let log = |name: &str| LogConfig {
        partition: format!("{name}-log"),
        items_per_section: NZU64!(1 << 16),
        compression: None,
        codec_config: ((), ()),
        page_cache: cache.clone(),
        write_buffer: NZUsize!(1 << 20),
        replay_buffer: NZUsize!(1 << 20),
    };
    let config = any::VariableConfig {
        merkle_config: merkle("log"),
        journal_config: log("log"),
        translator: EightCap,
        init_cache: None,
        init_buffer: NZUsize!(1 << 20),
        init_concurrency: (),
    };
    measure!("log", Log<Context>, context, config, values);
    let config = current::VariableConfig {
        merkle_config: merkle("current"),
        journal_config: log("current"),
        grafted_metadata_partition: "current-map".into(),
        translator: EightCap,
        init_cache: None,
        init_buffer: NZUsize!(1 << 20),
        init_concurrency: (),
    };
    measure!("current", Database<Context>, context, config, values);
}

fn main() {
    let values = env::args()
        .nth(1)
        .map_or(100_000, |count| count.parse().expect("a number of values"));
    let folder = tempfile::tempdir().expect("a folder for what is measured");
    let config = Config::new().with_storage_directory(folder.path());
    Runner::new(config).start(|context| all(context, values));
}
