use super::{Baseline, Fit};
use crate::store::Pairs;
use std::collections::HashMap;

/// The naive predictor of a response: drug mean + sample mean - mean, all over the training rows. A
/// drug or sample that those lack has no effect of its own. Where pairs carry a dose, the drug's mean
/// is taken at that dose; a dose at which the drug was not measured takes the drug's nearest measured
/// dose in log10 molar, the lower of two equally near. Drug-response networks often fail to beat this
/// predictor on random splits; it is the "naive mean effects" model of DrEval (Bernett et al. 2025).
#[derive(Debug, Clone, PartialEq)]
pub struct MeanEffects {
    mean: f64,
    /// A drug's mean less `mean` at each of its doses, doses ascending; one entry without dose.
    drug: Vec<Vec<(f32, f64)>>,
    /// A sample's mean less `mean`, or 0.
    sample: Vec<f64>,
}

/// A sum of values and how many they are.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    sum: f64,
    count: u64,
}

impl Total {
    fn add(&mut self, value: f32) {
        self.sum += f64::from(value);
        self.count += 1;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// Takes in training pairs, and holds no more of them than a sum an effect.
#[derive(Debug, Default)]
pub struct MeanEffectsFit {
    all: Total,
    /// By drug and the bits of the dose.
    drug: HashMap<(u32, u32), Total>,
    sample: Vec<Total>,
}

impl Fit for MeanEffectsFit {
    fn add(&mut self, pairs: &Pairs) {
        for (i, &value) in pairs.value.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            // Adding zero makes one dose of 0 and -0.
            let dose = pairs.dose.get(i).map_or(0.0, |dose| dose + 0.0);
            let sample = pairs.sample[i] as usize;
            if self.sample.len() <= sample {
                self.sample.resize(sample + 1, Total::default());
            }
            self.all.add(value);
            self.drug.entry((pairs.drug[i], dose.to_bits())).or_default().add(value);
            self.sample[sample].add(value);
        }
    }

    fn finish(self: Box<Self>) -> Box<dyn Baseline> {
        Box::new(self.effects())
    }
}

impl MeanEffectsFit {
    fn effects(self) -> MeanEffects {
        let mean = self.all.mean();
        let effect = |total: &Total| total.mean() - mean;
        let mut drug: Vec<Vec<(f32, f64)>> = Vec::new();
        for ((entity, dose), total) in &self.drug {
            let entity = *entity as usize;
            if drug.len() <= entity {
                drug.resize(entity + 1, Vec::new());
            }
            drug[entity].push((f32::from_bits(*dose), effect(total)));
        }
        drug.iter_mut().for_each(|doses| doses.sort_unstable_by(|a, b| a.0.total_cmp(&b.0)));
        let sample = self.sample.iter().map(|total| if total.count == 0 { 0.0 } else { effect(total) });
        MeanEffects { mean, drug, sample: sample.collect() }
    }
}

impl MeanEffects {
    /// Takes the means over `pairs`, leaving out those whose value is NaN. Sums are f64 and in row
    /// order, so the same rows give the same bits. Without a measured pair every prediction is NaN.
    pub fn fit(pairs: &Pairs) -> MeanEffects {
        let mut fit = MeanEffectsFit::default();
        fit.add(pairs);
        fit.effects()
    }
}

impl Baseline for MeanEffects {
    fn predict(&self, pairs: &Pairs) -> Vec<f32> {
        (0..pairs.len())
            .map(|i| {
                let doses = self.drug.get(pairs.drug[i] as usize).map_or(&[][..], Vec::as_slice);
                let drug = at_nearest_dose(doses, pairs.dose.get(i).copied().unwrap_or(0.0));
                let sample = self.sample.get(pairs.sample[i] as usize).copied().unwrap_or(0.0);
                (self.mean + drug + sample) as f32
            })
            .collect()
    }
}

fn at_nearest_dose(doses: &[(f32, f64)], dose: f32) -> f64 {
    let above = doses.partition_point(|&(d, _)| d < dose);
    match (above.checked_sub(1).map(|below| doses[below]), doses.get(above)) {
        (Some((low, effect)), Some(&(high, _))) if dose - low <= high - dose => effect,
        (_, Some(&(_, effect))) | (Some((_, effect)), None) => effect,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(rows: &[(u32, u32, f32)]) -> Pairs {
        Pairs {
            drug: rows.iter().map(|r| r.0).collect(),
            sample: rows.iter().map(|r| r.1).collect(),
            dose: Vec::new(),
            value: rows.iter().map(|r| r.2).collect(),
        }
    }

    #[test]
    fn adds_effects_and_leaves_the_unknown_at_the_mean() {
        let fitted =
            MeanEffects::fit(&pairs(&[(0, 0, 1.0), (0, 2, 3.0), (3, 0, 5.0), (3, 2, 7.0), (3, 1, f32::NAN)]));
        // Mean 4, drug effects -2 and +2, sample effects -1 and +1; drug 9 and sample 1 are unknown.
        let asked = pairs(&[(0, 0, 0.0), (3, 2, 0.0), (9, 2, 0.0), (0, 1, 0.0), (1, 9, 0.0)]);
        assert_eq!(fitted.predict(&asked), [1.0, 7.0, 5.0, 2.0, 4.0]);
    }

    #[test]
    fn a_dose_not_measured_takes_the_nearest_of_its_drug() {
        let mut rows = pairs(&[(0, 0, 0.0), (0, 0, 2.0), (1, 0, 4.0)]);
        rows.dose = vec![-8.0, -6.0, -7.0];
        let fitted = MeanEffects::fit(&rows);
        let mut asked = pairs(&[(0, 0, 0.0); 6]);
        asked.drug = vec![0, 0, 0, 0, 1, 2];
        asked.dose = vec![-9.0, -7.0, -6.9, 0.0, -3.0, -7.0];
        // Mean 2, the sample's effect 0.
        assert_eq!(fitted.predict(&asked), [0.0, 0.0, 2.0, 2.0, 4.0, 2.0]);
    }

    #[test]
    fn nothing_measured_predicts_nan() {
        let fitted = MeanEffects::fit(&pairs(&[(0, 0, f32::NAN)]));
        assert!(fitted.predict(&pairs(&[(0, 0, 0.0)]))[0].is_nan());
    }

    /// The figures are those of a pandas group-by of the same rows, averaged over ten splits.
    #[test]
    fn reproduces_the_known_scores_of_four_real_screens() {
        use crate::metric::Scores;
        let shared = std::env::var_os("CROSSRX_SHARED_DATA").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
            std::path::PathBuf::from,
        );
        let raw = shared.join("improve/raw_data");
        let Ok(mut table) =
            csv::ReaderBuilder::new().delimiter(b'\t').from_path(raw.join("y_data/response.tsv"))
        else {
            // Not println, which a passing test shows to nobody.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("skipped: {} is not there\n", raw.display()),
            );
            return;
        };
        let mut all = Pairs::default();
        let mut numbers = std::collections::HashMap::new();
        let mut number = |id: &str| {
            let next = numbers.len() as u32;
            *numbers.entry(id.to_string()).or_insert(next)
        };
        for record in table.records() {
            let record = record.unwrap();
            all.sample.push(number(&record[1]));
            all.drug.push(number(&record[2]));
            all.value.push(record[4].parse().unwrap());
        }
        let rows = |file: String| -> Vec<u32> {
            let text = std::fs::read_to_string(raw.join("splits").join(file)).unwrap();
            text.lines().map(|l| l.parse().unwrap()).collect()
        };
        let screens = ["CCLE", "CTRPv2", "GDSCv1", "gCSI"];
        // Sources by targets.
        let known = [
            [0.762, -0.020, -0.030, -0.039],
            [0.405, 0.677, 0.028, -0.060],
            [0.198, -0.123, 0.573, -0.047],
            [0.092, -0.164, -0.141, 0.572],
        ];
        let whole = screens.map(|s| all.select(&rows(format!("{s}_all.txt"))));
        for (source, known) in screens.iter().zip(known) {
            let mut mean = [0.0; 4];
            for k in 0..10 {
                let fitted = MeanEffects::fit(&all.select(&rows(format!("{source}_split_{k}_train.txt"))));
                let test = all.select(&rows(format!("{source}_split_{k}_test.txt")));
                for (target, mean) in mean.iter_mut().enumerate() {
                    let asked = if screens[target] == *source { &test } else { &whole[target] };
                    *mean += Scores::of(&asked.value, &fitted.predict(asked)).r2 / 10.0;
                }
            }
            for (got, want) in mean.iter().zip(known) {
                assert!((got - want).abs() < 6e-4, "{source}: {mean:?} is not {known:?}");
            }
        }
    }
}
