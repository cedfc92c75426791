//! What V1 takes at the public preset, role by role, beside exchanging gradients (docs/bandwidth.md):
//! computed from the parameters, not measured. `cargo run -p soma-agents --example bandwidth`

use bytesize::ByteSize;
use soma_types::params::Params;

/// Models that compete, each updated once in the epoch.
const MODELS: u64 = 300;
/// A document that is submitted: one chunk of V1.
const DOCUMENT_BYTES: u64 = 1024;
/// What a trainer trains on in an epoch, which is a day.
const TRAINED_BYTES: u64 = 1_000_000_000;
/// Text of one update of weights, where gradients are exchanged after each.
const UPDATE_BYTES: u64 = 1 << 20;
/// Bytes of a BF16 number.
const NUMBER_BYTES: u64 = 2;
/// Multiplications and additions for each parameter and byte: forward, and forward and backward.
const OPERATIONS: (u64, u64) = (2, 6);

struct Row {
    role: &'static str,
    trained: u64,
    scored: u64,
    downloaded: u64,
    uploaded: u64,
}

fn main() {
    let params = Params::std();
    let parameters = params.architecture.parameters();
    let weights = parameters * NUMBER_BYTES;
    let hits = params.hits_goal;
    let models = u64::from(params.models_per_target);
    let audited = params.audit_rate.of(soma_types::Shannons(hits)).0;
    let audits = audited * u64::from(params.auditors) / u64::from(params.committee_size);
    // Each participant sends a gradient and receives what all come to, in two halves each, as a ring does.
    let exchanged = TRAINED_BYTES / UPDATE_BYTES * 2 * weights;
    let rows = [
        Row {
            role: "trainer",
            trained: TRAINED_BYTES,
            scored: 0,
            downloaded: 0,
            uploaded: weights,
        },
        Row {
            role: "submitter of a hundredth of the hits, on 100 targets",
            trained: 0,
            scored: hits / 100 * models * DOCUMENT_BYTES,
            downloaded: MODELS * weights,
            uploaded: hits / 100 * DOCUMENT_BYTES,
        },
        Row {
            role: "submitter of a hundredth of the hits, on one target",
            trained: 0,
            scored: hits / 100 * models * DOCUMENT_BYTES,
            downloaded: models * weights,
            uploaded: hits / 100 * DOCUMENT_BYTES,
        },
        Row {
            role: "auditor: one of the committee's seats",
            trained: 0,
            scored: audits * models * DOCUMENT_BYTES,
            downloaded: MODELS * weights + audits * DOCUMENT_BYTES,
            uploaded: 0,
        },
        Row {
            role: "follower, of everything",
            trained: 0,
            scored: 0,
            downloaded: MODELS * weights + hits * DOCUMENT_BYTES,
            uploaded: 0,
        },
        Row {
            role: "beside: a trainer that exchanges gradients",
            trained: TRAINED_BYTES,
            scored: 0,
            downloaded: exchanged,
            uploaded: exchanged,
        },
    ];
    println!(
        "V1: {parameters} parameters, {} in BF16; {hits} hits in an epoch of a day, {audited} audited by {} of {} seats each",
        ByteSize(weights),
        params.auditors,
        params.committee_size
    );
    println!("| in an epoch | trained | scored | downloaded | uploaded | 10^15 operations |");
    println!("|---|---:|---:|---:|---:|---:|");
    for row in rows {
        let operations = (row.scored * OPERATIONS.0 + row.trained * OPERATIONS.1) as f64 * parameters as f64;
        let bytes = [row.trained, row.scored, row.downloaded, row.uploaded].map(|bytes| match bytes {
            0 => String::new(),
            bytes => ByteSize(bytes).to_string(),
        });
        println!(
            "| {} | {} | {:.1} |",
            row.role,
            bytes.join(" | "),
            operations / 1e15
        );
    }
}
