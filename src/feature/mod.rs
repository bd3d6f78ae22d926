//! Feature tables made ready for a network: joined by entity, and scaled by
//! what the training rows show.

mod scaling;
mod table;

pub use scaling::{EndpointScale, Scaling};
pub use table::{Column, Features};
