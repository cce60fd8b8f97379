//! The files of this machine: into an archive and out of one.

use super::paths::{self, Destination, Rebase, Source};
use crate::cli::failure::Failure;
use nix::sys::stat::{Mode, SFlag, mknod};
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tar::{Archive, Builder, Entry, EntryType};

/// How many links are followed to where a copy goes.
const MAX_LINKS: usize = 10;

/// Counts what is written.
pub(super) struct Counted<W> {
    pub(super) inner: W,
    pub(super) count: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    }
}

/// What is at a path that is copied from. A link is copied as such, unless it is followed or the path ends with a slash.
pub(super) fn source(path: &str, follow: bool) -> Result<Source, Failure> {
    let plain = paths::without_slash(path);
    let found = fs::symlink_metadata(&plain)
        .map_err(|e| Failure::new(format!("lstat {}: {}", plain.display(), why(&e))))?;
    let asks_for_folder = path.ends_with('/') || path.ends_with("/.");
    if !found.is_symlink() || !(follow || asks_for_folder) {
        if asks_for_folder && !found.is_dir() {
            return Err(Failure::new("not a directory"));
        }
        return Ok(Source { path: path.to_owned(), is_dir: found.is_dir(), rename: None });
    }
    let target = fs::canonicalize(&plain)
        .map_err(|e| Failure::new(format!("lstat {}: {}", plain.display(), why(&e))))?;
    let is_dir = target.is_dir();
    let name = paths::base(&plain.to_string_lossy());
    let end = if path.ends_with("/.") { "/." } else { "" };
    let target = format!("{}{end}", target.display());
    let rename = (end.is_empty() && paths::base(&target) != name).then_some(name);
    Ok(Source { path: target, is_dir, rename })
}

/// What is at a path that is copied to; links are followed.
pub(super) fn destination(path: &str) -> Result<Destination, Failure> {
    let mut place = PathBuf::from(path);
    for _ in 0..MAX_LINKS {
        let plain = paths::without_slash(&place.to_string_lossy());
        let Ok(found) = fs::symlink_metadata(&plain) else {
            let text = place.to_string_lossy().into_owned();
            return Ok(Destination { path: text, exists: false, is_dir: false });
        };
        if !found.is_symlink() {
            let text = place.to_string_lossy().into_owned();
            return Ok(Destination { path: text, exists: true, is_dir: found.is_dir() });
        }
        let target = fs::read_link(&plain)?;
        place = plain.parent().unwrap_or(Path::new("/")).join(target);
    }
    Err(Failure::new(format!("too many symlinks in {path:?}")))
}

/// Writes an archive of a file, or of a folder with all that is in it.
pub(super) fn pack(source: &Source, rebase: Option<&Rebase>, out: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(out);
    builder.follow_symlinks(false);
    builder.sparse(false);
    let root = paths::without_slash(&source.path);
    let name = source.rename.clone().unwrap_or_else(|| paths::base(&source.path));
    add(&mut builder, &root, &name, rebase)?;
    builder.into_inner()?.flush()
}

fn add(
    builder: &mut Builder<impl Write>,
    path: &Path,
    name: &str,
    rebase: Option<&Rebase>,
) -> io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_socket() {
        // A socket is nothing without who listens.
        return Ok(());
    }
    let inside = rebase.map_or_else(|| name.to_owned(), |rebase| rebase.apply(name));
    builder.append_path_with_name(path, inside.trim_start_matches('/'))?;
    if kind.is_dir() {
        let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            add(builder, &entry.path(), &name, rebase)?;
        }
    }
    Ok(())
}

/// Unpacks an archive in a folder. Nothing lands outside of it, and nothing is written through a link in it.
pub(super) fn unpack(archive: impl Read, folder: &Path, rebases: &[Rebase]) -> Result<(), Failure> {
    let folder = fs::canonicalize(folder)
        .map_err(|e| Failure::new(format!("lstat {}: {}", folder.display(), why(&e))))?;
    let mut archive = Archive::new(archive);
    let mut folders: Vec<(PathBuf, u32, u64)> = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let rename = |name: &str| rebases.iter().fold(name.to_owned(), |name, rebase| rebase.apply(&name));
        let name = rename(&entry.path()?.to_string_lossy());
        let place = inside(&folder, &name)?;
        let link = entry.link_name()?.map(|l| l.to_string_lossy().into_owned());
        make_room(&place, &name, entry.header().entry_type().is_dir())?;
        let (mode, time) = (entry.header().mode()?, entry.header().mtime()?);
        match entry.header().entry_type() {
            EntryType::Directory => {
                if !place.is_dir() {
                    fs::create_dir(&place)?;
                }
                folders.push((place, mode, time));
            }
            EntryType::Link => {
                let target = inside(&folder, &rename(link.as_deref().unwrap_or_default()))?;
                fs::hard_link(target, &place)?;
            }
            EntryType::Symlink => std::os::unix::fs::symlink(link.unwrap_or_default(), &place)?,
            _ => write(&mut entry, &place, mode, time)?,
        }
    }
    // Folders last and from the deepest: what is put into them changes their times, and a mode may forbid it.
    for (place, mode, time) in folders.into_iter().rev() {
        fs::set_permissions(&place, Permissions::from_mode(mode & 0o7777))?;
        set_time(&fs::File::open(&place)?, time)?;
    }
    Ok(())
}

