//! Whether a device computes what the processors do, for machines where there is nothing but the program: every
//! op in a small network of its own, whole networks, batches, and ten steps of trainings, on made-up data.

mod networks;
mod ops;
mod outcome;
#[cfg(test)]
mod tests;
mod training;

pub use outcome::Outcome;

use crate::Result;
use crate::device::cuda::{Precision, Stream};

/// Goes through all cases on a device; each one's outcome is told as soon as it is known. What fails on the device
/// is an outcome; an error is one of the processors', or of `tell`.
pub fn check_device(stream: &Stream, tell: &mut dyn FnMut(&Outcome) -> Result<()>) -> Result<()> {
    for case in ops::cases()?.into_iter().chain(networks::cases()?) {
        let mut references = case.references()?;
        for precision in PRECISIONS {
            tell(&case.on(&mut references, stream, precision))?;
        }
    }
    training::check(stream, tell)
}

const PRECISIONS: [Precision; 3] = [Precision::Fp32, Precision::Tf32, Precision::Bf16];
