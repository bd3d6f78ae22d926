//! Feature tables made ready for a network: joined by entity, and scaled by
//! what the training rows show.

mod scaled;
mod scaling;
mod table;

pub use scaled::{ScaledFeatures, ScaledRows};
pub use scaling::{Scaling, ValueScale};
pub use table::{Column, Features, Join, JoinedTables};
