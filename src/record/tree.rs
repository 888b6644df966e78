//! Every path a pipeline reads or labels, as one tree, so that a value is walked once for all of them.

use smallvec::SmallVec;

use super::path::{Path, Segment};

/// The number of a place in the tree.
pub type NodeId = usize;

/// The places a value stands at: one by name, and one more for each `*` that covers it.
pub type Places = SmallVec<[NodeId; 4]>;

/// A tree of paths. Place 0 is the whole value.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Where the array stands whose elements are people.
    elements: Option<NodeId>,
}

/// See [`Tree::lengths`].
#[derive(Clone, Copy, Debug)]
pub struct Lengths(u64);

impl Lengths {
    /// Whether a path may go on at the member with this name.
    #[inline]
    pub const fn has(self, name: &str) -> bool {
        self.0 & bit(name) != 0
    }
}

/// The bit of a name's length.
const fn bit(name: &str) -> u64 {
    1 << (name.len() % 64)
}

#[derive(Clone, Debug, Default)]
struct Node {
    names: Vec<(String, NodeId)>,
    /// The length of each name.
    lengths: u64,
    every: Option<NodeId>,
    slot: Option<usize>,
    labels: Vec<usize>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], elements: None }
    }
}

impl Tree {
    /// What stands at `path` is read into the slot returned: `fresh`, or the one it has already.
    pub fn read(&mut self, path: &Path, fresh: usize) -> usize {
        let at = self.grow(path);
        self.nodes.get_mut(at).map_or(fresh, |node| *node.slot.get_or_insert(fresh))
    }

    /// What stands at `path` bears this label.
    pub fn label(&mut self, path: &Path, label: usize) {
        let at = self.grow(path);
        if let Some(node) = self.nodes.get_mut(at) {
            node.labels.push(label);
        }
    }

    /// The array at `path`, to which no other path leads, holds a person an element.
    pub fn mark_elements(&mut self, path: &Path) {
        self.elements = Some(self.grow(path));
    }

    /// Whether these are the places of the array that is marked.
    pub fn is_elements(&self, places: &[NodeId]) -> bool {
        self.elements.is_some_and(|array| places.contains(&array))
    }

    /// The places of any element of the array that is marked.
    pub fn each_element(&self) -> Places {
        self.elements.map_or_else(Places::new, |array| self.element(&[array], 0))
    }

    /// The whole value's places.
    pub fn root(&self) -> Places {
        SmallVec::from_slice(&[0])
    }

    /// Whether any path passes through or ends at these places.
    pub fn concerns(&self, places: &[NodeId]) -> bool {
        let ends = |node: &Node| node.slot.is_some() || !node.labels.is_empty();
        self.goes_on(places) || self.at(places).any(ends)
    }

    /// Whether something below these places is read or labelled.
    pub fn goes_on(&self, places: &[NodeId]) -> bool {
        self.at(places).any(|node| !node.names.is_empty() || node.every.is_some())
    }

    /// The slots that what stands here is read into.
    pub fn slots<'a>(&'a self, places: &'a [NodeId]) -> impl Iterator<Item = usize> + 'a {
        self.at(places).filter_map(|node| node.slot)
    }

    /// The labels that what stands here bears, in the order they were given.
    pub fn labels(&self, places: &[NodeId]) -> SmallVec<[usize; 4]> {
        let mut labels: SmallVec<[usize; 4]> =
            self.at(places).flat_map(|node| node.labels.iter().copied()).collect();
        labels.sort_unstable();
        labels
    }

    /// The lengths of the names that lead on from these places, a bit each: most members are told apart by it.
    pub fn lengths(&self, places: &[NodeId]) -> Lengths {
        let of = |node: &Node| if node.every.is_some() { u64::MAX } else { node.lengths };
        Lengths(self.at(places).fold(0, |all, node| all | of(node)))
    }

    /// The places of the member with this name, already unescaped.
    pub fn member(&self, places: &[NodeId], name: &str) -> Places {
        self.step(places, |own| own == name)
    }

    /// The places of the element with this index.
    pub fn element(&self, places: &[NodeId], index: usize) -> Places {
        self.step(places, |own| is_index(own, index))
    }

    fn step(&self, places: &[NodeId], is: impl Fn(&str) -> bool) -> Places {
        let mut below = Places::new();
        for node in self.at(places) {
            // A name stands once in a node.
            if let Some((_, at)) = node.names.iter().find(|(name, _)| is(name)) {
                below.push(*at);
            }
            if let Some(every) = node.every {
                below.push(every);
            }
        }
        below
    }

    fn at<'a>(&'a self, places: &'a [NodeId]) -> impl Iterator<Item = &'a Node> + 'a {
        places.iter().filter_map(|at| self.nodes.get(*at))
    }

    /// The place at `path`, made where it is missing.
    fn grow(&mut self, path: &Path) -> NodeId {
        path.segments().iter().fold(0, |at, segment| {
            let fresh = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return at };
            let found = match segment {
                Segment::Every => node.every,
                Segment::Name(name) => node.names.iter().find(|(own, _)| own == name).map(|(_, at)| *at),
            };
            if let Some(found) = found {
                return found;
            }
            match segment {
                Segment::Every => node.every = Some(fresh),
                Segment::Name(name) => {
                    node.lengths |= bit(name);
                    node.names.push((name.clone(), fresh));
                }
            }
            self.nodes.push(Node::default());
            fresh
        })
    }
}

/// Whether `name` is this index as RFC 6901 writes it: no sign, no leading zero.
fn is_index(name: &str, index: usize) -> bool {
    let canonical = name == "0" || !name.starts_with(['0', '+']);
    canonical && name.parse() == Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for (slot, path) in paths.iter().enumerate() {
            tree.read(&Path::parse(path).unwrap(), slot);
        }
        tree
    }

    #[test]
    fn a_value_stands_at_every_place_that_covers_it() {
        let tree = tree(&["/items/*/id", "/items/0/id", "/items"]);
        let items = tree.member(&tree.root(), "items");
        assert_eq!(tree.slots(&items).collect::<Vec<_>>(), [2]);
        let first = tree.member(&tree.element(&items, 0), "id");
        assert_eq!(tree.slots(&first).collect::<Vec<_>>(), [1, 0]);
        let second = tree.member(&tree.element(&items, 1), "id");
        assert_eq!(tree.slots(&second).collect::<Vec<_>>(), [0]);
        assert!(tree.member(&tree.root(), "other").is_empty());
        assert!(!tree.goes_on(&first) && tree.goes_on(&items));
    }

    #[test]
    fn the_array_of_people_is_told_from_all_else() {
        let mut tree = tree(&["/b/people/*/id", "/b/x", "/at"]);
        assert!(!tree.is_elements(&tree.root()) && tree.each_element().is_empty());
        tree.mark_elements(&Path::parse("/b/people").unwrap());
        let b = tree.member(&tree.root(), "b");
        let people = tree.member(&b, "people");
        assert!(tree.is_elements(&people) && !tree.is_elements(&b));
        assert!(!tree.is_elements(&tree.member(&b, "x")) && !tree.is_elements(&Places::new()));
        assert_eq!(tree.each_element(), tree.element(&people, 7));
        assert_eq!(tree.slots(&tree.member(&tree.each_element(), "id")).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn an_index_has_one_form() {
        assert!(is_index("0", 0) && is_index("10", 10));
        assert!(!is_index("00", 0) && !is_index("+1", 1) && !is_index("01", 1) && !is_index("-", 0));
    }
}
