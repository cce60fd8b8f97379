//! Handing clients over to the next supervisor, through the service manager's store of descriptors.

use super::Supervisor;
use super::attach::{Attachment, Feed, sink};
use super::input::Input;
use crate::log;
use hull_model::ContainerId;
use std::os::fd::AsFd as _;

impl Supervisor {
    /// What was kept of clients over a restart.
    pub(super) fn restore_attachments(&mut self) {
        for (name, fd) in self.service.take_all("attach-") {
            let mut parts = name.splitn(4, '-').skip(1);
            let (Some(id), Some(key), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            let (Ok(id), Ok(key)) = (ContainerId::try_from(id.to_owned()), key.parse()) else { continue };
            self.next_key = self.next_key.max(key + 1);
            let source = if kind == "stderr" { log::Source::Stderr } else { log::Source::Stdout };
            let list = self.attached.entry(id.clone()).or_default();
            let at = list.iter().position(|a| a.key == key).unwrap_or_else(|| {
                list.push(Attachment { key, ..Attachment::default() });
                list.len() - 1
            });
            if kind == "stdin" {
                list[at].feed = Some(Feed { fd, token: None });
            } else {
                *list[at].sink(source) = sink(&mut self.sources, &id, key, source, fd).ok();
            }
        }
    }

    /// Has the service manager keep what clients are connected by, while we are away.
    pub(super) fn store_attachments(&mut self) {
        for (id, list) in &mut self.attached {
            for attachment in list {
                let key = attachment.key;
                if let Some(feed) = &attachment.feed {
                    self.service.store(&format!("attach-{id}-{key}-stdin"), feed.fd.as_fd());
                }
                for (source, name) in [(log::Source::Stdout, "stdout"), (log::Source::Stderr, "stderr")] {
                    if let Some(sink) = attachment.sink(source) {
                        self.service.store(&format!("attach-{id}-{key}-{name}"), sink.fd.as_fd());
                    }
                }
            }
        }
        for (id, container) in &self.containers {
            if let Some(fd) = container.input.as_ref().and_then(Input::pipe) {
                self.service.store(&format!("stdin-{id}"), fd);
            }
        }
    }
}
