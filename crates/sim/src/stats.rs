//! The few statistics that studies need.

/// The mean; zero of nothing.
#[must_use]
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values
        .into_iter()
        .fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// The mean of each value and those up to `window` before it.
#[must_use]
pub fn running_mean(values: &[f64], window: usize) -> Vec<f64> {
    let mut sum = 0.0;
    values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            sum += value;
            if index >= window {
                sum -= values[index - window];
            }
            sum / (index + 1).min(window) as f64
        })
        .collect()
}

/// How unequal shares are: 0 all equal, 1 all with one.
#[must_use]
pub fn gini(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let total: f64 = sorted.iter().sum();
    if total <= 0.0 {
        return 0.0;
    }
    let count = sorted.len() as f64;
    let weighted: f64 = sorted
        .iter()
        .zip(1_u32..)
        .map(|(value, rank)| f64::from(rank) * value)
        .sum();
    2.0 * weighted / (count * total) - (count + 1.0) / count
}

/// How many equal parts would be as concentrated: one over the sum of squared shares.
#[must_use]
pub fn effective_number(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let total: f64 = values.clone().sum();
    let squares: f64 = values.map(|value| (value / total).powi(2)).sum();
    if squares > 0.0 { 1.0 / squares } else { 0.0 }
}

/// The correlation of ranks, -1 to 1.
#[must_use]
pub fn rank_correlation(pairs: &[(f64, f64)]) -> f64 {
    let ranks = |values: Vec<f64>| -> Vec<f64> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let mut ranks = vec![0.0; values.len()];
        for (rank, place) in order.into_iter().enumerate() {
            ranks[place] = rank as f64;
        }
        ranks
    };
    let a = ranks(pairs.iter().map(|pair| pair.0).collect());
    let b = ranks(pairs.iter().map(|pair| pair.1).collect());
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    let sum = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
    };
    let variance = (sum(&a, mean_a, &a, mean_a) * sum(&b, mean_b, &b, mean_b)).sqrt();
    if variance > 0.0 {
        sum(&a, mean_a, &b, mean_b) / variance
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_and_unequal() {
        assert!(gini(&[3.0; 10]).abs() < 1e-12);
        assert!((gini(&[0.0, 0.0, 0.0, 1.0]) - 0.75).abs() < 1e-12);
        assert!((effective_number([2.0; 5].into_iter()) - 5.0).abs() < 1e-12);
        assert!((rank_correlation(&[(1.0, 10.0), (2.0, 20.0), (3.0, 90.0)]) - 1.0).abs() < 1e-12);
        assert!((rank_correlation(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]) + 1.0).abs() < 1e-12);
        assert_eq!(running_mean(&[1.0, 3.0, 5.0], 2), [1.0, 2.0, 4.0]);
    }
}
