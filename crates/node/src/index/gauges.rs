//! What operators watch.

use commonware_runtime::telemetry::metrics::{Counter, Gauge, Histogram, MetricsExt as _};

/// Seconds from proposal to finality: the bounds of the histogram's buckets.
const FINALITY_BUCKETS_S: [f64; 9] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0];

/// What operators watch.
pub(super) struct Gauges {
    pub(super) height: Gauge,
    pub(super) epoch: Gauge,
    pub(super) mempool: Gauge,
    pub(super) transactions: Counter,
    pub(super) finality: Histogram,
}

impl Gauges {
    pub(super) fn new(context: &impl commonware_runtime::Metrics) -> Self {
        Self {
            height: context.gauge("height", "Height of the last finalized block"),
            epoch: context.gauge("epoch", "The ledger's epoch"),
            mempool: context.gauge("mempool", "Transactions that wait"),
            transactions: context.counter("transactions", "Transactions included since the node started"),
            finality: context.histogram(
                "finality",
                "Seconds from a block's proposal until it was final here",
                FINALITY_BUCKETS_S,
            ),
        }
    }
}
