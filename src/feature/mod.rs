//! Feature tables made ready for a network: joined by entity, and scaled by
//! what the training rows show; and tables of labels read as classes.

mod labels;
mod scaled;
mod scaling;
mod table;

pub use labels::{Labels, labels};
pub use scaled::{ScaledFeatures, ScaledRows};
pub use scaling::{Scaling, ValueScale};
pub use table::{Column, Features, JoinedTables};
