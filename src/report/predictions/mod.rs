//! `test_y_data_predicted.csv` and `val_y_data_predicted.csv`: the columns of
//! the response table, then `<endpoint>_true` and `<endpoint>_pred`.

mod sample;
mod writer;

pub use sample::{Sample, read_sample};
pub use writer::{PredictionsWriter, Values, write_blocks};
