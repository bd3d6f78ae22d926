/// The made-up corpora on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Preset {
    /// Four small overlapping studies with one `auc` a pair, to try everything in a minute.
    Demo,
    /// The size of the dose-level CCLE screen: 24 drugs, 474 samples, 84,098 points.
    Ccle,
    /// The size of the dose-level CTRP screen: 370 drugs, 812 samples, 3,822,792 points.
    Ctrp,
    /// The size of the dose-level GDSC screen: 247 drugs, 670 samples, 1,140,574 points.
    Gdsc,
    /// The size of the NCI-60 screen: 52,641 drugs, 59 samples, 18,590,413 points.
    Nci60,
}

/// What a preset asks for.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Distinct drugs of all studies.
    pub drugs: usize,
    /// Distinct samples of all studies.
    pub samples: usize,
    /// Columns of the drug feature table.
    pub drug_columns: usize,
    /// Columns of the sample feature table.
    pub sample_columns: usize,
    /// Doses of every curve, log10 molar ascending; none where a pair is a whole curve.
    pub doses: Vec<f32>,
    /// Name and units of the endpoint.
    pub endpoint: (&'static str, &'static str),
    /// Stored splits of each study.
    pub splits: u32,
    /// The studies, in the order written.
    pub studies: Vec<Study>,
}

/// One study: what it screened, and how it measures.
#[derive(Debug, Clone)]
pub(super) struct Study {
    pub name: &'static str,
    pub drugs: usize,
    pub samples: usize,
    /// Points measured, exactly.
    pub pairs: usize,
    /// A measurement is `offset + scale * truth + noise * z`, z standard normal.
    pub offset: f64,
    pub scale: f64,
    pub noise: f64,
}

impl Preset {
    pub(super) fn plan(self) -> Plan {
        // Counts are those of the published screens; dose ladders are close to theirs.
        match self {
            Preset::Demo => demo(),
            Preset::Ccle => screen("CCLE", [24, 474, 84_098], ladder(-8.6, 0.5, 8)),
            Preset::Ctrp => screen("CTRP", [370, 812, 3_822_792], ladder(-8.7, 0.301, 16)),
            Preset::Gdsc => screen("GDSC", [247, 670, 1_140_574], ladder(-7.4, 0.301, 9)),
            Preset::Nci60 => screen("NCI60", [52_641, 59, 18_590_413], ladder(-9.0, 1.0, 6)),
        }
    }
}

fn demo() -> Plan {
    let study = |name, [drugs, samples, pairs]: [usize; 3], [offset, scale, noise]: [f64; 3]| Study {
        name,
        drugs,
        samples,
        pairs,
        offset,
        scale,
        noise,
    };
    Plan {
        drugs: 220,
        samples: 220,
        drug_columns: 64,
        sample_columns: 96,
        doses: Vec::new(),
        endpoint: ("auc", "fraction"),
        splits: 3,
        studies: vec![
            study("Alpha", [120, 150, 14_200], [0.00, 1.00, 0.048]),
            study("Beta", [170, 160, 20_400], [0.05, 0.92, 0.050]),
            study("Gamma", [140, 130, 13_100], [0.04, 0.85, 0.052]),
            study("Delta", [100, 110, 9_300], [0.16, 0.80, 0.042]),
        ],
    }
}

fn screen(name: &'static str, [drugs, samples, pairs]: [usize; 3], doses: Vec<f32>) -> Plan {
    Plan {
        drugs,
        samples,
        drug_columns: 3_820,
        sample_columns: 942,
        doses,
        endpoint: ("growth", "fraction of untreated"),
        splits: 0,
        studies: vec![Study { name, drugs, samples, pairs, offset: 0.02, scale: 0.96, noise: 0.1 }],
    }
}

fn ladder(lowest: f32, step: f32, count: u8) -> Vec<f32> {
    (0..count).map(|i| lowest + step * f32::from(i)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_study_fits_the_grid_that_it_is_drawn_from() {
        for preset in Preset::value_variants() {
            let plan = preset.plan();
            for study in &plan.studies {
                assert!(study.drugs <= plan.drugs && study.samples <= plan.samples);
                assert!(study.pairs <= study.drugs * study.samples * plan.doses.len().max(1), "{preset:?}");
            }
        }
    }
}
