//! Dot products of many rows with many targets, as fast as the machine multiplies.
//!
//! A *tile* of rows and targets is multiplied at once, its sums held in registers, so that what is loaded is
//! used several times. Products of 16-bit coordinates are added in pairs to 32 bits, which is exact in any
//! order (docs/protocol.md, section 2), so every instruction set gives the same numbers.

use soma_types::Embedding;

#[cfg(target_arch = "x86_64")]
use crate::vnni::Vnni;
#[cfg(target_arch = "x86_64")]
use pulp::{
    cast,
    x86::{V3, V4},
};

/// Coordinates multiplied at once. Rows are padded with zeros to a multiple of it.
pub(crate) const LANES: usize = 32;
/// Targets in a tile.
const GROUP: usize = 4;

type Block = [i16; LANES];

/// One instruction set's way to multiply.
trait Multiplier: Copy {
    /// Running sums of products, in no particular order.
    type Sums: Copy;
    fn zero(self) -> Self::Sums;
    fn add_products(self, sums: Self::Sums, a: &Block, b: &Block) -> Self::Sums;
    fn total(self, sums: Self::Sums) -> i32;
}

/// Wrapping sums never wrap here; see the module's head.
#[cfg(target_arch = "x86_64")]
fn sum(parts: &[i32]) -> i32 {
    parts.iter().fold(0, |sum, part| sum.wrapping_add(*part))
}

#[cfg(target_arch = "x86_64")]
impl Multiplier for V4 {
    type Sums = pulp::i32x16;

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        self.splat_i32x16(0)
    }

    #[inline(always)]
    fn add_products(self, sums: Self::Sums, a: &Block, b: &Block) -> Self::Sums {
        let products = self.multiply_wrapping_add_adjacent_i16x32(cast(*a), cast(*b));
        self.wrapping_add_i32x16(sums, products)
    }

    #[inline(always)]
    fn total(self, sums: Self::Sums) -> i32 {
        sum(&cast::<_, [i32; 16]>(sums))
    }
}

#[cfg(target_arch = "x86_64")]
impl Multiplier for V3 {
    type Sums = pulp::i32x8;

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        self.splat_i32x8(0)
    }

    #[inline(always)]
    fn add_products(self, sums: Self::Sums, a: &Block, b: &Block) -> Self::Sums {
        let (a, b): ([pulp::i16x16; 2], [pulp::i16x16; 2]) = (cast(*a), cast(*b));
        let low = self.multiply_wrapping_add_adjacent_i16x16(a[0], b[0]);
        let high = self.multiply_wrapping_add_adjacent_i16x16(a[1], b[1]);
        self.wrapping_add_i32x8(sums, self.wrapping_add_i32x8(low, high))
    }

    #[inline(always)]
    fn total(self, sums: Self::Sums) -> i32 {
        sum(&cast::<_, [i32; 8]>(sums))
    }
}

/// What every machine can do.
#[derive(Clone, Copy)]
struct Portable;

impl Multiplier for Portable {
    type Sums = i32;

    fn zero(self) -> i32 {
        0
    }

    fn add_products(self, sums: i32, a: &Block, b: &Block) -> i32 {
        a.iter().zip(b).fold(sums, |sum, (x, y)| {
            sum.wrapping_add(i32::from(*x).wrapping_mul(i32::from(*y)))
        })
    }

    fn total(self, sums: i32) -> i32 {
        sums
    }
}

/// The dot products of `R` rows with `T` targets, whose blocks alternate.
#[inline(always)]
fn tile<M: Multiplier, const R: usize, const T: usize>(
    by: M,
    rows: [&[Block]; R],
    targets: &[[Block; T]],
) -> [[i32; T]; R] {
    let mut sums = [[by.zero(); T]; R];
    let rows = rows.map(|row| &row[..targets.len()]);
    for (place, targets) in targets.iter().enumerate() {
        for (row, sums) in rows.iter().zip(&mut sums) {
            for (target, sums) in targets.iter().zip(sums) {
                *sums = by.add_products(*sums, &row[place], target);
            }
        }
    }
    sums.map(|sums| sums.map(|sums| by.total(sums)))
}

/// Targets as tiles read them.
pub(crate) struct Targets {
    count: usize,
    /// Groups of [`GROUP`] targets, their blocks alternating; then the others, one by one.
    groups: Vec<Vec<[Block; GROUP]>>,
    others: Vec<Vec<[Block; 1]>>,
}

/// The coordinates of `embedding` in the block at `place`, padded with zeros.
fn block(embedding: &Embedding, place: usize) -> Block {
    let part = embedding.as_slice().chunks(LANES).nth(place).unwrap_or_default();
    let mut block = [0; LANES];
    block[..part.len()].copy_from_slice(part);
    block
}

