use crate::batch::Shuffle;
use crate::feature::Pca;
use crate::metric::neighbours;
use bhtsne::{Neighbor, tSNE};

/// Rows that the neighbour embedding is made of, at most: more make no clearer picture.
const MOST_ROWS: usize = 3000;
/// About how many neighbours a row is drawn to (van der Maaten and Hinton 2008); a third of those that are looked at.
const PERPLEXITY: usize = 30;
const EPOCHS: usize = 1000;
/// How coarsely far rows are taken together (van der Maaten 2014).
const THETA: f64 = 0.5;
/// Standard deviation of the first coordinate to start from (Kobak and Berens 2019).
const START: f64 = 1e-4;
/// A shuffle that no lane has.
const DRAWN: u32 = u32::MAX - 2;

/// Latent rows in the plane, two ways.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// First two principal components of each row.
    pub components: Vec<[f32; 2]>,
    /// Parts of the variance that they hold.
    pub shares: [f64; 2],
    /// t-SNE coordinates, of the rows that were drawn where there are many.
    pub neighbours: Vec<Option<[f32; 2]>>,
}

impl Embedding {
    /// Of latent rows `[rows, columns]`. The same rows and seed give the same bits, whatever the number of threads:
    /// t-SNE starts from the principal components.
    pub fn of(latent: &[f32], columns: usize, seed: u64) -> Self {
        let rows = latent.len() / columns;
        let all: Vec<u32> = (0..rows as u32).collect();
        let mut components = vec![[0.0; 2]; rows];
        let mut shares = [0.0; 2];
        // Latent rows that have all become one have none.
        if let Ok(pca) = Pca::up_to(latent, columns, &all, 2, seed) {
            let count = pca.components();
            let projected = pca.project(latent, &all);
            for (to, from) in components.iter_mut().zip(projected.chunks_exact(count)) {
                to[..count].copy_from_slice(from);
            }
            shares[..count].copy_from_slice(&pca.shares());
        }
        let order = Shuffle::new(seed, DRAWN, 0, rows);
        let mut drawn: Vec<u32> =
            (0..rows.min(MOST_ROWS) as u32).map(|position| order.row(position)).collect();
        drawn.sort_unstable();
        let mut neighbours = vec![None; rows];
        let placed = tsne(latent, columns, &drawn, &components);
        drawn.iter().zip(placed).for_each(|(&row, place)| neighbours[row as usize] = Some(place));
        Self { components, shares, neighbours }
    }
}

/// t-SNE (Barnes-Hut) of the rows `drawn` of `latent`; nothing of rows too few to have neighbours, or all the same.
fn tsne(latent: &[f32], columns: usize, drawn: &[u32], start: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let perplexity = PERPLEXITY.min(drawn.len().saturating_sub(1) / 3);
    let spread = {
        let squares = drawn.iter().map(|&row| f64::from(start[row as usize][0]).powi(2)).sum::<f64>();
        (squares / drawn.len().max(1) as f64).sqrt()
    };
    if perplexity < 2 || spread == 0.0 {
        return Vec::new();
    }
    let rows: Vec<f32> =
        drawn.iter().flat_map(|&row| &latent[row as usize * columns..][..columns]).copied().collect();
    let near = neighbours(&rows, columns, 3 * perplexity);
    let near: Vec<Vec<Neighbor<f64>>> = near
        .into_iter()
        .map(|row| row.into_iter().map(|(i, distance)| Neighbor { index: i as usize, distance }).collect())
        .collect();
    let begin = |&row: &u32| start[row as usize].map(|v| f64::from(v) / spread * START);
    let begin: Vec<f64> = drawn.iter().flat_map(begin).collect();
    let points = vec![(); drawn.len()];
    let place = || {
        let mut tsne: tSNE<'_, f64, (), 2> = tSNE::new(&points);
        tsne.perplexity(perplexity as f64).epochs(EPOCHS).initial_embedding(begin);
        tsne.barnes_hut_with_neighbors(THETA, &near);
        tsne.embedding()
    };
    // The library's sums depend on how threads share them.
    let placed = match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(alone) => alone.install(place),
        Err(error) => {
            log::warn!("no neighbour embedding: {error}");
            Vec::new()
        }
    };
    placed.chunks_exact(2).map(|place| [place[0] as f32, place[1] as f32]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two heaps of rows of three columns.
    fn heaps(rows: usize) -> Vec<f32> {
        let noise = |i: usize| ((i * i * 7919 + i * 31) % 1009) as f32 / 1009.0;
        let value = |row: usize, column: usize| {
            noise(row * 3 + column) + if row.is_multiple_of(2) { 4.0 } else { 0.0 }
        };
        (0..rows).flat_map(|row| (0..3).map(move |column| value(row, column))).collect()
    }

    #[test]
    fn heaps_stay_apart_and_threads_change_no_bit() {
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Embedding::of(&heaps(150), 3, 1))
        };
        let embedding = of(1);
        assert_eq!(embedding, of(3));
        let places: Vec<[f32; 2]> = embedding.neighbours.iter().flatten().copied().collect();
        assert_eq!(places.len(), 150);
        let classes: Vec<Option<u32>> = (0..150).map(|row| Some(row % 2)).collect();
        let apart = crate::metric::silhouette(&places.concat(), 2, &classes).unwrap();
        assert!(apart > 0.5, "{apart}");
        assert!(embedding.shares[0] > 0.9 && embedding.shares[0] < 1.0 && embedding.shares[1] > 0.0);
    }

    #[test]
    fn rows_that_have_all_become_one_have_no_picture_and_many_are_drawn_from() {
        let collapsed = Embedding::of(&[1.0; 60], 2, 1);
        assert_eq!((collapsed.components[7], collapsed.shares), ([0.0; 2], [0.0; 2]));
        assert!(collapsed.neighbours.iter().all(Option::is_none));
        let one = Embedding::of(&heaps(6), 18, 1);
        assert_eq!(one.components, [[0.0; 2]]);
    }
}
