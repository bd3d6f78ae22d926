use super::Pca;
use crate::{Error, Result};
use linfa::traits::{Fit, Predict};
use linfa::{DatasetBase, ParamGuard};
use linfa_clustering::{KMeans, KMeansInit};
use ndarray_linfa::Array2;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;

/// Components that rows are clustered by, at most.
const COMPONENTS: usize = 50;
/// Starts of the algorithm, of which the one with the least distances is taken.
const STARTS: usize = 4;

/// k-means clusters of rows (Lloyd 1982, from k-means++ starts, Arthur and Vassilvitskii 2007), on their first
/// principal components, which hold what the clusters are told apart by (Ding and He 2004). `values` is
/// `[_, columns]`; clusters and components are fitted on the rows `fitted`, and the answer is the cluster of each
/// row of `of`, from 0. It depends on the rows, their order and `seed` alone. Refuses more clusters than rows
/// that are fitted, and rows that are all the same.
///
/// # Panics
/// When there is no such row.
pub fn clusters(
    values: &[f32],
    columns: usize,
    fitted: &[u32],
    of: &[u32],
    count: usize,
    seed: u64,
) -> Result<Vec<u32>> {
    let failed = |what: String| Error::Request(format!("{count} clusters of {} rows: {what}", fitted.len()));
    if count == 0 || count > fitted.len() {
        return Err(failed("there must be one row a cluster".into()));
    }
    let pca = Pca::up_to(values, columns, fitted, COMPONENTS, seed).map_err(|e| failed(e.to_string()))?;
    let table = |rows: &[u32]| {
        let projected = pca.project(values, rows).iter().map(|&v| f64::from(v)).collect();
        Array2::from_shape_vec((rows.len(), pca.components()), projected).map_err(|e| failed(e.to_string()))
    };
    let generator = Xoshiro256Plus::seed_from_u64(seed);
    let fit = KMeans::params_with_rng(count, generator)
        .init_method(KMeansInit::KMeansPlusPlus)
        .n_runs(STARTS)
        .max_n_iterations(300)
        .tolerance(1e-4)
        .check()
        .map_err(|e| failed(e.to_string()))?
        .fit(&DatasetBase::from(table(fitted)?))
        .map_err(|e| failed(e.to_string()))?;
    Ok(fit.predict(&table(of)?).iter().map(|&cluster| cluster as u32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_lie_together_are_one_cluster_and_nothing_but_the_seed_matters() {
        // Three heaps of 40 rows, the rows taken in turns.
        let noise = |i: usize| ((i * i * 7919 + i * 31) % 1009) as f32 / 1009.0;
        let value =
            |row: usize, column: usize| noise(row * 6 + column) + if row % 3 == column { 9.0 } else { 0.0 };
        let values: Vec<f32> =
            (0..120).flat_map(|row| (0..6).map(move |column| value(row, column))).collect();
        let (fitted, of): (Vec<u32>, Vec<u32>) = ((0..90).collect(), (0..120).collect());
        let found = clusters(&values, 6, &fitted, &of, 3, 7).unwrap();
        assert_eq!(found, clusters(&values, 6, &fitted, &of, 3, 7).unwrap());
        let mut heaps = [found[0], found[1], found[2]];
        assert!(found.iter().enumerate().all(|(row, cluster)| heaps[row % 3] == *cluster), "{found:?}");
        heaps.sort_unstable();
        assert_eq!(heaps, [0, 1, 2]);
        assert!(clusters(&values, 6, &fitted, &of, 91, 7).is_err());
        assert!(clusters(&[1.0; 60], 6, &[0, 1, 2], &[0], 2, 7).unwrap_err().to_string().contains("same"));
    }
}
