//! Which models can be among a target's best: found on vectors rounded to 8 bits, which takes half the bytes
//! and a quarter of the work of exact products. Only those few are then multiplied exactly, so the result is
//! the same.
//!
//! **Rounding.** A row m is multiplied by the factor f that brings its largest coordinate to 127 * 2^15, and
//! f m = 2^15 c + r, with c rounded to the nearest integers. A target t likewise: g t = 2^15 d + s, with one
//! g for all targets.
//!
//! **The bound.** f g m.t = 2^30 c.d + 2^15 c.s + r.(g t), and |t| <= 2^15, so by Cauchy-Schwarz
//!
//! > f g m.t <= 2^30 c.d + 2^15 (|c| |s| + g |r|).
//!
//! To be among the best, a model's score kappa m.t + ln(stake) must reach F, the score of the last of the
//! best so far. Multiplied by f g / (2^15 kappa), and with the bound in place of m.t, that needs
//!
//! > f (g F / (2^15 kappa)) <= 2^15 c.d + |c| |s| + g (|r| + f ln(stake) / (2^15 kappa)).
//!
//! What stands in brackets belongs to a target or to a row alone, so a pair takes one multiplication and one
//! comparison. All are integers; roots and quotients are rounded so that the condition only becomes wider.
//! What certainty costs: with 2048 coordinates the bound is about 0.9 standard deviations of chance above
//! m.t, so of 10^5 models one in a few hundred is multiplied exactly.
//!
//! **Bounds.** A dimension is at most 2^13 and |m| close to 2^15 (docs/protocol.md, section 2), so the
//! largest coordinate is at least 2^8, and f, g < 2^14. |F| <= 2^56 and kappa >= 2^18, so the left side is
//! below 2^14 * 2^(14 + 56 - 33) = 2^51, and so is the right side.

use std::{
    ops::Range,
    sync::atomic::{AtomicI64, Ordering},
};

use rayon::prelude::*;
use soma_types::Embedding;

use crate::vnni::{Four, LANES, LINE, Lanes, Vnni};

/// The magnitude to which the largest coordinate is brought.
const LARGEST: i32 = 127;
/// Added to the targets' coordinates, which the instruction takes unsigned.
const OFFSET: i32 = 128;
/// A large tile: groups of sixteen targets, and rows.
const QUAD: usize = 4;
const QUAD_ROWS: usize = 6;
/// Rows in a tile of one group.
const SINGLE_ROWS: usize = 12;
/// A list is short if it holds at most this part of all pairs.
const SHORT: usize = 4;
/// The limit of a lane without a target: out of reach, and its product with a factor does not overflow.
const NEVER: i64 = 1 << 48;

/// The factor for vectors of these coordinates.
#[inline(always)]
fn factor<'a>(coordinates: impl Iterator<Item = &'a i16>) -> i32 {
    let largest = coordinates.fold(1, |largest, x| largest.max(i32::from(*x).abs()));
    (LARGEST << 15) / largest
}

/// A coordinate times `factor`: the nearest multiple of 2^15, and what is left.
#[inline(always)]
fn round(coordinate: i16, factor: i32) -> (i32, i32) {
    let scaled = i32::from(coordinate) * factor;
    let rounded = (scaled + (1 << 14)) >> 15;
    (rounded, scaled - (rounded << 15))
}

/// The length of a vector, rounded up.
#[inline(always)]
fn length(coordinates: impl Iterator<Item = i32>) -> i64 {
    let squared: i64 = coordinates.map(|x| i64::from(x) * i64::from(x)).sum();
    let root = squared.isqrt();
    root + i64::from(root * root < squared)
}

/// Coordinates of 8 bits by lines, the last filled with zeros.
#[inline(always)]
fn lines(coordinates: &[i32]) -> impl Iterator<Item = [Four; LINE]> {
    coordinates.chunks(4 * LINE).map(|part| {
        let mut bytes = [0; 4 * LINE];
        for (byte, x) in bytes.iter_mut().zip(part) {
            *byte = *x as u8;
        }
        let (fours, _) = bytes.as_chunks();
        std::array::from_fn(|place| Four::from_le_bytes(fours[place]))
    })
}

