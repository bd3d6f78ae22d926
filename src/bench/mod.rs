//! How fast this machine trains: networks of published shapes on made-up data,
//! beside the floor that matrix products alone would take.

mod case;
mod floor;
mod made_up;
mod score;
mod step;

pub use case::Case;
pub use made_up::MadeUp;
pub use score::{ScoreReport, measure_score};
pub use step::{StepReport, measure_step};
