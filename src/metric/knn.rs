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

/// How often a row is of the class that most of its `k` nearest others have, by Euclidean distance (leave-one-out
/// k-nearest-neighbour accuracy; of classes as frequent, the one with the nearest row wins). `values` is
/// `[rows, columns]`; rows without a class are left out. `None` with fewer than two rows that have one.
///
/// # Panics
/// When there is not one class a row, no column, or `k` is zero.
pub fn knn_accuracy(values: &[f32], columns: usize, classes: &[Option<u32>], k: usize) -> Option<f64> {
    assert!(values.len() == classes.len() * columns && k > 0, "a class a row");
    let of: Vec<u32> = (0..classes.len() as u32).filter(|&row| classes[row as usize].is_some()).collect();
    let class: Vec<u32> = classes.iter().flatten().copied().collect();
    if class.len() < 2 {
        return None;
    }
    let near = nearest(&Distances::new(values, columns, &of), k);
    let vote = |near: &Vec<(u32, f64)>| {
        let named: Vec<u32> = near.iter().map(|(row, _)| class[*row as usize]).collect();
        let count = |of: u32| named.iter().filter(|&&class| class == of).count();
        // `max_by_key` takes the last of the largest.
        named.iter().rev().copied().max_by_key(|&class| count(class))
    };
    let right = near.iter().zip(&class).filter(|(near, class)| vote(near) == Some(**class)).count();
    Some(right as f64 / class.len() as f64)
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
            let accuracy = knn_accuracy(&points(), 4, &classes(), k).unwrap();
            assert!((accuracy - expected).abs() < 1e-12, "{k}: {accuracy}");
        }
        assert_eq!(knn_accuracy(&[1.0, 2.0], 1, &[Some(0), None], 5), None);
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
        let accuracy = knn_accuracy(&[0.0, 1.0, -2.0], 1, &[Some(1), Some(1), Some(0)], 2).unwrap();
        assert!((accuracy - 2.0 / 3.0).abs() < 1e-12, "{accuracy}");
    }
}