/// A row's part in the bound.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The row's factor, `f`.
    factor: i64,
    /// |c|, rounded up.
    length: i64,
    /// |r| + f ln(stake) / (2^15 kappa), rounded up.
    rest: i64,
    /// What [`OFFSET`] adds to 2^15 c.d.
    offset: i64,
    ln_stake_q46: i64,
}

/// The targets' part.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// The batch's factor, `g`.
    factor: i64,
    /// The largest |s|, rounded up.
    rest: i64,
    kappa_q16: i64,
}

impl Row {
    /// The part of a row, and its c.
    #[inline(always)]
    fn new(row: &[i16], ln_stake_q46: i64, kappa_q16: i64) -> (Self, Vec<i32>) {
        let factor = factor(row.iter());
        let rounded: Vec<i32> = row.iter().map(|x| round(*x, factor).0).collect();
        let stake = i128::from(factor) * i128::from(ln_stake_q46) / (i128::from(kappa_q16) << 15) + 1;
        let row = Self {
            factor: i64::from(factor),
            length: length(rounded.iter().copied()),
            rest: length(row.iter().map(|x| round(*x, factor).1)) + stake as i64,
            offset: i64::from(OFFSET * rounded.iter().sum::<i32>()) << 15,
            ln_stake_q46,
        };
        (row, rounded)
    }

    /// What comes to 2^15 c.d, where `d` has the offset.
    #[inline(always)]
    fn slack(&self, batch: &Batch) -> i64 {
        self.length * batch.rest + batch.factor * self.rest - self.offset
    }
}

impl Batch {
    fn new(targets: &[Embedding], kappa_q16: i64) -> Self {
        let factor = factor(targets.iter().flat_map(Embedding::as_slice));
        let rest = |target: &Embedding| length(target.as_slice().iter().map(|x| round(*x, factor).1));
        Self {
            factor: i64::from(factor),
            rest: targets.par_iter().map(rest).max().unwrap_or(0),
            kappa_q16,
        }
    }

    /// d, with the offset.
    fn round(&self, target: &Embedding) -> Vec<i32> {
        let coordinates = target.as_slice().iter();
        coordinates
            .map(|x| round(*x, self.factor as i32).0 + OFFSET)
            .collect()
    }

    /// The limit of a target, the last of whose best has this score: g F / (2^15 kappa), rounded down.
    fn limit(&self, score_q46: i64) -> i64 {
        let scaled = i128::from(self.factor) * i128::from(score_q46);
        scaled.div_euclid(i128::from(self.kappa_q16) << 15) as i64
    }
}

/// The rows of a table, rounded.
#[derive(Clone, Debug)]
pub(crate) struct Rounded {
    by: Vnni,
    /// c of one row after the other.
    lines: Vec<[Four; LINE]>,
    rows: Vec<Row>,
}

impl Rounded {
    /// Of `rows`, of `stride` coordinates each, whose models have these stakes; where the processor has the
    /// instructions that make it pay.
    pub(crate) fn new(
        rows: &[i16],
        stride: usize,
        ln_stakes_q46: impl IndexedParallelIterator<Item = i64>,
        kappa_q16: i64,
    ) -> Option<Self> {
        let by = Vnni::detect()?;
        let lines_per_row = stride.div_ceil(4 * LINE);
        let mut all = vec![[0; LINE]; rows.len() / stride * lines_per_row];
        let rows = rows.par_chunks_exact(stride).zip(ln_stakes_q46);
        let rows = rows.zip(all.par_chunks_exact_mut(lines_per_row));
        let rows = rows.map(|((row, ln_stake_q46), into)| {
            by.run(
                #[inline(always)]
                || {
                    let (row, rounded) = Row::new(row, ln_stake_q46, kappa_q16);
                    into.iter_mut()
                        .zip(lines(&rounded))
                        .for_each(|(into, line)| *into = line);
                    row
                },
            )
        });
        let rows = rows.collect();
        Some(Self { by, lines: all, rows })
    }
}

