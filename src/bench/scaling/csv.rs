use super::ScalingReport;
use crate::{Error, Result, atomic};
use std::path::Path;

/// Writes one row a number of ranks, rank and phase:
/// `mode,ranks,rank,host,threads,phase,per,seconds`, the seconds being those of one training, step
/// or epoch, as `per` says.
pub(super) fn write(path: &Path, report: &ScalingReport) -> Result<()> {
    let fault = |e: csv::Error| Error::run(path, format!("cannot be written: {e}"));
    let mut table = csv::Writer::from_writer(Vec::new());
    let header = ["mode", "ranks", "rank", "host", "threads", "phase", "per", "seconds"];
    table.write_record(header).map_err(fault)?;
    for of in &report.measured {
        for rank in &of.phases {
            for &(phase, seconds) in &rank.seconds {
                let numbers = [of.ranks, rank.rank, rank.threads].map(|number| number.to_string());
                let [ranks, number, threads] = &numbers;
                let seconds = format!("{seconds:.9}");
                let row = [
                    report.mode.name(),
                    ranks,
                    number,
                    &rank.host,
                    threads,
                    phase.name(),
                    phase.per(),
                    &seconds,
                ];
                table.write_record(row).map_err(fault)?;
            }
        }
    }
    let bytes = table.into_inner().map_err(|e| Error::run(path, format!("cannot be written: {e}")))?;
    atomic::write_file(path, |out| out.write_all(&bytes))
}
