//! Feature tables made ready for a network: joined by entity, and scaled by
//! what the training rows show; the samples of several studies one below the
//! other; tables of labels read as classes; clusters and principal components.

mod clusters;
mod labels;
mod pca;
mod scaled;
mod scaling;
mod study_scaling;
mod study_tables;
mod table;

pub use clusters::clusters;
pub use labels::{Labels, labels};
pub use pca::Pca;
pub use scaled::{ScaledFeatures, ScaledRows};
pub use scaling::{Scaling, ValueScale};
pub use study_scaling::{ColumnFilter, ScaleKind, StudyScaling};
pub use study_tables::StudyTables;
pub use table::{Column, ComputedTable, Features, Join, JoinedTables};
