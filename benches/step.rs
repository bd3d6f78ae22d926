//! Training steps of the networks of `crossrx bench step`, and scoring by the widest of them.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossrx::bench::{Case, MadeUp, measure_score};
use crossrx::comm::Serial;
use crossrx::device::Device;
use crossrx::device::cuda::Precision;
use crossrx::train::{Asks, Trainer};
use std::time::Duration;

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for case in Case::ALL {
        let made_up = MadeUp::new(case, 0, 1, None, Device::Cpu, Precision::Fp32).unwrap();
        let (problem, spec) = (made_up.problem(), made_up.spec());
        let mut trainer = Trainer::new(&problem, &spec, 1, &Serial).unwrap();
        trainer.begin_epoch().unwrap();
        group.throughput(Throughput::Elements(case.batch() as u64));
        let mut at = (0..problem.lanes.steps()).cycle();
        group.bench_function(case.name(), |bencher| {
            bencher.iter(|| trainer.step(at.next().unwrap_or(0), Asks::default()).unwrap());
        });
    }
    group.finish();
}

fn scoring(criterion: &mut Criterion) {
    const PAIRS: usize = 1 << 16;
    let mut group = criterion.benchmark_group("score");
    group.throughput(Throughput::Elements(PAIRS as u64));
    group.bench_function(Case::TwoTower1000.name(), |bencher| {
        let scored =
            |_| measure_score(Case::TwoTower1000, PAIRS, &Device::Cpu, Precision::Fp32).unwrap().seconds;
        bencher.iter_custom(|times| Duration::from_secs_f64((0..times).map(scored).sum()));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(8));
    targets = steps, scoring
}
criterion_main!(benches);
