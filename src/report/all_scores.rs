use super::models::Models;
use crate::metric::Metric;
use crate::{Result, atomic};
use std::path::Path;

/// Writes `all_scores.csv`: one row a metric, split, source and target of every
/// model (`met,split,value,src,trg,model`), in the order of the IMPROVE
/// post-processing: by source and target, then metric, then split. Scores that
/// are not defined have no row.
pub fn write(path: &Path, models: &Models) -> Result<()> {
    atomic::write_file(path, |out| {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(["met", "split", "value", "src", "trg", "model"])?;
        for model in &models.all {
            let run = model.run;
            for &(s, t) in run.cells.keys() {
                for metric in Metric::ALL {
                    for (split, value) in run.values(metric, s, t) {
                        let (split, value) = (split.to_string(), value.to_string());
                        let (source, target) = (&run.sources[s], &run.targets[t]);
                        table.write_record([metric.name(), &split, &value, source, target, &model.label])?;
                    }
                }
            }
        }
        table.flush()
    })
}
