use crate::status;
use crate::{Error, Result};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

/// The variable of the environment that [`Drill::prepare`] reads.
const VARIABLE: &str = "CROSSRX_DRILL";

/// A failure on purpose, to see that a job script and its site cope: at one
/// step of a training, one rank fails. `docs/reliability.md` tells how to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drill {
    fault: Fault,
    /// Rank in the job.
    rank: usize,
    /// Of a training, from one.
    step: u64,
    /// Which of the trainings that this rank takes part in, from one; any if absent.
    task: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Panic,
    Error,
    Memory,
    Stall,
    Kill,
}

static DRILL: OnceLock<Drill> = OnceLock::new();

impl Drill {
    /// Reads `CROSSRX_DRILL`, if it is set: `panic`, `error`, `memory`, `stall` or `kill`,
    /// then `:RANK:STEP`, and `:TASK` for the rank's task of that number alone.
    pub fn prepare() -> Result<()> {
        let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
        let drill = text.to_str().unwrap_or("not text").parse().map_err(Error::Request)?;
        let _ = DRILL.set(drill);
        Ok(())
    }

    /// Fails as told, if this is the step; `step` counts from one.
    #[inline]
    pub(super) fn at_step(step: u64) -> Result<()> {
        match DRILL.get() {
            Some(drill) if drill.is_due(status::rank(), step, status::tasks()) => drill.fail(),
            _ => Ok(()),
        }
    }

    fn is_due(&self, rank: usize, step: u64, task: u32) -> bool {
        self.rank == rank && self.step == step && self.task.is_none_or(|wanted| wanted == task)
    }

    #[cold]
    fn fail(&self) -> Result<()> {
        log::warn!("{VARIABLE}: {:?}", self.fault);
        match self.fault {
            Fault::Panic => panic!("{VARIABLE} asks for it"),
            Fault::Error => Err(Error::Training(format!("{VARIABLE} asks for an error"))),
            Fault::Memory => {
                // More than any address space has.
                std::hint::black_box(Vec::<u8>::with_capacity(1 << 60));
                Err(Error::Training(format!("{VARIABLE}: the system has given an exbibyte")))
            }
            Fault::Stall => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            Fault::Kill => {
                let own = rustix::process::getpid();
                let sent = rustix::process::kill_process(own, rustix::process::Signal::KILL);
                Err(Error::Training(format!("{VARIABLE}: still alive: {sent:?}")))
            }
        }
    }
}

impl FromStr for Drill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{VARIABLE}: '{text}' is not panic, error, memory, stall or kill with :RANK:STEP or :RANK:STEP:TASK"
            )
        };
        let mut parts = text.split(':');
        let fault = match parts.next() {
            Some("panic") => Fault::Panic,
            Some("error") => Fault::Error,
            Some("memory") => Fault::Memory,
            Some("stall") => Fault::Stall,
            Some("kill") => Fault::Kill,
            _ => return Err(wrong()),
        };
        let rank = parts.next().and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        let step = parts.next().and_then(|n| n.parse().ok()).filter(|&n| n > 0).ok_or_else(wrong)?;
        let task = match parts.next() {
            None => None,
            Some(n) => Some(n.parse().ok().filter(|&n| n > 0).ok_or_else(wrong)?),
        };
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { fault, rank, step, task })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_due_on_its_rank_at_its_step() {
        let drill: Drill = "kill:2:17".parse().unwrap();
        assert_eq!(drill, Drill { fault: Fault::Kill, rank: 2, step: 17, task: None });
        assert!(drill.is_due(2, 17, 1) && drill.is_due(2, 17, 5));
        assert!(!drill.is_due(1, 17, 1) && !drill.is_due(2, 16, 1));
        let second: Drill = "stall:0:1:2".parse().unwrap();
        assert!(second.is_due(0, 1, 2) && !second.is_due(0, 1, 1));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            "",
            "kill",
            "kill:1",
            "kill:1:0",
            "kill:-1:2",
            "kill:1:2:0",
            "kill:1:2:3:4",
            "burn:1:2",
            "error:1:x",
        ] {
            let message = text.parse::<Drill>().unwrap_err();
            assert!(message.contains(&format!("'{text}'")) && message.contains(VARIABLE), "{message}");
        }
    }

    #[test]
    fn a_drill_of_an_error_is_an_error() {
        let drill: Drill = "error:0:1".parse().unwrap();
        assert!(drill.fail().unwrap_err().to_string().contains(VARIABLE));
    }
}