impl Targets {
    pub(crate) fn new(embeddings: &[Embedding]) -> Self {
        let places = 0..embeddings.first().map_or(0, |first| first.dim().div_ceil(LANES));
        let (groups, others) = embeddings.as_chunks();
        let blocks = |group: &[Embedding; GROUP]| {
            let places = places.clone();
            places
                .map(|place| group.each_ref().map(|target| block(target, place)))
                .collect()
        };
        Self {
            count: embeddings.len(),
            groups: groups.iter().map(blocks).collect(),
            others: others
                .iter()
                .map(|other| places.clone().map(|place| [block(other, place)]).collect())
                .collect(),
        }
    }

    /// The dot product of each of `rows` (of `stride` coordinates) with each target, row by row.
    pub(crate) fn dots(&self, rows: &[i16], stride: usize, dots: &mut [i32]) {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some((by, with)) = V4::try_new().zip(Vnni::detect()) {
                // One instruction instead of two.
                return with.run(
                    #[inline(always)]
                    || self.multiply::<_, 4>(by, rows, stride, dots),
                );
            }
            if let Some(by) = V4::try_new() {
                return by.vectorize(
                    #[inline(always)]
                    || self.multiply::<_, 4>(by, rows, stride, dots),
                );
            }
            // Half as many registers.
            if let Some(by) = V3::try_new() {
                return by.vectorize(
                    #[inline(always)]
                    || self.multiply::<_, 2>(by, rows, stride, dots),
                );
            }
        }
        self.multiply::<_, 1>(Portable, rows, stride, dots);
    }

    /// [`Targets::dots`] with `R` rows to a tile.
    #[inline(always)]
    fn multiply<M: Multiplier, const R: usize>(&self, by: M, rows: &[i16], stride: usize, dots: &mut [i32]) {
        let (blocks, _) = rows.as_chunks::<LANES>();
        let row_blocks = stride / LANES;
        let mut tiles = blocks.chunks_exact(R * row_blocks);
        let mut lines = dots.chunks_exact_mut(self.count.max(1));
        for rows in &mut tiles {
            let rows: [&[Block]; R] = std::array::from_fn(|row| &rows[row * row_blocks..][..row_blocks]);
            self.tiles(by, rows, &mut lines);
        }
        for row in tiles.remainder().chunks_exact(row_blocks) {
            self.tiles(by, [row], &mut lines);
        }
    }

    /// Writes the dot products of `rows` with every target into the next `R` of `lines`.
    #[inline(always)]
    fn tiles<'a, M: Multiplier, const R: usize>(
        &self,
        by: M,
        rows: [&[Block]; R],
        lines: &mut impl Iterator<Item = &'a mut [i32]>,
    ) {
        let mut lines: [&mut [i32]; R] = std::array::from_fn(|_| lines.next().unwrap_or_default());
        for (group, targets) in self.groups.iter().enumerate() {
            let dots = tile(by, rows, targets);
            for (line, dots) in lines.iter_mut().zip(dots) {
                line[group * GROUP..][..GROUP].copy_from_slice(&dots);
            }
        }
        for (target, blocks) in (self.groups.len() * GROUP..).zip(&self.others) {
            let dots = tile(by, rows, blocks);
            for (line, [dot]) in lines.iter_mut().zip(dots) {
                line[target] = dot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soma_types::Seed;

    use super::*;

    /// What [`Targets::dots`] is.
    fn defined(rows: &[Embedding], targets: &[Embedding]) -> Vec<i32> {
        rows.iter()
            .flat_map(|row| targets.iter().map(|target| row.dot(target)))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_instruction_set_gives_the_same(dim in 1_usize..100, rows in 0_u64..10, targets in 0_u64..10) {
            let draw = |index| Embedding::draw(&Seed([5; 32]).derive("draw", index), dim);
            let rows: Vec<Embedding> = (0..rows).map(draw).collect();
            let mut targets: Vec<Embedding> = (100..100 + targets).map(draw).collect();
            // The largest products there are.
            if let Some(first) = targets.first_mut() {
                *first = rows.first().unwrap_or(first).clone();
            }
            let expected = defined(&rows, &targets);
            let stride = dim.next_multiple_of(LANES);
            let flat: Vec<i16> = rows
                .iter()
                .flat_map(|row| (0..stride / LANES).flat_map(|place| block(row, place)))
                .collect();
            let (targets, mut dots) = (Targets::new(&targets), vec![0; expected.len()]);
            targets.dots(&flat, stride, &mut dots);
            prop_assert_eq!(&dots, &expected);
            targets.multiply::<_, 1>(Portable, &flat, stride, &mut dots);
            prop_assert_eq!(&dots, &expected);
            #[cfg(target_arch = "x86_64")]
            if let Some(by) = V3::try_new() {
                targets.multiply::<_, 2>(by, &flat, stride, &mut dots);
                prop_assert_eq!(&dots, &expected);
            }
        }
    }
}
