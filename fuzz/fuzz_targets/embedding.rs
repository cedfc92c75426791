//! Embeddings from bytes, text and numbers: whatever is taken is a unit vector within the bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soma_types::{
    Embedding,
    embedding::{MAX_EMBEDDING_DIM, MIN_SQUARED_LENGTH_Q30},
};

fn check(embedding: &Embedding) {
    assert!(embedding.dim() <= MAX_EMBEDDING_DIM);
    let squared = i64::from(embedding.dot(embedding));
    assert!(
        (i64::from(MIN_SQUARED_LENGTH_Q30)..=1 << 30).contains(&squared),
        "{squared}"
    );
    assert_eq!(
        &Embedding::from_base64(&embedding.to_base64()).unwrap(),
        embedding
    );
    let encoded = borsh::to_vec(embedding).unwrap();
    assert_eq!(&borsh::from_slice::<Embedding>(&encoded).unwrap(), embedding);
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(embedding) = borsh::from_slice::<Embedding>(bytes) {
        assert_eq!(borsh::to_vec(&embedding).unwrap(), bytes);
        check(&embedding);
    }
    if let Ok(embedding) = serde_json::from_slice::<Embedding>(bytes) {
        check(&embedding);
    }
    let taken = [
        std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| Embedding::from_base64(text).ok()),
        Embedding::from_q15(numbers(bytes, i16::from_le_bytes)).ok(),
        Embedding::from_direction(&numbers(bytes, i64::from_le_bytes)).ok(),
        Embedding::from_f32(&numbers(bytes, f32::from_le_bytes)).ok(),
    ];
    taken.iter().flatten().for_each(check);
});

fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (whole, _) = bytes.as_chunks::<N>();
    whole.iter().map(|chunk| read(*chunk)).collect()
}
