use super::Pretraining;
use crate::report::html::{bars, deck, facts};

/// Command, machine time, versions and deck.
pub(super) fn section(of: &Pretraining) -> String {
    let mut out = facts(&of.dir, &of.info, None);
    if !of.quality.seconds.is_empty() {
        let parts = of.quality.seconds.iter().map(|(name, seconds)| (name.as_str(), *seconds));
        out.push_str(&format!("<h4>Time by part</h4>{}", bars(parts.collect())));
    }
    out.push_str(&of.deck.as_deref().map(deck).unwrap_or_default());
    out
}
