//! Scripts that run a deck on a batch system or a workstation: resources, binding, stopping and going on.
//!
//! A script is bash that stands alone: it calls the launcher, `crossrx` and the scheduler's own commands, and
//! tells in comments why each line is there, so that a user can change it.

mod body;
mod go_on;
mod launch;
mod launcher;
mod layout;
mod local;
mod machine;
mod pbs;
mod quote;
mod request;
mod slurm;
mod studies;
mod text;
mod wish;

pub use launcher::Launcher;
pub use layout::Layout;
pub use machine::{MACHINES, Machine};
pub use quote::quoted;
pub use request::Request;
pub use wish::{Scheduler, Wish};

/// The script for a request that has been checked.
pub fn script(request: &Request) -> String {
    match request.scheduler {
        Scheduler::Slurm => slurm::script(request),
        Scheduler::Pbs => pbs::script(request),
        Scheduler::Local => local::script(request),
    }
}
