//! Job scripts as sites run them: the examples are what the command prints, all are sound shell, and Slurm's, PBS's
//! and a workstation's run to the end, stop in time and go on, on a made-up site in a folder with spaces.

mod examples;
mod local;
mod pbs;
mod request;
mod site;
mod slurm;
