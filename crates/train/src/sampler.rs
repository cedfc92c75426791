//! Draws training chunks. The k-th chunk of a run depends on the seed and k alone, so a run resumes from its
//! step.

use soma_data::Dataset;

use crate::{chunk::Batch, random::Random};

/// Draws chunks of a data set, every byte about equally often.
///
/// Start positions walk through all bytes by a stride near the golden section of their number: any run of
/// consecutive draws covers the data set evenly, so each batch mixes all domains, and no position repeats
/// before all had their turn.
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    dataset: &'a Dataset,
    /// Bytes before each document.
    starts: Vec<u64>,
    size_bytes: u64,
    offset: u64,
    stride: u64,
    length: usize,
}

impl<'a> Sampler<'a> {
    /// Chunks of `length` tokens.
    #[must_use]
    pub fn new(dataset: &'a Dataset, length: usize, seed: u64) -> Self {
        let mut size_bytes = 0;
        let starts = dataset.documents().iter().map(|d| {
            let start = size_bytes;
            size_bytes += d.data.len() as u64;
            start
        });
        let starts = starts.collect();
        let offset = Random::new(seed, u64::from_le_bytes(*b"sampling")).below(size_bytes);
        let mut stride = ((size_bytes as f64 / std::f64::consts::GOLDEN_RATIO) as u64).max(1);
        while gcd(stride, size_bytes) != 1 {
            stride += 1;
        }
        Self {
            dataset,
            starts,
            size_bytes,
            offset,
            stride,
            length,
        }
    }

    /// Adds the k-th chunk to a batch.
    ///
    /// A draw near the end of a document gives its last bytes, and a little less than a whole chunk of them,
    /// so that the end-of-data token is learnt too.
    pub fn push(&self, k: u64, batch: &mut Batch) {
        let walked = u128::from(k) * u128::from(self.stride) + u128::from(self.offset);
        let position = (walked % u128::from(self.size_bytes)) as u64;
        let index = self.starts.partition_point(|start| *start <= position) - 1;
        let data = &self.dataset.documents()[index].data;
        let at = (position - self.starts[index]) as usize;
        let last = data.len().saturating_sub(self.length);
        let start = if at <= last { at } else { last + (at - last) / 8 };
        batch.push(&data[start..data.len().min(start + self.length)]);
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use soma_data::Document;

    fn dataset(sizes: &[usize]) -> Dataset {
        let documents = sizes.iter().enumerate().map(|(i, n)| Document {
            origin: i.to_string().into(),
            data: vec![i as u8; *n],
        });
        Dataset::new("t", documents).unwrap()
    }

    #[test]
    fn documents_are_drawn_by_their_size() {
        let set = dataset(&[1000, 3000]);
        let sampler = Sampler::new(&set, 16, 3);
        let mut batch = Batch::new(16);
        (0..400).for_each(|k| sampler.push(k, &mut batch));
        let first = batch.tokens().chunks(16).filter(|chunk| chunk[0] == 0).count();
        assert!(
            (98..=102).contains(&first),
            "{first} of 400 from a quarter of the data"
        );
    }

    #[test]
    fn the_same_draw_gives_the_same_chunk_and_tiny_documents_fit() {
        for sizes in [&[1_usize][..], &[5, 1, 40], &[16], &[17, 2]] {
            let set = dataset(sizes);
            let sampler = Sampler::new(&set, 16, 9);
            let (mut a, mut b) = (Batch::new(16), Batch::new(16));
            (0..100).for_each(|k| sampler.push(k, &mut a));
            (0..100).for_each(|k| sampler.push(k, &mut b));
            assert_eq!(a, b);
            assert_eq!(a.chunks(), 100);
        }
    }
}
