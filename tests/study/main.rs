//! The program as users run it: one process or many ranks, good input and bad,
//! left in peace or killed.

mod bad_input;
mod bench;
#[cfg(target_os = "linux")]
mod bundle;
mod corpus;
#[cfg(target_os = "linux")]
mod demo;
mod device;
#[cfg(target_os = "linux")]
mod failing;
mod inspect;
#[cfg(target_os = "linux")]
mod install;
#[cfg(target_os = "linux")]
mod interrupted;
mod latent;
mod layout;
mod leak;
#[cfg(target_os = "linux")]
mod logs;
mod memory;
mod predict;
mod pretrain;
mod program;
mod ranks;
#[cfg(target_os = "linux")]
mod resuming;
mod scaling;
mod scores;
mod table;
mod tree;
mod trust;
