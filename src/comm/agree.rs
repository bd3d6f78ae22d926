use super::Communicator;
use crate::status;
use crate::{Error, Result};

/// Holds ranks together over a step that may fail: if it failed anywhere, the
/// lowest rank on which it did says why, once, and every rank gets an error.
pub fn agree<T>(comm: &dyn Communicator, result: Result<T>) -> Result<T> {
    let failed = comm.all_gather(&[u8::from(result.is_err())]);
    let Some(first) = failed.iter().position(|flag| flag[0] != 0) else { return result };
    match &result {
        // What has been told is not told again.
        Err(Error::Told) | Ok(_) => {}
        Err(error) if first == comm.rank() && status::has_task() => {
            log::error!(target: status::PLACED, "{}", status::placed(&error.to_string()));
        }
        Err(error) if first == comm.rank() => log::error!("{error}"),
        Err(_) => {}
    }
    comm.barrier();
    Err(Error::Told)
}

/// Whether `flag` holds on any rank, the same on all of them.
pub fn any(comm: &dyn Communicator, flag: bool) -> bool {
    comm.all_gather(&[u8::from(flag)]).iter().any(|flag| flag[0] != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Serial;

    #[test]
    fn a_failure_anywhere_is_one_everywhere() {
        let results = crate::comm::threads::on_ranks(3, |comm| {
            let own = if comm.rank() == 1 { Err(Error::Request("no".into())) } else { Ok(()) };
            agree(comm, own).is_err()
        });
        assert_eq!(results, [true; 3]);
    }

    #[test]
    fn alone_a_failure_is_told_too() {
        assert_eq!(agree(&Serial, Ok(3)).unwrap(), 3);
        assert!(matches!(agree::<()>(&Serial, Err(Error::Request("no".into()))), Err(Error::Told)));
    }
}
