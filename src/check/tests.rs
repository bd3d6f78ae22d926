//! The check passes on the kernels run on the host, and tells of a device that computes something else.

use super::*;
use crate::device::cuda::{Address, CudaProduct, Driver, HostDriver, Launch, Recording};
use std::cell::Cell;
use std::rc::Rc;

#[test]
fn kernels_on_the_host_pass() {
    let mut outcomes = Vec::new();
    let mut tell = |outcome: &Outcome| {
        outcomes.push(outcome.clone());
        Ok(())
    };
    check_device(&HostDriver::stream(), &mut tell).unwrap();
    let table: String = outcomes.iter().map(Outcome::to_string).collect();
    assert!(outcomes.iter().all(|outcome| outcome.passed), "{table}");
    let of = |precision| outcomes.iter().filter(|outcome| outcome.precision == precision).count();
    assert!(of(Precision::Fp32) > 30 && of(Precision::Bf16) == of(Precision::Fp32), "{table}");
    // Differences of zero throughout would be no comparison.
    let differ = outcomes.iter().filter(|o| o.precision == Precision::Bf16 && o.largest > Some(1e-4)).count();
    assert!(differ > 20, "{table}");
}

/// What is wrong with a device.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// No product adds its bias.
    NoBias,
    /// Products forget it after a while.
    NoBiasAtTimes,
    /// Pairs are not drawn.
    NoShuffle,
    /// Nothing can be launched.
    NoLaunch,
}

/// A driver with a fault.
struct Faulty {
    inner: HostDriver,
    fault: Fault,
    products: Cell<usize>,
}

impl Faulty {
    fn stream(fault: Fault) -> Stream {
        let inner = HostDriver::new(&HostDriver::test_cache()).unwrap();
        Stream::new(Rc::new(Self { inner, fault, products: Cell::new(0) }))
    }
}

impl Driver for Faulty {
    fn name(&self) -> String {
        self.inner.name()
    }
    fn memory(&self) -> Result<[usize; 2]> {
        self.inner.memory()
    }
    fn allocate(&self, bytes: usize) -> Result<Address> {
        self.inner.allocate(bytes)
    }
    fn release(&self, at: Address) {
        self.inner.release(at);
    }
    fn upload(&self, to: Address, from: &[u8]) -> Result<()> {
        self.inner.upload(to, from)
    }
    fn download(&self, to: &mut [u8], from: Address) -> Result<()> {
        self.inner.download(to, from)
    }
    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<()> {
        self.inner.copy(to, from, bytes)
    }
    fn zero(&self, at: Address, bytes: usize) -> Result<()> {
        self.inner.zero(at, bytes)
    }
    fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        match self.fault {
            Fault::NoLaunch => Err(crate::Error::Device("no kernel runs here".into())),
            Fault::NoShuffle if launch.kernel.name == "draw" => Ok(()),
            _ => self.inner.launch(launch),
        }
    }
    fn product(&self, product: &CudaProduct) -> Result<()> {
        self.products.set(self.products.get() + 1);
        let forgets = match self.fault {
            Fault::NoBias => true,
            // All but the first few.
            Fault::NoBiasAtTimes => self.products.get() > 3,
            _ => false,
        };
        let bias = product.bias.filter(|_| !forgets);
        self.inner.product(&CudaProduct { bias, ..*product })
    }
    fn record(&self) -> Result<()> {
        self.inner.record()
    }
    fn recorded(&self) -> Result<Recording> {
        self.inner.recorded()
    }
    fn replay(&self, recording: Recording) -> Result<()> {
        self.inner.replay(recording)
    }
    fn forget(&self, recording: Recording) {
        self.inner.forget(recording);
    }
    fn wait(&self) -> Result<()> {
        self.inner.wait()
    }
}

#[test]
fn a_layer_without_its_bias_is_told() {
    let case = ops::cases().unwrap().swap_remove(1);
    let mut references = case.references().unwrap();
    let mut on = |fault| case.on(&mut references, &Faulty::stream(fault), Precision::Bf16);
    assert!(on(Fault::NoShuffle).passed);
    let wrong = on(Fault::NoBias);
    assert!(!wrong.passed && wrong.largest > Some(2.0 * wrong.allowed), "{wrong}");
    let unsteady = on(Fault::NoBiasAtTimes);
    assert!(!unsteady.passed && unsteady.remark.contains("other bits"), "{unsteady}");
    let dead = on(Fault::NoLaunch);
    assert!(!dead.passed && dead.remark.contains("no kernel runs here"), "{dead}");
}

#[test]
fn batches_of_other_pairs_are_told_and_so_are_losses() {
    let mut failed = Vec::new();
    let mut tell = |outcome: &Outcome| {
        failed.extend((!outcome.passed).then(|| outcome.case.clone()));
        Ok(())
    };
    training::check(&Faulty::stream(Fault::NoShuffle), &mut tell).unwrap();
    for what in ["batches of two epochs, one lane", "ten steps of Adam, two lanes, bits"] {
        assert!(failed.iter().any(|case| case == what), "{failed:?}");
    }
}
