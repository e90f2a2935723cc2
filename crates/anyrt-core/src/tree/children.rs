//! The children of a node.

use slab::Slab;

use super::node::NodeRef;

/// The children of a node. Mostly none or one, so that a chain of scopes allocates no table.
pub(super) enum Children {
    One(Option<NodeRef>),
    Many(Box<Slab<NodeRef>>),
}

impl Children {
    /// Inserts a child; returns its key.
    pub(super) fn insert(&mut self, child: NodeRef) -> u32 {
        match self {
            Children::One(place @ None) => {
                *place = Some(child);
                0
            }
            Children::One(first) => {
                // The first child keeps its key, 0.
                let mut table: Slab<NodeRef> = first.take().map(|first| (0, first)).into_iter().collect();
                let key = table.insert(child);
                *self = Children::Many(Box::new(table));
                short(key)
            }
            Children::Many(table) => short(table.insert(child)),
        }
    }

    /// The key that the next child will get.
    pub(super) fn next_key(&self) -> u32 {
        match self {
            Children::One(place) => u32::from(place.is_some()),
            Children::Many(table) => short(table.vacant_key()),
        }
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<NodeRef> {
        match self {
            Children::One(place) => place.take(),
            Children::Many(table) => table.try_remove(key as usize),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Children::One(place) => place.is_none(),
            Children::Many(table) => table.is_empty(),
        }
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(&NodeRef)) {
        match self {
            Children::One(place) => place.iter().for_each(visit),
            Children::Many(table) => table.iter().for_each(|(_, child)| visit(child)),
        }
    }
}

/// A key in half a word: four billion children fit in no memory.
fn short(key: usize) -> u32 {
    key as u32
}
