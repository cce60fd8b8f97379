//! Filters that were compiled before.

use crate::failure::Result;
use crate::seccomp::{Filter, compile};
use oci_spec::runtime::LinuxSeccomp;
use std::rc::Rc;

/// The last few filters; nearly all containers of a host have the same one.
#[derive(Default)]
pub(super) struct Filters(Vec<(LinuxSeccomp, Rc<Filter>)>);

const KEPT: usize = 8;

impl Filters {
    pub(super) fn get(&mut self, seccomp: &LinuxSeccomp) -> Result<Rc<Filter>> {
        if let Some(at) = self.0.iter().position(|(known, _)| known == seccomp) {
            let entry = self.0.remove(at);
            self.0.push(entry);
        } else {
            let filter = Rc::new(compile(seccomp)?);
            if self.0.len() == KEPT {
                self.0.remove(0);
            }
            self.0.push((seccomp.clone(), filter));
        }
        Ok(Rc::clone(&self.0[self.0.len() - 1].1))
    }
}
