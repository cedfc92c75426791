//! Writes the conformance suite as the scalar reference computes it, and prints its digest.
//!
//! `cargo run -p soma-model --features test-support --example conformance`

use soma_model::conformance::{Suite, VERSION};

fn main() -> std::io::Result<()> {
    let path = format!("{}/conformance/suite-{VERSION}.json", env!("CARGO_MANIFEST_DIR"));
    let file = Suite::generate().to_file();
    std::fs::write(&path, &file)?;
    println!(
        "{path}: {} bytes\nBLAKE3 {}",
        file.len(),
        blake3::hash(file.as_bytes())
    );
    Ok(())
}
