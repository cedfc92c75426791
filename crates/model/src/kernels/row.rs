//! One row by a matrix, as it is stored.

use std::{array, ops::Range, slice};

use super::tile::{DEPTH, Isa, ROW_PANELS, cut};
use crate::matrix::{Lanes, Matrix, PANEL, PanelValues};

/// Extends the sums of some panels, at most [`ROW_PANELS`], by all of `x`. What has to be widened first finds
/// room in `widened`.
pub fn extend<I: Isa>(
    sums: &mut [Lanes],
    x: &[f32],
    weight: &Matrix,
    panels: Range<usize>,
    widened: &mut Vec<Lanes>,
) {
    match weight.panels() {
        PanelValues::F32(values) => I::row(sums, x, &stored(values, x.len(), &panels)[..panels.len()]),
        PanelValues::Bf16(values) => I::row_bf16(sums, x, &stored(values, x.len(), &panels)[..panels.len()]),
        PanelValues::F16(_) => {
            for (sums, panel) in sums.iter_mut().zip(panels) {
                for depth in cut(0..x.len(), DEPTH) {
                    let weights = I::run(
                        #[inline(always)]
                        || weight.stretch(panel, depth.clone(), widened),
                    );
                    I::row(slice::from_mut(sums), &x[depth], &[weights]);
                }
            }
        }
    }
}

/// Some panels, each of `inputs` rows.
fn stored<'a, T>(values: &'a [T], inputs: usize, panels: &Range<usize>) -> [&'a [[T; PANEL]]; ROW_PANELS] {
    let (rows, _) = values.as_chunks();
    array::from_fn(|index| match panels.start + index {
        panel if panel < panels.end => &rows[panel * inputs..(panel + 1) * inputs],
        _ => &[],
    })
}
