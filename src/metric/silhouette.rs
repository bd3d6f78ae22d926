use super::distances::Distances;

/// The mean silhouette of rows in classes (Rousseeuw 1987, Euclidean distances): for each row (b - a) / max(a, b),
/// where a is its mean distance to the others of its class and b the least mean distance to the rows of another
/// class; 0 for the only row of a class. From -1 to 1: high where classes lie apart, near 0 where they overlap.
/// `values` is `[rows, columns]`; rows without a class are left out. `None` with fewer than two classes, or where
/// every row has a class of its own.
///
/// # Panics
/// When there is not one class a row, or no column.
pub fn silhouette(values: &[f32], columns: usize, classes: &[Option<u32>]) -> Option<f64> {
    assert_eq!(values.len(), classes.len() * columns, "a class a row");
    let of: Vec<u32> = (0..classes.len() as u32).filter(|&row| classes[row as usize].is_some()).collect();
    let class: Vec<usize> = classes.iter().flatten().map(|&class| class as usize).collect();
    let mut counts = vec![0usize; class.iter().max()? + 1];
    class.iter().for_each(|&class| counts[class] += 1);
    let there = counts.iter().filter(|&&count| count > 0).count();
    if there < 2 || there == class.len() {
        return None;
    }
    let each = |row: usize, squared: &mut [f64]| {
        let mut sums = vec![0.0; counts.len()];
        // Its distance to itself may come out a little above zero.
        squared[row] = 0.0;
        squared.iter().zip(&class).for_each(|(squared, &class)| sums[class] += squared.sqrt());
        let own = class[row];
        if counts[own] < 2 {
            return 0.0;
        }
        let within = sums[own] / (counts[own] - 1) as f64;
        let others = (0..counts.len()).filter(|&class| class != own && counts[class] > 0);
        let beside = others.map(|class| sums[class] / counts[class] as f64).fold(f64::INFINITY, f64::min);
        let larger = within.max(beside);
        if larger > 0.0 { (beside - within) / larger } else { 0.0 }
    };
    let each = Distances::new(values, columns, &of).map(each);
    Some(each.iter().sum::<f64>() / each.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::made_up::{CLASSES, classes, points};

    const SKLEARN: f64 = 0.08491026753634573;
    const SKLEARN_PART: f64 = 0.0823700190745596;

    /// Expected from sklearn.metrics.silhouette_score of the same points.
    #[test]
    fn agrees_with_sklearn_and_leaves_out_rows_without_a_class() {
        let (values, mut of) = (points(), classes());
        let whole = silhouette(&values, 4, &of).unwrap();
        assert!((whole - SKLEARN).abs() < 1e-9, "{whole}");
        of.iter_mut().step_by(7).for_each(|class| *class = None);
        let part = silhouette(&values, 4, &of).unwrap();
        assert!((part - SKLEARN_PART).abs() < 1e-9, "{part}");
    }
    #[test]
    fn what_is_not_defined_is_none_and_a_lone_row_counts_zero() {
        let values = points();
        let rows = values.len() / 4;
        assert_eq!(silhouette(&values, 4, &vec![Some(3); rows]), None);
        assert_eq!(silhouette(&values, 4, &vec![None; rows]), None);
        let own: Vec<_> = (0..rows as u32).map(Some).collect();
        assert_eq!(silhouette(&values, 4, &own), None);
        assert_eq!(CLASSES, 3);
        // Two equal rows, one apart and alone: 1, 1 and 0.
        let three = silhouette(&[0.0, 0.0, 5.0], 1, &[Some(0), Some(0), Some(4)]).unwrap();
        assert!((three - 2.0 / 3.0).abs() < 1e-12);
    }
}
