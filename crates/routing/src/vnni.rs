//! Sixty-four products of 8-bit coordinates at once (AVX-512 VNNI), for [`crate::shortlist`]. The only unsafe
//! code of the crate.
//!
//! A tile's sums stay in registers, a target in each of their sixteen lanes: four coordinates of a row are
//! broadcast to all of them, so that nothing needs adding up across lanes at the end.
#![allow(unsafe_code)]

/// Targets multiplied at once.
pub(crate) const LANES: usize = 16;

/// Four coordinates of 8 bits, the first lowest.
pub(crate) type Four = i32;

/// Fours in a line of the cache.
pub(crate) const LINE: usize = 16;

/// A sum, or four coordinates, of each of sixteen targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [i32; LANES]);

/// Proof that this processor has the instructions. No other kind of processor can have one, so that what
/// follows is written once for all of them, and there can't be called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vnni(
    #[cfg(target_arch = "x86_64")] (),
    #[cfg(not(target_arch = "x86_64"))] std::convert::Infallible,
);

impl Vnni {
    pub(crate) fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
        {
            return Some(Self(()));
        }
        None
    }

    /// Calls `work`, compiled for these instructions if it is inlined.
    #[inline(always)]
    pub(crate) fn run<T>(self, work: impl FnOnce() -> T) -> T {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Vnni` exists only where the processor has these.
        unsafe {
            x86::run(work)
        }
        #[cfg(not(target_arch = "x86_64"))]
        match (self.0, work) {}
    }

    /// The dot products of `R` consecutive rows, which `rows` begins with, and `16 G` targets. The rows'
    /// coordinates are signed, the targets' unsigned. Sums are exact: at most 2^13 products of less than
    /// 2^15.
    #[inline(always)]
    pub(crate) fn tile<const G: usize, const R: usize>(
        self,
        rows: &[[Four; LINE]],
        targets: &[[[Lanes; G]; LINE]],
    ) -> [[Lanes; G]; R] {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Vnni` exists only where the processor has these.
        unsafe {
            x86::tile(rows, targets)
        }
        #[cfg(not(target_arch = "x86_64"))]
        match (self.0, rows, targets) {}
    }

    /// Has a row brought into the cache.
    #[inline(always)]
    pub(crate) fn prefetch(self, row: &[i16]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Vnni` exists only where the processor has these.
        unsafe {
            x86::prefetch(row);
        }
        #[cfg(not(target_arch = "x86_64"))]
        match (self.0, row) {}
    }

    /// In which lanes `factor * limit <= 2^15 dot + slack`, a bit for each, the first lowest.
    #[inline(always)]
    pub(crate) fn reached(self, dots: &Lanes, limits: &[i64; LANES], factor: i64, slack: i64) -> u16 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Vnni` exists only where the processor has these.
        unsafe {
            x86::reached(dots, limits, factor, slack)
        }
        #[cfg(not(target_arch = "x86_64"))]
        match (self.0, dots, limits, factor, slack) {}
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::{
        arch::x86_64::{
            __m256i, __m512i, _MM_HINT_NTA, _MM_HINT_T1, _mm_prefetch, _mm512_add_epi64,
            _mm512_cmpge_epi64_mask, _mm512_cvtepi32_epi64, _mm512_dpbusd_epi32, _mm512_extracti64x4_epi64,
            _mm512_mullo_epi64, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_setzero_si512,
            _mm512_slli_epi64,
        },
        mem::transmute,
    };

    use super::{Four, LANES, LINE, Lanes};

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    pub(super) fn run<T>(work: impl FnOnce() -> T) -> T {
        work()
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    #[inline]
    pub(super) fn tile<const G: usize, const R: usize>(
        rows: &[[Four; LINE]],
        targets: &[[[Lanes; G]; LINE]],
    ) -> [[Lanes; G]; R] {
        let lines = targets.len();
        let rows: [&[[Four; LINE]]; R] = std::array::from_fn(|row| &rows[row * lines..][..lines]);
        let mut sums = [[_mm512_setzero_si512(); G]; R];
        for (line, targets) in targets.iter().enumerate() {
            let rows = rows.map(|row| &row[line]);
            for row in rows {
                // The same place in the next tile.
                _mm_prefetch::<_MM_HINT_NTA>(row.as_ptr().wrapping_add(R * lines * LINE).cast());
            }
            for (place, targets) in targets.iter().enumerate() {
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let four = _mm512_set1_epi32(row[place]);
                    for (target, sum) in targets.iter().zip(sums) {
                        *sum = _mm512_dpbusd_epi32(*sum, from_lanes(target), four);
                    }
                }
            }
        }
        // SAFETY: both are as many groups of 64 bytes that may hold anything.
        unsafe { std::mem::transmute_copy(&sums) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    #[inline]
    pub(super) fn reached(dots: &Lanes, limits: &[i64; LANES], factor: i64, slack: i64) -> u16 {
        let (factor, slack) = (_mm512_set1_epi64(factor), _mm512_set1_epi64(slack));
        let half = |dots: __m256i, limits: &[i64; LANES / 2]| {
            let dots = _mm512_add_epi64(_mm512_slli_epi64::<15>(_mm512_cvtepi32_epi64(dots)), slack);
            _mm512_cmpge_epi64_mask(dots, _mm512_mullo_epi64(factor, from_limits(limits)))
        };
        let (halves, dots) = (limits.as_chunks().0, from_lanes(dots));
        let low = half(_mm512_extracti64x4_epi64::<0>(dots), &halves[0]);
        let high = half(_mm512_extracti64x4_epi64::<1>(dots), &halves[1]);
        u16::from(high) << 8 | u16::from(low)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    #[inline]
    pub(super) fn prefetch(row: &[i16]) {
        for line in row.chunks(size_of::<[Four; LINE]>() / size_of::<i16>()) {
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }

    #[inline(always)]
    fn from_lanes(lanes: &Lanes) -> __m512i {
        // SAFETY: both are 64 bytes that may hold anything.
        unsafe { transmute(*lanes) }
    }

    #[inline(always)]
    fn from_limits(limits: &[i64; LANES / 2]) -> __m512i {
        // SAFETY: both are 64 bytes that may hold anything.
        unsafe { transmute(*limits) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_products_added() {
        let Some(by) = Vnni::detect() else { return };
        // The largest of either sign at some places, where sums of pairs would overflow 16 bits.
        let row = |row: i32, place: i32| match (row + place) % 5 {
            0 => [127; 4],
            1 => [-127; 4],
            _ => [127, -127, (37 * place) as i8, (place - row) as i8],
        };
        let target = |lane: i32, place: i32| [255, 255, (lane * place) as u8, (7 * lane + place) as u8];
        let rows: Vec<[Four; LINE]> = (0..2 * 3)
            .map(|line| {
                let four = |place| row(line / 3, line % 3 * LINE as i32 + place as i32);
                std::array::from_fn(|place| Four::from_le_bytes(four(place).map(|x| x as u8)))
            })
            .collect();
        let lanes = |group: usize, place| {
            let lane = |lane: usize| i32::from_le_bytes(target((group * LANES + lane) as i32, place));
            Lanes(std::array::from_fn(lane))
        };
        let targets: Vec<[[Lanes; 2]; LINE]> = (0..3)
            .map(|line| {
                std::array::from_fn(|place| [0, 1].map(|group| lanes(group, (line * LINE + place) as i32)))
            })
            .collect();
        let dot = |which, lane| -> i32 {
            let products = (0..3 * LINE as i32).flat_map(|place| {
                let (row, target) = (row(which, place), target(lane, place));
                [0, 1, 2, 3].map(|x: usize| i32::from(row[x]) * i32::from(target[x]))
            });
            products.sum()
        };
        let expected = [0, 1].map(|row| {
            [0, 1].map(|group| {
                Lanes(std::array::from_fn(|lane| {
                    dot(row, (group * LANES + lane) as i32)
                }))
            })
        });
        assert_eq!(by.tile::<2, 2>(&rows, &targets), expected);
    }
}
