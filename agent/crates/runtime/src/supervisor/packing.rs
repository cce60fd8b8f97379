//! Compressing full log files, one at a time.

use super::Supervisor;
use super::sources::Source;
use crate::log::{self, Packing};
use hull_model::ContainerId;
use hull_sys::pidfd;
use hull_sys::process::Ended;
use std::os::fd::{AsFd as _, OwnedFd};

pub(super) struct Packer {
    id: ContainerId,
    packing: Packing,
    pidfd: OwnedFd,
    token: u64,
}

impl Supervisor {
    /// A log has files that may be compressed.
    pub(super) fn pack_later(&mut self, id: &ContainerId) {
        if !self.to_pack.contains(id) {
            self.to_pack.push_back(id.clone());
        }
        self.pack_next();
    }

    fn pack_next(&mut self) {
        while self.packer.is_none() {
            let Some(id) = self.to_pack.pop_front() else { return };
            let Some(container) = self.containers.get(&id) else { continue };
            let begun = log::pack(container.files.directory(), &id, &container.state.log);
            let (packing, child) = match begun {
                Ok(Some(begun)) => begun,
                Ok(None) => continue,
                Err(error) => {
                    eprintln!("hull-runtime: compressing the log of {}: {error}", id.short());
                    continue;
                }
            };
            match self.sources.add(child.pidfd.as_fd(), Source::Packed) {
                Ok(token) => self.packer = Some(Packer { id, packing, pidfd: child.pidfd, token }),
                Err(_) => drop(pidfd::kill_and_reap(child.pidfd.as_fd())),
            }
        }
    }

    pub(super) fn packed(&mut self) {
        let Some(packer) = &self.packer else { return };
        let ended = match pidfd::reap(packer.pidfd.as_fd()) {
            Ok(None) => return,
            Ok(Some(ended)) => ended,
            Err(_) => Ended::Exited(1),
        };
        let Some(Packer { id, packing, pidfd, token }) = self.packer.take() else { return };
        self.sources.remove(pidfd.as_fd(), token);
        let success = ended == Ended::Exited(0);
        match packing.finish(success) {
            // There may be another one.
            Ok(()) if success => self.to_pack.push_back(id),
            // Tried again when the next file is full.
            Ok(()) => eprintln!("hull-runtime: compressing the log of {} failed", id.short()),
            Err(error) => eprintln!("hull-runtime: compressing the log of {}: {error}", id.short()),
        }
        self.pack_next();
    }
}
