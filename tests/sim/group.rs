//! A consumer group: members, generations, cooperative rebalances, committed offsets.
//!
//! A rebalance is over when every member that answers has joined it; then all of them have the new generation at
//! once, as clients join in the background. What goes from one member to another is given to nobody until the one has
//! let go of it, which begins the next rebalance (KIP-429).

use std::collections::{BTreeMap, BTreeSet};

use consentry::source::Place;

/// A member as the coordinator knows it.
#[derive(Debug, Default)]
pub struct Joined {
    pub process: usize,
    pub generation: u32,
    /// What is its own, whether it has taken it up yet or not.
    pub owned: BTreeSet<Place>,
    /// What of that it is to let go of.
    pub leaving: BTreeSet<Place>,
}

#[derive(Default)]
pub struct Group {
    pub members: BTreeMap<u64, Joined>,
    pub generation: u32,
    /// A rebalance has begun.
    pub preparing: bool,
    /// The committed offsets, with what was written beside them.
    pub committed: BTreeMap<Place, (i64, String)>,
    /// Offsets of transactions that have not ended here yet.
    pub pending: BTreeMap<u64, Vec<(Place, i64, String)>>,
}

impl Group {
    /// Whether offsets of any of these may still be committed by a transaction that has not ended.
    pub fn is_unstable<'p>(&self, places: impl IntoIterator<Item = &'p Place>) -> bool {
        let open: BTreeSet<&Place> = self.pending.values().flatten().map(|(place, _, _)| place).collect();
        places.into_iter().any(|place| open.contains(place))
    }

    /// Whether offsets from a member of this generation are taken.
    pub fn takes(&self, member: u64, generation: u32) -> bool {
        generation == self.generation && self.members.contains_key(&member)
    }

    /// A transaction's offsets have ended.
    pub fn end(&mut self, of: u64, committed: bool) {
        for (place, at, mark) in self.pending.remove(&of).unwrap_or_default() {
            if committed {
                self.committed.insert(place, (at, mark));
            }
        }
    }

    /// Everybody who answers has joined: a new generation, in which each keeps what it can.
    pub fn settle(&mut self, places: &BTreeSet<Place>) {
        self.preparing = false;
        self.generation += 1;
        if self.members.is_empty() {
            return;
        }
        let (count, all) = (self.members.len(), places.len());
        let share = |number: usize| all / count + usize::from(number < all % count);
        let mut free = places.clone();
        for (number, member) in self.members.values_mut().enumerate() {
            member.generation = self.generation;
            let kept: BTreeSet<Place> = member
                .owned
                .iter()
                .filter(|place| places.contains(*place))
                .take(share(number))
                .cloned()
                .collect();
            member.leaving = member.owned.difference(&kept).cloned().collect();
            free.retain(|place| !member.owned.contains(place));
        }
        let mut free = free.into_iter();
        for (number, member) in self.members.values_mut().enumerate() {
            let missing = share(number).saturating_sub(member.owned.len() - member.leaving.len());
            member.owned.extend(free.by_ref().take(missing));
        }
    }

    /// What a member has let go of. True: somebody else may take it now.
    pub fn let_go(&mut self, member: u64) -> bool {
        let Some(member) = self.members.get_mut(&member) else { return false };
        let gone = std::mem::take(&mut member.leaving);
        member.owned.retain(|place| !gone.contains(place));
        !gone.is_empty()
    }
}

#[cfg(test)]
fn place(partition: i32) -> Place {
    ("t".to_owned(), partition)
}

#[test]
fn nobody_has_what_another_has_not_let_go_of() {
    let mut group = Group::default();
    let places: BTreeSet<Place> = (0..3).map(place).collect();
    group.members.insert(1, Joined::default());
    group.settle(&places);
    assert_eq!((group.members[&1].owned.len(), group.takes(1, 1)), (3, true));
    group.members.insert(2, Joined::default());
    group.settle(&places);
    assert!(group.members[&2].owned.is_empty() && !group.takes(1, 1));
    assert_eq!(group.members[&1].leaving, BTreeSet::from([place(2)]));
    assert!(group.let_go(1));
    group.settle(&places);
    assert_eq!(group.members[&2].owned, BTreeSet::from([place(2)]));
    assert!(!group.let_go(1) && !group.takes(3, 3));
    group.members.remove(&1);
    group.settle(&places);
    assert_eq!(group.members[&2].owned, places);
}

#[test]
fn offsets_of_an_open_transaction_are_not_stable() {
    let mut group = Group::default();
    group.pending.insert(9, vec![(place(0), 5, "m".to_owned())]);
    assert!(group.is_unstable([&place(0)]) && !group.is_unstable([&place(1)]));
    group.end(9, true);
    assert_eq!(group.committed[&place(0)], (5, "m".to_owned()));
    group.pending.insert(10, vec![(place(0), 6, String::new())]);
    group.end(10, false);
    assert_eq!(group.committed[&place(0)].0, 5);
}
