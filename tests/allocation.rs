//! A training step allocates nothing once its buffers have grown, where products are our own.

use crossrx::bench::{Case, MadeUp};
use crossrx::comm::Serial;
use crossrx::device::cuda::Precision;
use crossrx::device::{Device, threads};
use crossrx::train::{Asks, Trainer};
use std::alloc::{GlobalAlloc, Layout, System};
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
        let (problem, spec) = (made_up.problem(), made_up.spec());
        let mut trainer = Trainer::new(&problem, &spec, 1, &Serial).unwrap();
        trainer.begin_epoch().unwrap();
        trainer.step(0, Asks::default()).unwrap();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for step in 1..problem.lanes.steps() {
            trainer.step(step, Asks::default()).unwrap();
        }
        let after = ALLOCATIONS.load(Ordering::Relaxed);
        assert_eq!(
            after - before,
            0,
            "allocations in {} steps of {}",
            problem.lanes.steps() - 1,
            case.name()
        );
    }
}
