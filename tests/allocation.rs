//! A training step allocates nothing once its buffers have grown, where products are our own.

use crossrx::batch::{Examples, Lanes};
use crossrx::bench::{Case, MadeUp};
use crossrx::comm::Serial;
use crossrx::device::cuda::Precision;
use crossrx::device::{Device, threads};
use crossrx::feature::{Features, ScaledFeatures};
use crossrx::model::{Autoencoder, CenterDistanceSpec, CenterLossSpec};
use crossrx::store::Entity;
use crossrx::train::{Asks, Problem, TrainSpec, Trainer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

#[cfg(target_arch = "x86_64")]
fn fast_products() -> bool {
    is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn fast_products() -> bool {
    false
}

#[test]
fn a_step_after_the_first_allocates_nothing() {
    if !fast_products() {
        eprintln!("skipped: without AVX-512 products go by a library that allocates");
        return;
    }
    threads::start(2).unwrap();
    for case in [Case::TwoTower256, Case::CompoundGene] {
        let made_up = MadeUp::new(case, 0, 1, None, Device::Cpu, Precision::Fp32).unwrap();
        assert_eq!(allocations(&made_up.problem(), &made_up.spec()), 0, "in steps of {}", case.name());
    }
    an_autoencoder();
}

/// Those of an epoch's steps after the first.
fn allocations(problem: &Problem<'_>, spec: &TrainSpec) -> usize {
    let mut trainer = Trainer::new(problem, spec, 1, &Serial).unwrap();
    trainer.begin_epoch().unwrap();
    trainer.step(0, Asks::default()).unwrap();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(problem.lanes.steps() > 1);
    for step in 1..problem.lanes.steps() {
        trainer.step(step, Asks::default()).unwrap();
    }
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// Of tied weights, with classes.
fn an_autoencoder() {
    const ROWS: u32 = 400;
    const CLASSES: u32 = 7;
    const COLUMNS: usize = 300;
    let features = |entity, rows: u32, columns: usize| {
        let values = (0..rows as usize * columns).map(|i| (i as f32 * 1.7).sin()).collect();
        let features = Features::of_all(entity, columns, values, false).unwrap();
        ScaledFeatures::new(Rc::new(features), vec![(0.0, 1.0); columns], f32::MAX)
    };
    let features = [features(Entity::Drug, CLASSES, 1), features(Entity::Sample, ROWS, COLUMNS)];
    let entities = [CLASSES, ROWS].map(|n| (0..n).collect::<Vec<u32>>());
    let pairs = [Examples {
        drug: (0..ROWS).map(|row| row % CLASSES).collect(),
        sample: (0..ROWS).collect(),
        dose: Vec::new(),
        truth: vec![1.0; ROWS as usize],
        number: (0..ROWS).collect(),
    }];
    let model = Autoencoder {
        layers: vec![128, 32],
        tied: true,
        dropout: 0.1,
        center_loss: Some(CenterLossSpec::default()),
        center_distance: Some(CenterDistanceSpec::default()),
        ..Autoencoder::default()
    };
    let spec = TrainSpec { batch: 100, ..TrainSpec::default() };
    let built = model.build(COLUMNS, &[1.0 / f64::from(CLASSES); CLASSES as usize], spec.batch).unwrap();
    let problem = Problem {
        name: "autoencoder".into(),
        network: &built.network,
        features: &features,
        lanes: Lanes::new(ROWS as usize, 1, spec.batch).unwrap(),
        own: 0..1,
        train: &pairs,
        validation: &pairs,
        validation_entities: [&entities[0], &entities[1]],
        deviation: 1.0,
        device: &Device::Cpu,
    };
    assert_eq!(allocations(&problem, &spec), 0, "in steps of an autoencoder");
}
