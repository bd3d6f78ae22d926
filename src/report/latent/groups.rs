use super::marks::Mark;

/// Rows of one name that are drawn alike.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group<'a> {
    /// Name of the class or study; empty for rows without one.
    pub name: &'a str,
    /// Rows of it.
    pub rows: u64,
    /// How it is drawn; `None` for those too many to tell apart.
    pub mark: Option<Mark>,
}

/// Groups from their names and numbers of rows, in the same order; the largest
/// have the marks that are easiest to see.
pub(super) fn groups<'a>(named: impl Iterator<Item = (&'a str, u64)>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = named.map(|(name, rows)| Group { name, rows, mark: None }).collect();
    for (rank, place) in by_size(&groups).into_iter().enumerate() {
        groups[place].mark = Mark::of(rank);
    }
    groups
}

/// Places of `groups`, the largest first, the earlier of two equals first.
pub(super) fn by_size(groups: &[Group]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..groups.len()).collect();
    places.sort_by_key(|&place| std::cmp::Reverse(groups[place].rows));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_group_has_the_first_mark() {
        let groups = groups([("a", 3), ("b", 9), ("c", 3)].into_iter());
        assert_eq!(by_size(&groups), [1, 0, 2]);
        assert_eq!(groups.iter().map(|g| g.mark).collect::<Vec<_>>(), [1, 0, 2].map(Mark::of));
    }
}
