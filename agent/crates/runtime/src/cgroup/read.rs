//! Looking at a group that is in use: what was killed in it, whether it is frozen, who is in it; and freezing it.

use super::Cgroup;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

/// Where the kernel tells that memory ran out in a group.
#[derive(Debug)]
pub(crate) enum MemoryEvents {
    /// `memory.events` of version 2: `EPOLLPRI` at every change.
    File(File),
    /// An eventfd registered with version 1: readable when memory runs out.
    Counter(EventFd),
}

impl MemoryEvents {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(file) => file.as_fd(),
            Self::Counter(counter) => counter.as_fd(),
        }
    }

    /// Whether it tells before the kernel counts.
    pub(crate) fn is_counter(&self) -> bool {
        matches!(self, Self::Counter(_))
    }

    /// Takes note, so that the next change is told.
    pub(crate) fn acknowledge(&mut self) {
        match self {
            Self::File(file) => drop(reread(file)),
            Self::Counter(counter) => drop(counter.read()),
        }
    }
}

fn reread(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn says(events: &str, line: &str) -> bool {
    events.lines().any(|found| found == line)
}

fn read(file: PathBuf) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

impl Cgroup {
    /// Whether the kernel killed a process of it for lack of memory.
    pub fn oom_killed(&self) -> bool {
        self.oom_kills() > 0
    }

    /// How many processes of it the kernel killed for lack of memory.
    pub fn oom_kills(&self) -> u64 {
        let count = |file: PathBuf| {
            let text = read(file);
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
        };
        let split =
            self.controller("memory").map_or(0, |directory| count(directory.join("memory.oom_control")));
        count(self.unified.join("memory.events")).max(split)
    }

    /// Its directory in a hierarchy of version 1.
    pub fn controller(&self, name: &str) -> Option<&Path> {
        self.split.iter().find(|(known, _)| known == name).map(|(_, directory)| directory.as_path())
    }

    /// Where the kernel tells that memory ran out; `None` if it does not.
    pub(crate) fn memory_events(&self) -> Option<MemoryEvents> {
        if let Ok(mut file) = File::open(self.unified.join("memory.events")) {
            // Only what changes after it was read is told.
            reread(&mut file).ok()?;
            return Some(MemoryEvents::File(file));
        }
        let directory = self.controller("memory")?;
        let control = File::open(directory.join("memory.oom_control")).ok()?;
        let counter = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).ok()?;
        let line = format!("{} {}", counter.as_fd().as_raw_fd(), control.as_raw_fd());
        std::fs::write(directory.join("cgroup.event_control"), line).ok()?;
        Some(MemoryEvents::Counter(counter))
    }

    /// Begins to freeze every process in it, or lets them go on (Linux 5.2).
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        std::fs::write(self.unified.join("cgroup.freeze"), if frozen { "1" } else { "0" })
    }

    /// Whether it was asked to be frozen.
    pub fn is_freezing(&self) -> bool {
        read(self.unified.join("cgroup.freeze")).trim() == "1"
    }

    /// Whether every process in it is frozen.
    pub fn is_frozen(&self) -> bool {
        says(&read(self.unified.join("cgroup.events")), "frozen 1")
    }

    /// The file whose changes tell so.
    pub(crate) fn open_events(&self) -> io::Result<File> {
        File::open(self.unified.join("cgroup.events"))
    }

    /// The same as `is_frozen` by that file; the kernel tells of the next change.
    pub(crate) fn is_frozen_by(&self, events: &mut File) -> bool {
        reread(events).is_ok_and(|text| says(&text, "frozen 1"))
    }

    /// A group inside it, for a further process and what that starts: so that they can be killed without the others. Limits are
    /// those of the whole.
    pub(crate) fn inner(&self, name: &str) -> io::Result<Self> {
        let unified = self.unified.join(name);
        match std::fs::create_dir(&unified) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        Ok(Self { unified, split: self.split.clone(), made: Vec::new() })
    }

    /// Removes a group inside another one; what it shares with that stays. It stays as long as a process is in it.
    pub(crate) fn remove_inner(&self) {
        let _ = std::fs::remove_dir(&self.unified);
    }

    /// Every process in it and in groups inside it, in ascending order.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        let mut all = Vec::new();
        collect(&self.unified, &mut all)?;
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

fn collect(group: &Path, all: &mut Vec<i32>) -> io::Result<()> {
    match std::fs::read_to_string(group.join("cgroup.procs")) {
        Ok(text) => all.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        // A group of threads has its processes in the one above it.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
        Err(error) => return Err(error),
    }
    for entry in std::fs::read_dir(group)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            match collect(&entry.path(), all) {
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                other => other?,
            }
        }
    }
    Ok(())
}