fn set_time(file: &fs::File, seconds: u64) -> io::Result<()> {
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn write(entry: &mut Entry<'_, impl Read>, place: &Path, mode: u32, time: u64) -> Result<(), Failure> {
    let kind = match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).open(place)?;
            io::copy(entry, &mut file)?;
            fs::set_permissions(place, Permissions::from_mode(mode & 0o7777))?;
            return Ok(set_time(&file, time)?);
        }
        EntryType::Char => SFlag::S_IFCHR,
        EntryType::Block => SFlag::S_IFBLK,
        EntryType::Fifo => SFlag::S_IFIFO,
        other => {
            return Err(Failure::new(format!(
                "{}: unhandled tar header type {:?}",
                place.display(),
                other.as_byte() as char
            )));
        }
    };
    let number = |n: io::Result<Option<u32>>| u64::from(n.ok().flatten().unwrap_or(0));
    let device =
        nix::sys::stat::makedev(number(entry.header().device_major()), number(entry.header().device_minor()));
    mknod(place, kind, Mode::from_bits_truncate(mode & 0o777), device)
        .map_err(|e| Failure::new(format!("mknod {}: {e}", place.display())))
}

/// The place of a name below a folder. A name that leads out of it, or through a link, is refused.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let mut place = folder.to_owned();
    let parts: Vec<Component<'_>> = Path::new(name).components().collect();
    for (index, part) in parts.iter().enumerate() {
        match part {
            Component::Normal(part) => place.push(part),
            Component::CurDir | Component::RootDir => continue,
            _ => {
                return Err(Failure::new(format!(
                    "invalid path {name:?} in the archive: it leads out of {}",
                    folder.display()
                )));
            }
        }
        let last = index + 1 == parts.len();
        if !last && fs::symlink_metadata(&place).is_ok_and(|found| found.is_symlink()) {
            return Err(Failure::new(format!(
                "{} is a link: nothing is written through it",
                place.display()
            )));
        }
    }
    Ok(place)
}

/// What is in the way of an entry goes, if both are folders or neither is.
fn make_room(place: &Path, name: &str, is_dir: bool) -> Result<(), Failure> {
    let Ok(found) = fs::symlink_metadata(place) else { return Ok(()) };
    match (found.is_dir(), is_dir) {
        (true, true) => Ok(()),
        (true, false) => Err(Failure::new(format!(
            "cannot overwrite directory {:?} with non-directory {name:?}",
            place.display().to_string()
        ))),
        (false, true) => Err(Failure::new(format!(
            "cannot overwrite non-directory {:?} with directory {name:?}",
            place.display().to_string()
        ))),
        (false, false) => Ok(fs::remove_file(place)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            if is_link {
                header.set_link_name(content).unwrap();
            }
            let content = if is_link { "" } else { content };
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked_under_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("src/sub")).unwrap();
        fs::write(at("src/sub/file"), "text").unwrap();
        fs::set_permissions(at("src/sub/file"), Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("sub/file", at("src/link")).unwrap();
        let source = source(at("src").to_str().unwrap(), false).unwrap();
        let rebase = Rebase { old: "src".into(), new: "new".into() };
        let mut archive = Vec::new();
        pack(&source, Some(&rebase), &mut archive).unwrap();
        fs::create_dir(at("out")).unwrap();
        unpack(&archive[..], &at("out"), &[]).unwrap();
        assert_eq!(fs::read_to_string(at("out/new/link")).unwrap(), "text");
        assert_eq!(fs::metadata(at("out/new/sub/file")).unwrap().permissions().mode() & 0o7777, 0o640);
        // Again over what is there.
        unpack(&archive[..], &at("out"), &[]).unwrap();
    }

    #[test]
    fn nothing_lands_outside() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        fs::create_dir(&out).unwrap();
        let up = packed(&[("../evil", EntryType::Regular, "x")]);
        assert!(unpack(&up[..], &out, &[]).is_err());
        let through = packed(&[("a", EntryType::Symlink, ".."), ("a/evil", EntryType::Regular, "x")]);
        assert!(unpack(&through[..], &out, &[]).is_err());
        let hard = packed(&[("a", EntryType::Link, "../../etc/passwd")]);
        assert!(unpack(&hard[..], &out, &[]).is_err());
        assert!(!dir.path().join("evil").exists());
        let over = packed(&[("d", EntryType::Directory, ""), ("d", EntryType::Regular, "x")]);
        let why = unpack(&over[..], &out, &[]).unwrap_err().message;
        assert!(why.starts_with("cannot overwrite directory"), "{why}");
    }
}
