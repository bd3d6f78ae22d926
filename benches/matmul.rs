//! The matrix products of a training step, by this program and by the gemm
//! crate: forward `x Wᵀ`, weight gradient `Gᵀ x`, input gradient `G W`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossrx::device::{MatRef, matmul};
use gemm::Parallelism;
use std::hint::black_box;

/// Rows of the batch, columns in, columns out.
const LAYERS: [[usize; 3]; 7] = [
    [2048, 1000, 1000],
    [369, 3820, 1000],
    [747, 942, 1000],
    [4096, 256, 256],
    [370, 3820, 256],
    [807, 942, 256],
    [4096, 400, 400],
];

fn by_library(c: &mut [f32], a: &[f32], b: &[f32], [m, n, k]: [usize; 3], strides: [[isize; 2]; 2]) {
    let [[ar, ac], [br, bc]] = strides;
    // SAFETY: the benchmark's buffers are as large as the layer's shapes say.
    unsafe {
        let parallelism = Parallelism::Rayon(rayon::current_num_threads());
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            ac,
            ar,
            b.as_ptr(),
            bc,
            br,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

fn products(criterion: &mut Criterion) {
    let values = |n: usize| -> Vec<f32> { (0..n).map(|i| (i % 977) as f32 * 1e-3 - 0.5).collect() };
    let mut group = criterion.benchmark_group("matmul");
    for [rows, from, to] in LAYERS {
        let (x, w, g) = (values(rows * from), values(to * from), values(rows * to));
        let (mut y, mut dw, mut dx) = (values(rows * to), values(to * from), values(rows * from));
        group.throughput(Throughput::Elements(2 * (rows * from * to) as u64));
        let shape = format!("{rows}x{from}x{to}");
        let (i, o) = (from as isize, to as isize);
        let mut run = |name: &str, work: &mut dyn FnMut()| {
            group.bench_function(BenchmarkId::new(name, &shape), |bencher| bencher.iter(&mut *work));
        };
        let (x, w, g) = (black_box(&x), black_box(&w), black_box(&g));
        let (mx, mw, mg) = (MatRef::new(x, rows, from), MatRef::new(w, to, from), MatRef::new(g, rows, to));
        run("forward", &mut || matmul(&mut y, mx, mw.t(), false));
        run("forward by gemm", &mut || by_library(&mut y, x, w, [rows, to, from], [[i, 1], [1, i]]));
        run("weight", &mut || matmul(&mut dw, mg.t(), mx, false));
        run("weight by gemm", &mut || by_library(&mut dw, g, x, [to, from, rows], [[1, o], [i, 1]]));
        run("input", &mut || matmul(&mut dx, mg, mw, false));
        run("input by gemm", &mut || by_library(&mut dx, g, w, [rows, from, to], [[o, 1], [i, 1]]));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2)).warm_up_time(std::time::Duration::from_millis(500));
    targets = products
}
criterion_main!(benches);
