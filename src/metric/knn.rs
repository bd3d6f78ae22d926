use super::distances::Distances;

/// The `k` nearest other rows of each row of `values`, `[rows, columns]`, by Euclidean distance, nearest first,
/// with that distance; of rows as far, the one that stands first. All others where there are fewer than `k`.
///
/// # Panics
/// When there is no column, or rows are not whole.
pub fn neighbours(values: &[f32], columns: usize, k: usize) -> Vec<Vec<(u32, f64)>> {
    assert!(values.len().is_multiple_of(columns), "rows of {columns} columns");
    let of: Vec<u32> = (0..(values.len() / columns) as u32).collect();
    nearest(&Distances::new(values, columns, &of), k)
}

fn nearest(distances: &Distances, k: usize) -> Vec<Vec<(u32, f64)>> {
    distances.map(|row, squared| {
        let mut others: Vec<u32> = (0..squared.len() as u32).filter(|&other| other as usize != row).collect();
        let order = |a: &u32, b: &u32| squared[*a as usize].total_cmp(&squared[*b as usize]).then(a.cmp(b));
        if k < others.len() {
            others.select_nth_unstable_by(k, order);
            others.truncate(k);
        }
        others.sort_unstable_by(order);
        others.into_iter().map(|other| (other, squared[other as usize].sqrt())).collect()
    })
}

/// The class that most of the `k` nearest others of each row have, by Euclidean distance (leave-one-out
/// k-nearest-neighbour classification; of classes as frequent, the one with the nearest row wins). `values` is
/// `[rows, columns]`; rows without a class have no say, and none here, and there is none with fewer than two rows
/// that have one.
///
/// # Panics
/// When there is not one class a row, no column, or `k` is zero.
pub fn knn_classes(values: &[f32], columns: usize, classes: &[Option<u32>], k: usize) -> Vec<Option<u32>> {
    assert!(values.len() == classes.len() * columns && k > 0, "a class a row");
    let of: Vec<u32> = (0..classes.len() as u32).filter(|&row| classes[row as usize].is_some()).collect();
    let mut voted = vec![None; classes.len()];
    let near = nearest(&Distances::new(values, columns, &of), k);
    for (&row, near) in of.iter().zip(near) {
        let named: Vec<Option<u32>> =
            near.iter().map(|(place, _)| classes[of[*place as usize] as usize]).collect();
        let count = |of: Option<u32>| named.iter().filter(|&&class| class == of).count();
        // `max_by_key` takes the last of the largest.
        voted[row as usize] = named.iter().rev().copied().max_by_key(|&class| count(class)).flatten();
    }
    voted
}

/// How often a row's class is what [`knn_classes`] has voted, over `rows` that have one; `None` of no row.
///
/// # Panics
/// When there is no such row.
pub fn knn_accuracy(
    voted: &[Option<u32>],
    classes: &[Option<u32>],
    rows: impl Iterator<Item = u32>,
) -> Option<f64> {
    let (mut count, mut right) = (0usize, 0usize);
    for row in rows.map(|row| row as usize).filter(|&row| classes[row].is_some() && voted[row].is_some()) {
        count += 1;
        right += usize::from(classes[row] == voted[row]);
    }
    (count > 0).then(|| right as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::made_up::{classes, points};

    /// Expected for one neighbour from sklearn's KNeighborsClassifier and LeaveOneOut on the same points; for five,
    /// where it has 0.7667 as ties go to the class of the least number, from numpy with ties as here.
    #[test]
    fn accuracy_agrees_with_sklearn() {
        for (k, expected) in [(1, 0.8809523809523809), (5, 0.7857142857142857)] {
            let voted = knn_classes(&points(), 4, &classes(), k);
            let accuracy = knn_accuracy(&voted, &classes(), 0..210).unwrap();
            assert!((accuracy - expected).abs() < 1e-12, "{k}: {accuracy}");
        }
        let alone = [Some(0), None];
        assert_eq!(knn_accuracy(&knn_classes(&[1.0, 2.0], 1, &alone, 5), &alone, 0..2), None);
    }
    #[test]
    fn neighbours_are_the_nearest_in_order_and_never_the_row_itself() {
        // Their mean is zero, so that distances are exact.
        let near = neighbours(&[0.0, 1.0, 3.0, 3.0, -7.0], 1, 2);
        assert_eq!(near[0], [(1, 1.0), (2, 3.0)]);
        assert_eq!(near[2], [(3, 0.0), (1, 2.0)]);
        assert_eq!(neighbours(&[-1.0, 1.0], 1, 9), [vec![(1, 2.0)], vec![(0, 2.0)]]);
    }

    #[test]
    fn a_tie_of_classes_goes_to_the_nearest() {
        // Neighbours of the first row: class 1 at 1, class 0 at 2.
        let classes = [Some(1), Some(1), Some(0)];
        let voted = knn_classes(&[0.0, 1.0, -2.0], 1, &classes, 2);
        assert_eq!(voted, [Some(1); 3]);
        assert_eq!(knn_accuracy(&voted, &classes, 0..3), Some(2.0 / 3.0));
        assert_eq!(knn_accuracy(&voted, &classes, 2..3), Some(0.0));
    }
}
