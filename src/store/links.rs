//! Links that lead out of a store's own tree.

use super::fault::fault;
use crate::Result;
use hdf5::{Group, IndexType, IterationOrder, LinkType, LocationType};
use std::path::Path;

/// Groups below the root, `/datasets/<name>/label/<label>/code` being the deepest path.
const DEEPEST: usize = 5;
/// A store with more links is refused; it bounds the walk through a hostile file.
const MOST_LINKS: usize = 1 << 22;

/// Refuses a file in which any link, as deep as the layout goes, is soft or
/// external: such a link may name another file, or nothing.
pub(super) fn only_hard(root: &Group, path: &Path) -> Result<()> {
    let mut left = MOST_LINKS;
    walk(root, "", DEEPEST, &mut left, path)
}

fn walk(group: &Group, place: &str, depth: usize, left: &mut usize, path: &Path) -> Result<()> {
    let shown = if place.is_empty() { "/" } else { place };
    let links = group.links(IndexType::Name, IterationOrder::Increasing);
    for (name, link) in links.map_err(|e| fault(path, shown, e))? {
        let inner = format!("{place}/{name}");
        if link.link_type != LinkType::Hard {
            return Err(fault(path, inner, "is a soft or external link; a store has hard links alone"));
        }
        *left = left.checked_sub(1).ok_or_else(|| fault(path, shown, "has too many links"))?;
        let kind = group.loc_info_by_name(&name).map_err(|e| fault(path, &inner, e))?.loc_type;
        if kind == LocationType::Group && depth > 1 {
            let below = group.group(&name).map_err(|e| fault(path, &inner, e))?;
            walk(&below, &inner, depth - 1, left, path)?;
        }
    }
    Ok(())
}
