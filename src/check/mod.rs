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

/// Goes through all cases on a device, in each precision; an outcome is told as soon as it is known. What fails on
/// the device is an outcome; an error is one of the processors', or of `tell`.
pub fn check_device(
    stream: &Stream,
    precisions: &[Precision],
    tell: &mut dyn FnMut(&Outcome) -> Result<()>,
) -> Result<()> {
    for case in ops::cases()?.into_iter().chain(networks::cases()?) {
        let mut references = case.references()?;
        for &precision in precisions {
            tell(&case.on(&mut references, stream, precision))?;
        }
    }
    training::check(stream, precisions, tell)
}
