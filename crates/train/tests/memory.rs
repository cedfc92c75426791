//! The memory that training is said to need, against what it takes. One test, so that nothing else fills this
//! process.
#![cfg(target_os = "linux")]

use std::{num::NonZeroUsize, sync::atomic::AtomicBool};

use soma_data::{Dataset, Document};
use soma_train::{TrainConfig, train};
use soma_types::Architecture;

/// A line of this process's status, in bytes.
fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes << 10
}

#[test]
fn what_is_said_is_what_is_taken() {
    let data = b"the quick brown fox jumps over the lazy dog. ".repeat(2000);
    let text = Dataset::new(
        "text",
        [Document {
            origin: "text".into(),
            data,
        }],
    )
    .unwrap();
    // Mostly what a pass keeps; mostly weights; both, with passes that are summed.
    let wide = Architecture {
        embedding_dim: 512,
        heads: 8,
        layers: 3,
        ffn_dim: 2048,
        max_seq_len: 64,
        rope_wavelength: 10_000,
    };
    let at_start = status_bytes("VmRSS:");
    for (architecture, batch_size, grad_accum, threads) in [
        (Architecture::NANO, 16, 1, 1),
        (Architecture::NANO, 8, 2, 2),
        (wide, 1, 2, 2),
        (wide, 2, 3, 1),
    ] {
        let config = TrainConfig {
            batch_size,
            grad_accum,
            threads: NonZeroUsize::new(threads),
            dropout: 0.1,
            ..TrainConfig::new(architecture, 2)
        };
        // Forgets the peak so far.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status_bytes("VmRSS:");
        train(&config, &text, None, |_| (), &AtomicBool::new(false)).unwrap();
        let peak = status_bytes("VmHWM:");
        // What an earlier run took may still be this process's, and serve this one.
        let (taken, held) = (peak - before, peak - at_start);
        let said = config.memory_bytes(threads);
        println!("{batch_size} x {grad_accum} on {threads}: said {said}, took {taken}");
        assert!(taken <= said, "{config:?} took {taken} bytes of {said}");
        assert!(
            said <= 2 * held + (32 << 20),
            "{config:?} took only {held} bytes of {said}"
        );
    }
}
