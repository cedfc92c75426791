//! Averages of two files: exact, in their canonical form, and of sound files alone.

use std::io::Cursor;

use soma_model::{
    TensorSpec, layout,
    merge::{MergeError, Source, merge},
    safetensors,
};
use soma_types::Architecture;

const SMALL: Architecture = Architecture {
    embedding_dim: 8,
    heads: 2,
    layers: 1,
    ffn_dim: 16,
    ..Architecture::NANO
};

/// Weights that differ everywhere.
fn weights(factor: f32) -> Vec<(TensorSpec, Vec<f32>)> {
    let value = |index: usize| ((index * 37 % 101) as f32 - 49.5) / 63.0 * factor;
    layout(&SMALL)
        .into_iter()
        .map(|spec| {
            let values = (0..spec.len()).map(value).collect();
            (spec, values)
        })
        .collect()
}

fn file(factor: f32) -> Vec<u8> {
    let tensors = weights(factor);
    let slices: Vec<_> = tensors
        .iter()
        .map(|(spec, values)| (spec.clone(), &values[..]))
        .collect();
    safetensors::write(&slices).unwrap()
}

fn source(bytes: &[u8]) -> Source<Cursor<&[u8]>> {
    Source {
        file: Cursor::new(bytes),
        size_bytes: bytes.len() as u64,
    }
}

fn merged(mine: &[u8], theirs: &[u8], beta: f64) -> Result<Vec<u8>, MergeError> {
    let mut out = Vec::new();
    merge(&SMALL, source(mine), source(theirs), beta, &mut out).map(|()| out)
}

/// The same weights as BF16, which widen exactly.
fn halved(factor: f32) -> (Vec<u8>, Vec<u8>) {
    let (mut header, mut values, mut wide) = (serde_json::Map::new(), Vec::new(), Vec::new());
    for (spec, tensor) in weights(factor) {
        let begin = values.len();
        let bits: Vec<u16> = tensor
            .iter()
            .map(|value| (value.to_bits() >> 16) as u16)
            .collect();
        values.extend(bits.iter().flat_map(|bits| bits.to_le_bytes()));
        let entry =
            serde_json::json!({"dtype": "BF16", "shape": spec.shape, "data_offsets": [begin, values.len()]});
        header.insert(spec.name.clone(), entry);
        let tensor: Vec<f32> = bits
            .iter()
            .map(|bits| f32::from_bits(u32::from(*bits) << 16))
            .collect();
        wide.push((spec, tensor));
    }
    let header = serde_json::Value::Object(header).to_string();
    let narrow = [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &values,
    ]
    .concat();
    let slices: Vec<_> = wide
        .iter()
        .map(|(spec, values)| (spec.clone(), &values[..]))
        .collect();
    (narrow, safetensors::write(&slices).unwrap())
}

#[test]
fn each_weight_is_rounded_once() {
    let (mine, theirs) = (file(1.0), file(-0.25));
    let found = safetensors::read(
        &merged(&mine, &theirs, 0.3).unwrap()[..],
        mine.len() as u64,
        &layout(&SMALL),
    )
    .unwrap();
    for ((found, (_, a)), (_, b)) in found.into_iter().zip(weights(1.0)).zip(weights(-0.25)) {
        let expected: Vec<f32> = a
            .iter()
            .zip(&b)
            .map(|(a, b)| ((1.0 - 0.3) * f64::from(*a) + 0.3 * f64::from(*b)) as f32)
            .collect();
        assert_eq!(found.into_f32(), expected);
    }
}

#[test]
fn the_ends_and_a_model_with_itself_are_what_they_were() {
    let (mine, theirs) = (file(1.0), file(-0.25));
    assert_eq!(merged(&mine, &theirs, 0.0).unwrap(), mine);
    assert_eq!(merged(&mine, &theirs, 1.0).unwrap(), theirs);
    assert_eq!(merged(&mine, &mine, 0.3).unwrap(), mine);
    // The result is F32 whatever the inputs are.
    let (narrow, wide) = halved(0.5);
    assert_eq!(merged(&narrow, &narrow, 0.5).unwrap(), wide);
}

#[test]
fn unsound_files_and_ratios_are_refused_by_name() {
    let good = file(1.0);
    let says = |result: Result<Vec<u8>, MergeError>| result.unwrap_err().to_string();
    for beta in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert!(says(merged(&good, &good, beta)).contains("must be 0 to 1"));
    }
    let mut bad = good.clone();
    let end = bad.len();
    bad[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(says(merged(&bad, &good, 0.5)).starts_with("the first of the two: weights: tensor"));
    assert!(says(merged(&good, &bad, 0.5)).starts_with("the second of the two: weights: tensor"));
    assert!(says(merged(&good, &good[..100], 0.5)).starts_with("the second of the two"));
    assert!(says(merged(b"", &good, 0.5)).starts_with("the first of the two"));
    let other = Architecture { layers: 2, ..SMALL };
    let refused = merge(&other, source(&good), source(&good), 0.5, &mut Vec::new());
    assert!(refused.unwrap_err().to_string().contains("is missing"));
}

/// A disk that fills ends it with the disk's words.
#[test]
fn what_cannot_be_written_is_said() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let good = file(1.0);
    let error = merge(
        &SMALL,
        source(&good),
        source(&good),
        0.5,
        &mut Full(good.len() / 2),
    )
    .unwrap_err();
    assert!(matches!(error, MergeError::Result(_)), "{error}");
}
