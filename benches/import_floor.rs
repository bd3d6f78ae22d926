//! The floor of an import: the time that reading every file of a folder and parsing every
//! numeric field in it takes, on one thread and on all. `cargo bench --bench import_floor -- DIR`.

use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Rounds of which the fastest counts.
const ROUNDS: usize = 7;

fn main() {
    let folder = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let Some(folder) = folder else {
        println!("name the folder to read: cargo bench --bench import_floor -- DIR");
        return;
    };
    let mut files = Vec::new();
    list(Path::new(&folder), &mut files);
    // The largest first, or a thread is left alone with the last one.
    files.sort_by_key(|(size, path)| (std::cmp::Reverse(*size), path.clone()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in if threads > 1 { vec![1, threads] } else { vec![1] } {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        let mut best = f64::INFINITY;
        let mut found = Fields::default();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            found = pool.install(|| {
                let parts = files.par_iter().with_max_len(1).flat_map(|(_, path)| parts(path));
                parts.map(|part| part.parse()).reduce(Fields::default, Fields::and)
            });
            best = best.min(begun.elapsed().as_secs_f64());
        }
        println!(
            "{best:.4} s on {threads} threads: {} files, {} bytes, {} numbers of {} fields (sum {:.6e})",
            files.len(),
            found.bytes,
            found.numbers,
            found.fields,
            found.sum
        );
    }
}

fn list(folder: &Path, files: &mut Vec<(u64, PathBuf)>) {
    for entry in std::fs::read_dir(folder).expect("a folder that can be listed").flatten() {
        let path = entry.path();
        match entry.metadata() {
            Ok(found) if found.is_dir() => list(&path, files),
            Ok(found) => files.push((found.len(), path)),
            Err(e) => panic!("{}: {e}", path.display()),
        }
    }
}

/// Whole lines of a file.
struct Part {
    text: std::sync::Arc<Vec<u8>>,
    range: std::ops::Range<usize>,
}

/// Reads a file and cuts it into parts at line ends.
fn parts(path: &Path) -> Vec<Part> {
    const SIZE: usize = 1 << 20;
    let text = std::sync::Arc::new(std::fs::read(path).expect("a file that can be read"));
    let (mut cuts, mut start) = (Vec::new(), 0);
    while start < text.len() {
        let ahead = (start + SIZE).min(text.len());
        let end = text[ahead..].iter().position(|&b| b == b'\n').map_or(text.len(), |n| ahead + n + 1);
        cuts.push(Part { text: text.clone(), range: start..end });
        start = end;
    }
    cuts
}

impl Part {
    fn parse(&self) -> Fields {
        let mut found = Fields { bytes: self.range.len(), ..Fields::default() };
        for field in self.text[self.range.clone()].split(|&b| b == b'\t' || b == b'\n') {
            found.fields += 1;
            // Text fails at its first byte.
            if let Ok(value) = fast_float2::parse::<f32, _>(field) {
                found.numbers += 1;
                found.sum += f64::from(value);
            }
        }
        found
    }
}

/// What was found; the sum keeps the parsing from being left out.
#[derive(Default)]
struct Fields {
    bytes: usize,
    fields: u64,
    numbers: u64,
    sum: f64,
}

impl Fields {
    fn and(self, other: Fields) -> Fields {
        Fields {
            bytes: self.bytes + other.bytes,
            fields: self.fields + other.fields,
            numbers: self.numbers + other.numbers,
            sum: self.sum + other.sum,
        }
    }
}
