//! Owners as a container sees them, and as the host does (user_namespaces(7), "Defining user and group ID mappings"). Pure.

/// One line of a mapping: first id inside, first id outside, how many.
type Range = (u32, u32, u32);

/// How a container's users and groups are mapped to the host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    /// `None`: inside and outside are the same.
    users: Option<Vec<Range>>,
    groups: Option<Vec<Range>>,
}

impl Ids {
    /// From the text of `uid_map` and `gid_map` of a process.
    pub(crate) fn parse(users: &str, groups: &str) -> Self {
        Self { users: parse(users), groups: parse(groups) }
    }

    /// User and group inside; what is mapped to nothing stays what it is.
    pub(crate) fn inside(&self, user: u32, group: u32) -> (u32, u32) {
        let find = |map: &Option<Vec<Range>>, id: u32| {
            let ranges = map.as_deref().unwrap_or_default();
            let range = ranges
                .iter()
                .find(|(_, outside, count)| id.wrapping_sub(*outside) < *count && id >= *outside);
            range.map_or(id, |(inside, outside, _)| inside + (id - outside))
        };
        (find(&self.users, user), find(&self.groups, group))
    }

    /// User and group outside; `None` if one of them is no 32-bit number, or mapped to nothing.
    pub(crate) fn outside(&self, user: u64, group: u64) -> Option<(u32, u32)> {
        let find = |map: &Option<Vec<Range>>, id: u64| {
            // All ones means "leave as it is" to chown(2), so it is no owner.
            let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX)?;
            let Some(ranges) = map else { return Some(id) };
            let range = ranges.iter().find(|(inside, _, count)| id >= *inside && id - inside < *count);
            range.map(|(inside, outside, _)| outside + (id - inside))
        };
        Some((find(&self.users, user)?, find(&self.groups, group)?))
    }
}

fn parse(text: &str) -> Option<Vec<Range>> {
    let ranges: Vec<Range> = text
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse::<u32>);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count))) => Some((inside, outside, count)),
                _ => None,
            }
        })
        .collect();
    (ranges != [(0, 0, u32::MAX)]).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_ids_are_the_same_inside() {
        let same = "         0          0 4294967295\n";
        let ids = Ids::parse(same, same);
        assert_eq!(ids, Ids::default());
        assert_eq!(ids.inside(7, 70_000), (7, 70_000));
        assert_eq!(ids.outside(7, 4_294_967_294), Some((7, 4_294_967_294)));
        assert_eq!(ids.outside(7, 4_294_967_295), None);
    }

    #[test]
    fn mapped_ids_go_both_ways() {
        let ids = Ids::parse("0 100000 65536\n", "0 200000 1000\n1000 5000 1\n");
        assert_eq!(ids.inside(100_000, 200_999), (0, 999));
        assert_eq!(ids.inside(165_535, 5000), (65_535, 1000));
        assert_eq!(ids.inside(0, 165_536), (0, 165_536));
        assert_eq!(ids.outside(65_535, 1000), Some((165_535, 5000)));
        assert_eq!(ids.outside(65_536, 0), None);
    }
}