/// A search for the best models of some targets.
pub(crate) struct Shortlist<'a> {
    /// The table's rows, `stride` coordinates each.
    rows: &'a [i16],
    stride: usize,
    rounded: &'a Rounded,
    batch: Batch,
    /// d of sixteen targets in the lanes, and of four such groups side by side; then of the other groups.
    quads: Vec<Vec<[[Lanes; QUAD]; LINE]>>,
    singles: Vec<Vec<[[Lanes; 1]; LINE]>>,
    /// Of the targets; then of the lanes without one.
    limits: Vec<AtomicI64>,
    targets: usize,
}

/// What `groups` have at each place, side by side.
fn side_by_side<const G: usize>(groups: &[Vec<[Lanes; LINE]>; G]) -> Vec<[[Lanes; G]; LINE]> {
    let place = |line: usize, place: usize| groups.each_ref().map(|group| group[line][place]);
    (0..groups[0].len())
        .map(|line| std::array::from_fn(|at| place(line, at)))
        .collect()
}

impl<'a> Shortlist<'a> {
    /// A search among `rows`, of `stride` coordinates each, that is among `rounded`; no score is below
    /// `least_q46`.
    pub(crate) fn new(
        rounded: &'a Rounded,
        (rows, stride): (&'a [i16], usize),
        targets: &[Embedding],
        kappa_q16: i64,
        least_q46: i64,
    ) -> Self {
        let batch = Batch::new(targets, kappa_q16);
        let groups = targets.par_chunks(LANES).map(|group| {
            let mut places = vec![[Lanes([0; LANES]); LINE]; stride.div_ceil(4 * LINE)];
            for (lane, target) in group.iter().enumerate() {
                for (places, line) in places.iter_mut().zip(lines(&batch.round(target))) {
                    for (place, four) in places.iter_mut().zip(line) {
                        place.0[lane] = four;
                    }
                }
            }
            places
        });
        let groups: Vec<Vec<[Lanes; LINE]>> = groups.collect();
        let (quads, others) = groups.as_chunks();
        let (singles, _) = others.as_chunks();
        let limits = [batch.limit(least_q46)].repeat(targets.len());
        let nobody = [NEVER].repeat(groups.len() * LANES - targets.len());
        Self {
            rows,
            stride,
            rounded,
            batch,
            quads: quads.iter().map(side_by_side).collect(),
            singles: singles.iter().map(side_by_side).collect(),
            limits: limits.into_iter().chain(nobody).map(AtomicI64::new).collect(),
            targets: targets.len(),
        }
    }

    fn row(&self, row: usize) -> &[i16] {
        &self.rows[row * self.stride..][..self.stride]
    }

    /// From now on only scores of at least `score_q46` matter for `target`.
    pub(crate) fn raise(&self, target: usize, score_q46: i64) {
        self.limits[target].fetch_max(self.batch.limit(score_q46), Ordering::Relaxed);
    }

    /// The pairs of one of `rows` and a target whose best it can be among; `None` when they are not few.
    pub(crate) fn candidates(&self, rows: Range<usize>) -> Option<Vec<(usize, usize)>> {
        let limits = self.limits.iter().map(|limit| limit.load(Ordering::Relaxed));
        let limits: Vec<i64> = limits.collect();
        let mut found = Vec::new();
        self.rounded.by.run(
            #[inline(always)]
            || {
                let (limits, _) = limits.as_chunks();
                for (quad, targets) in self.quads.iter().enumerate() {
                    self.pass::<QUAD, QUAD_ROWS>(&rows, targets, quad * QUAD, limits, &mut found);
                }
                for (group, targets) in (self.quads.len() * QUAD..).zip(&self.singles) {
                    self.pass::<1, SINGLE_ROWS>(&rows, targets, group, limits, &mut found);
                }
            },
        );
        (found.len() <= rows.len() * self.targets / SHORT).then_some(found)
    }

    /// The candidates among `rows` for `G` groups of targets, the first of which is the `group`th.
    #[inline(always)]
    fn pass<const G: usize, const R: usize>(
        &self,
        rows: &Range<usize>,
        targets: &[[[Lanes; G]; LINE]],
        group: usize,
        limits: &[[i64; LANES]],
        found: &mut Vec<(usize, usize)>,
    ) {
        let lines = |row: usize| &self.rounded.lines[row * targets.len()..];
        let limits = &limits[group..][..G];
        let by = self.rounded.by;
        let mut look = |row: usize, dots: &[Lanes; G]| {
            let part = &self.rounded.rows[row];
            let slack = part.slack(&self.batch);
            for ((dots, limits), group) in dots.iter().zip(limits).zip(group..) {
                let mut reached = by.reached(dots, limits, part.factor, slack);
                if reached != 0 {
                    by.prefetch(self.row(row));
                }
                while reached != 0 {
                    found.push((row, group * LANES + reached.trailing_zeros() as usize));
                    reached &= reached - 1;
                }
            }
        };
        let tiled = rows.len() / R * R;
        for first in rows.clone().take(tiled).step_by(R) {
            let dots = by.tile::<G, R>(lines(first), targets);
            for (row, dots) in (first..).zip(&dots) {
                look(row, dots);
            }
        }
        for row in rows.clone().skip(tiled) {
            let [dots] = by.tile(lines(row), targets);
            look(row, &dots);
        }
    }

    /// The score of a row for a target.
    pub(crate) fn score_q46(&self, row: usize, target: &Embedding) -> i64 {
        let dot = self.rounded.by.run(
            #[inline(always)]
            || {
                let pairs = self.row(row).iter().zip(target.as_slice());
                pairs.fold(0, |sum: i32, (x, y)| {
                    sum.wrapping_add(i32::from(*x).wrapping_mul(i32::from(*y)))
                })
            },
        );
        i64::from(dot) * self.batch.kappa_q16 + self.rounded.rows[row].ln_stake_q46
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soma_types::Seed;

    use super::*;

    /// A direction between a common one and one of its own, in which some coordinates are far larger than the
    /// others.
    fn direction(own: [u8; 32], dim: usize, closeness: i64, peaks: &[usize]) -> Embedding {
        let common = Embedding::draw(&Seed([1; 32]), dim);
        let own = Embedding::draw(&Seed(own), dim);
        let pairs = common.as_slice().iter().zip(own.as_slice());
        let mut sum: Vec<i64> = pairs
            .map(|(a, b)| closeness * i64::from(*a) + i64::from(*b))
            .collect();
        for peak in peaks {
            sum[peak % dim] = 1 << 30;
        }
        Embedding::from_direction(&sum).expect("no zero")
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_is_close(
            dim in 2_usize..300,
            seeds in any::<[[u8; 32]; 2]>(),
            closeness in 0_i64..1_000,
            peaks in prop::collection::vec(0_usize..300, 0..3),
            stake in 0_i64..37 << 46,
        ) {
            let row = direction(seeds[0], dim, closeness, &peaks);
            let target = direction(seeds[1], dim, closeness / 2, &peaks[..peaks.len() / 2]);
            let kappa_q16 = 4 * crate::fixed::sqrt_q16(dim as u32) as i64;
            let (part, rounded) = Row::new(row.as_slice(), stake, kappa_q16);
            let batch = Batch::new(std::slice::from_ref(&target), kappa_q16);
            let dot: i32 = batch.round(&target).iter().zip(rounded).map(|(d, c)| d * c).sum();
            let left = |floor| part.factor * batch.limit(floor);
            let right = (i64::from(dot) << 15) + part.slack(&batch);
            let reaches = |floor| left(floor) <= right;
            let score = i64::from(row.dot(&target)) * kappa_q16 + stake;
            prop_assert!(reaches(score) && reaches(score - 1) && reaches(-(1 << 56)));
            // Rounding costs at most half a step of 127 in every coordinate of both: a similarity of 2 *
            // sqrt(dim) / 254 and a little, where kappa is 4 sqrt(dim).
            let cost = ((8 * dim as i64) << 46) / 254;
            prop_assert!(!reaches(score + 2 * cost + (1 << 40)));
        }
    }
}
