//! How fast this machine trains: networks of published shapes on made-up data,
//! beside the floor that matrix products alone would take; sums over ranks beside the library's own.

mod all_reduce;
mod case;
mod floor;
mod made_up;
mod score;
mod step;

pub use all_reduce::{AllReduceReport, measure_all_reduce};
pub use case::Case;
pub use made_up::MadeUp;
pub use score::{ScoreReport, measure_score};
pub use step::{StepReport, measure_step};
