use super::TrainSpec;
use serde::{Deserialize, Serialize};

/// How the learning rate falls after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// It does not.
    Constant,
    /// In a straight line.
    Linear,
    /// Along half a cosine (Loshchilov and Hutter 2017, without restarts).
    #[default]
    Cosine,
}

/// The learning rate of step `step` of a training of `steps` steps an epoch.
pub fn learning_rate(spec: &TrainSpec, step: u64, steps: usize) -> f64 {
    let at = (step as f64 + 1.0) / steps as f64;
    if at < spec.warmup_epochs {
        return spec.learning_rate * at / spec.warmup_epochs;
    }
    let rest = (spec.epochs as f64 - spec.warmup_epochs).max(1e-9);
    let done = ((at - spec.warmup_epochs) / rest).clamp(0.0, 1.0);
    let height = match spec.decay {
        Decay::Constant => 1.0,
        Decay::Linear => 1.0 - done,
        Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
    };
    let floor = if spec.decay == Decay::Constant { 0.0 } else { spec.final_learning_rate };
    spec.learning_rate * (floor + (1.0 - floor) * height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_to_the_top_and_falls_to_the_floor() {
        for decay in [Decay::Linear, Decay::Cosine] {
            let spec = TrainSpec {
                epochs: 10,
                warmup_epochs: 2.0,
                learning_rate: 0.5,
                final_learning_rate: 0.1,
                decay,
                ..TrainSpec::default()
            };
            let rates: Vec<f64> = (0..100).map(|step| learning_rate(&spec, step, 10)).collect();
            assert!(rates[..20].windows(2).all(|w| w[0] < w[1]) && (rates[19] - 0.5).abs() < 1e-12);
            assert!(rates[19..].windows(2).all(|w| w[0] > w[1]) && (rates[99] - 0.05).abs() < 1e-12);
        }
    }
}
