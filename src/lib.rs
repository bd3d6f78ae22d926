//! crossrx: train drug-response networks on one screen, score them on every other, over MPI.
//!
//! The rooms, from the command line down. A room uses only rooms below it, which
//! a test holds; `docs/architecture.md` draws the way of a pair from store to score.

/// Arguments of each subcommand, checked and turned into one call.
pub mod cli;

/// Scripts that run a deck on a batch system.
pub mod jobscript;

/// How fast this machine trains, beside the floor.
pub mod bench;

/// Whether a device computes what the processors do.
pub mod check;

/// What users come for: the transfer study, encoders learned from samples alone, and predictions by a trained model.
pub mod study;

/// The TOML file of an experiment, as written and as checked.
pub mod deck;

/// One training: the loop, optimisers, schedules, early stopping, the saved model.
pub mod train;

/// Predictors that a network must beat.
pub mod baseline;

/// Public file formats read into a store; one file a format.
pub mod import;

/// Made-up corpora whose best possible scores are known.
pub mod synth;

/// Networks in the words of [`graph`].
pub mod model;

/// Lanes, shuffles, and batches of pairs with their distinct drugs and samples.
pub mod batch;

/// Tables, JSON and the HTML page made from finished runs; one file an output.
pub mod report;

/// A network as a graph of ops, its derivative, and the plan compiled from it.
pub mod graph;

/// Feature tables made ready for a network: joining, scaling, labels, clusters, principal components.
pub mod feature;

/// Rules that cut a dataset into training, validation and test rows; one file a rule.
pub mod split;

/// Collectives over MPI or within one process, the ordered tree sum, memory shared over a node.
pub mod comm;

/// Ops: shape rule, derivative and kernels, one op a file.
pub mod op;

/// The HDF5 file that holds entities, features, pairs and splits.
pub mod store;

/// Scores of predictions, and of how far classes lie apart.
pub mod metric;

/// Where kernels run: matrix products, elementwise loops, threads, counter-based random bits.
pub mod device;

/// One process at a time has the right to write somewhere.
pub mod lock;

/// The checksum of what is kept.
pub mod checksum;

/// Whether the run has been told to stop: by a signal, or as its hours are over.
pub mod stop;

/// What this process is doing, for whoever must name it when a job hangs or dies.
pub mod status;

/// The error type of every room.
pub mod error;

/// Files that appear under their final name only when complete.
pub mod atomic;

pub use error::{Error, Result};
