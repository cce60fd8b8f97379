//! One layer's tree over the layers below it.

use super::{Directory, Id, Node, ROOT, Tree, What};
use std::collections::HashMap;

impl Tree {
    /// Covers what is here with a layer: what it has is put in the place of what has the same name, what it hides is gone.
    /// Sources of the layer's data are numbered from `first_source` on.
    pub(crate) fn cover(&mut self, layer: &Tree, first_source: u16) {
        let mut covering = Covering { layer, first_source, known: HashMap::new() };
        let mut open = vec![(ROOT, ROOT)];
        // Depth is chosen by whoever made the layer, so it is not the stack's.
        while let Some((below, above)) = open.pop() {
            covering.directory(self, below, above, &mut open);
        }
    }
}

struct Covering<'a> {
    layer: &'a Tree,
    first_source: u16,
    /// Nodes that several names of the layer may share, by their numbers there.
    known: HashMap<Id, Id>,
}

impl Covering<'_> {
    fn directory(&mut self, tree: &mut Tree, below: Id, above: Id, open: &mut Vec<(Id, Id)>) {
        let from = self.layer.node(above);
        let What::Directory(directory) = &from.what else { return };
        let into = tree.node_mut(below);
        if !directory.implied {
            (into.mode, into.uid, into.gid, into.mtime) = (from.mode, from.uid, from.gid, from.mtime);
            into.xattrs.clone_from(&from.xattrs);
        }
        if let What::Directory(into) = &mut into.what {
            into.implied &= directory.implied;
            if directory.opaque {
                into.names.clear();
            }
        }
        for (name, &id) in &directory.names {
            match &self.layer.node(id).what {
                What::Whiteout => {
                    if let Some(into) = tree.directory_mut(below) {
                        into.names.remove(name);
                    }
                }
                What::Directory(_) => {
                    let old = tree.child(below, name).filter(|old| tree.directory(*old).is_some());
                    let into = old.unwrap_or_else(|| {
                        let made = tree.push(self.empty(id));
                        tree.link(below, name, made);
                        made
                    });
                    open.push((into, id));
                }
                _ => {
                    let made = self.file(tree, id);
                    tree.link(below, name, made);
                }
            }
        }
    }

    /// A directory of the layer, without its names.
    fn empty(&self, id: Id) -> Node {
        let node = self.layer.node(id);
        Node { what: What::Directory(Directory::default()), xattrs: node.xattrs.clone(), ..*node }
    }

    /// A file of the layer, made once however many names it has.
    fn file(&mut self, tree: &mut Tree, id: Id) -> Id {
        let first_source = self.first_source;
        *self.known.entry(id).or_insert_with(|| {
            let mut node = self.layer.node(id).clone();
            if let What::File(contents) = &mut node.what {
                contents.extents.iter_mut().for_each(|extent| extent.source += first_source);
            }
            tree.push(node)
        })
    }
}
