//! How fast this machine trains and scores networks of published shapes, on
//! made-up data, beside the time of their matrix products alone; how fast ranks
//! talk; and how a deck's training scales over them.

mod all_reduce;
mod case;
mod comm;
mod floor;
mod made_up;
mod places;
pub mod scaling;
mod score;
mod step;
mod sums;
mod timing;

pub use all_reduce::{AllReduceReport, measure_all_reduce};
pub use case::Case;
pub use comm::{CommReport, CommRequest, Message, MessageTime, measure_comm, size_in_words};
pub use made_up::MadeUp;
pub use places::{Place, Places};
pub use score::{ScoreReport, measure_score};
pub use step::{StepReport, measure_step};
pub use timing::Quartiles;
