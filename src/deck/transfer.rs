use serde::{Deserialize, Serialize};

/// The `[transfer]` section: how far a source is trusted on another dataset.
///
/// Studies agree in part only, on the very same drugs and cell lines (Haibe-Kains et al. 2013), so that a
/// prediction which is best for the source is too bold for another study. A prediction of another dataset's pair
/// keeps this part of its distance from the mean of the source's training pairs, as the conditional mean of one
/// of two correlated measurements does; the mean is what a model says that knows nothing. Pairs of the
/// source itself are left as they are, and no response of the target is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransferSpec {
    /// Of pairs whose drug training has shown, from 0 to 1.
    pub seen_drugs: f64,
    /// Of pairs whose drug it has not.
    pub unseen_drugs: f64,
}

impl Default for TransferSpec {
    fn default() -> Self {
        Self { seen_drugs: 1.0, unseen_drugs: 1.0 }
    }
}

impl TransferSpec {
    /// Whether predictions stay as they are.
    pub fn keeps_all(&self) -> bool {
        *self == Self::default()
    }

    /// The first key whose value cannot be used, with what is wrong.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let keys = [("seen_drugs", self.seen_drugs), ("unseen_drugs", self.unseen_drugs)];
        let bad = keys.into_iter().find(|(_, part)| !(0.0..=1.0).contains(part));
        bad.map(|(key, _)| (key, "must be from 0 to 1".into()))
    }
}
