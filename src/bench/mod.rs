//! How fast this machine trains: networks of published shapes on made-up data,
//! beside the floor that matrix products alone would take.

mod case;
mod floor;
mod step;

pub use case::Case;
pub use step::{StepReport, measure};
