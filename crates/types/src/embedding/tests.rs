use proptest::prelude::*;

use super::*;

#[test]
fn refusals_are_named() {
    assert_eq!(Embedding::from_q15(vec![]), Err(EmbeddingError::Dimension(0)));
    assert_eq!(
        Embedding::from_q15(vec![0; 9000]),
        Err(EmbeddingError::Dimension(9000))
    );
    assert_eq!(Embedding::from_q15(vec![0; 8]), Err(EmbeddingError::Zero));
    assert_eq!(
        Embedding::from_q15(vec![100; 8]),
        Err(EmbeddingError::Length(80_000))
    );
    assert_eq!(
        Embedding::from_q15(vec![i16::MIN, 1]),
        Err(EmbeddingError::Length((1 << 30) + 1))
    );
    assert_eq!(Embedding::from_direction(&[0; 3]), Err(EmbeddingError::Zero));
    assert_eq!(
        Embedding::from_f32(&[1.0, f32::NAN]),
        Err(EmbeddingError::NotFinite(1))
    );
    assert_eq!(Embedding::from_base64("A"), Err(EmbeddingError::Encoding));
    assert_eq!(Embedding::from_base64("AAAA"), Err(EmbeddingError::Encoding));
}

#[test]
fn extremes_normalise() {
    assert_eq!(
        Embedding::from_direction(&[i64::MIN, 0]).unwrap().as_slice(),
        [-i16::MAX, 0]
    );
    assert_eq!(
        Embedding::from_direction(&[0, 1]).unwrap().as_slice(),
        [0, i16::MAX]
    );
    let tiny = Embedding::from_f32(&[f32::MIN_POSITIVE / 2.0, 0.0]).unwrap();
    assert_eq!(tiny.as_slice(), [i16::MAX, 0]);
}

/// The draw is consensus: these numbers may not change.
#[test]
fn draws_are_pinned() {
    let drawn = Embedding::draw(&Seed([1; 32]), 8);
    assert_eq!(drawn.as_slice(), PINNED_DRAW);
}
const PINNED_DRAW: [i16; 8] = [-4547, -19370, 15496, -8042, 3559, 16412, -9174, 2610];

/// Coordinates of uniform directions have variance 1/dim and cosines of variance 1/dim.
#[test]
fn draws_look_uniform() {
    let dim = 256;
    let draws: Vec<_> = (0..200)
        .map(|i| Embedding::draw(&Seed([9; 32]).derive("test", i), dim))
        .collect();
    let cosines: Vec<f64> = draws
        .windows(2)
        .map(|pair| f64::from(pair[0].dot(&pair[1])) / f64::from(UNIT_Q30))
        .collect();
    let variance = cosines.iter().map(|c| c * c).sum::<f64>() / cosines.len() as f64;
    assert!(
        (0.7..1.3).contains(&(variance * dim as f64)),
        "variance {variance}"
    );
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    assert!(mean.abs() < 0.02, "mean {mean}");
}

/// What [`Embedding::from_direction`] is, without its shortcuts.
fn defined_direction(vector: &[i64]) -> Vec<i16> {
    let bits = vector
        .iter()
        .map(|v| u64::BITS - v.unsigned_abs().leading_zeros())
        .max();
    let shift = bits.unwrap().saturating_sub(MAGNITUDE_BITS);
    let magnitudes: Vec<u128> = vector
        .iter()
        .map(|v| u128::from(v.unsigned_abs() >> shift))
        .collect();
    let squared: u128 = magnitudes.iter().map(|m| m * m).sum();
    magnitudes
        .iter()
        .zip(vector)
        .map(|(m, v)| {
            let rounded = (((m * m) << 30) / squared).isqrt().min(i16::MAX as u128) as i16;
            if *v < 0 { -rounded } else { rounded }
        })
        .collect()
}

proptest! {
    #[test]
    fn short_vectors_are_directions_too(vector in prop::collection::vec(-9_i64..10, 1..9)) {
        prop_assume!(vector.iter().any(|v| *v != 0));
        let embedding = Embedding::from_direction(&vector).unwrap();
        prop_assert_eq!(embedding.as_slice(), defined_direction(&vector));
    }

    #[test]
    fn directions_are_embeddings_and_round_trip(vector in prop::collection::vec(any::<i64>(), 1..70)) {
        prop_assume!(vector.iter().any(|v| *v != 0));
        let embedding = Embedding::from_direction(&vector).unwrap();
        let length = f64::from(embedding.dot(&embedding)) / f64::from(UNIT_Q30);
        prop_assert!((0.98..=1.0).contains(&length));
        let norm = vector.iter().map(|v| (*v as f64).powi(2)).sum::<f64>().sqrt();
        prop_assert_eq!(embedding.as_slice(), defined_direction(&vector));
        for (v, e) in vector.iter().zip(embedding.as_slice()) {
            let exact = *v as f64 / norm * 32768.0;
            prop_assert!((exact - f64::from(*e)).abs() < 1.001, "{exact} {e}");
        }
        let bytes = borsh::to_vec(&embedding).unwrap();
        prop_assert_eq!(&borsh::from_slice::<Embedding>(&bytes).unwrap(), &embedding);
        prop_assert!(borsh::from_slice::<Embedding>(&bytes[..bytes.len() - 1]).is_err());
        prop_assert_eq!(Embedding::from_base64(&embedding.to_base64()).unwrap(), embedding);
    }
}
