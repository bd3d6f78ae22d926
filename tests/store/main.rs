//! A store written here: read back, amended, and refused once it is damaged.
//!
//! A child process inherits HDF5's descriptors, and would hold their file locks:
//! `.cargo/config.toml` turns those off, as the program does.

mod chunks;
mod damage;
mod digest;
mod hostile;
mod others;
mod raw;
mod reading;
mod replacing;
mod small;
mod writing;
