//! The files of a layer.

use super::grow::Grown;
use super::space::Space;
use super::{ARCHIVE, Form, INDEX, PACKED, SPILL, TREE, UnpackError, directory};
use crate::disk::DiskError;
use crate::erofs::{self, Device};
use hull_model::Digest;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// How hard archives are compressed: the level at which zstd is faster than most disks.
const LEVEL: i32 = 1;

/// Makes a new file in a layer's directory, for its owner only.
pub(super) fn create(layer: &Path, name: &str) -> Result<File, UnpackError> {
    let mut options = File::options();
    let file = options.create_new(true).read(true).write(true).mode(0o600).open(layer.join(name));
    file.map_err(UnpackError::io("making", name.as_bytes()))
}

/// Makes a layer whole whose archive, and spill if it has one, were just written.
pub(super) fn finish(
    layer: &Path,
    form: Form,
    grown: &Grown,
    diff_id: &Digest,
    archive: u64,
    spill: Option<File>,
) -> Result<(), UnpackError> {
    match form {
        Form::Erofs => {
            let index = index(grown, diff_id, archive);
            create(layer, INDEX)?.write_all(&index).map_err(UnpackError::io("writing", b"index"))
        }
        Form::Directory => {
            let opened = |path: &Path| File::open(path).map_err(UnpackError::io("opening", b"layer"));
            let tree = layer.join(TREE);
            DirBuilder::new().mode(0o700).create(&tree).map_err(UnpackError::io("making", b"/"))?;
            let sources = [Some(opened(&layer.join(ARCHIVE))?), spill];
            let mut space = Space::new(opened(layer)?.into())?;
            directory::make(&grown.tree, &sources, opened(&tree)?.into(), &mut space)?;
            pack(layer)
        }
    }
}

/// The index of one layer.
pub(super) fn index(grown: &Grown, diff_id: &Digest, archive: u64) -> Vec<u8> {
    let mut devices = devices(diff_id, archive, grown.spilled);
    if grown.spilled == 0 {
        devices.truncate(1);
    }
    erofs::write(&grown.tree, &devices, identity(diff_id))
}

/// The devices of a layer: its archive and its spill.
pub(super) fn devices(diff_id: &Digest, archive: u64, spilled: u64) -> Vec<Device> {
    let device = |size| Device { tag: diff_id.hex().to_owned(), size };
    vec![device(archive), device(spilled)]
}

/// The first 16 bytes of a digest, to tell file systems apart.
pub(super) fn identity(digest: &Digest) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = digest.hex().get(2 * i..2 * i + 2).and_then(|h| u8::from_str_radix(h, 16).ok()).unwrap_or(0);
    }
    bytes
}

/// Compresses the archive and removes what only making the directory needed.
fn pack(layer: &Path) -> Result<(), UnpackError> {
    let run = || -> io::Result<()> {
        let mut input = File::open(layer.join(ARCHIVE))?;
        let output = File::options().create_new(true).write(true).mode(0o600).open(layer.join(PACKED))?;
        zstd::stream::copy_encode(&mut input, output, LEVEL)?;
        fs::remove_file(layer.join(ARCHIVE))?;
        match fs::remove_file(layer.join(SPILL)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    };
    run().map_err(UnpackError::io("compressing", b"tar"))
}

/// Names of the files of a layer in a form.
pub(crate) fn layer_files(form: Form) -> &'static [&'static str] {
    match form {
        Form::Erofs => &["layer.json", "blobs.json", ARCHIVE, INDEX, SPILL],
        Form::Directory => &["layer.json", "blobs.json", PACKED, TREE],
    }
}

/// Has the kernel keep a file as it is, where its file system can. Nothing depends on it.
pub(crate) fn seal(path: &Path) {
    if let Ok(file) = File::open(path)
        && let Err(error) = hull_sys::verity::seal(&file)
    {
        tracing::trace!(path = %path.display(), %error, "not sealed");
    }
}

/// The same for what a layer is mounted from.
pub(crate) fn seal_layer(layer: &Path, form: Form) {
    if form == Form::Erofs {
        // A spill is not: its holes would be read.
        [ARCHIVE, INDEX].iter().for_each(|name| seal(&layer.join(name)));
    }
}

/// In which form a layer lies in a directory; none if it is not whole there.
pub(crate) fn form_of(layer: &Path) -> Option<Form> {
    let file = |name: &str| layer.join(name).is_file();
    if file(ARCHIVE) && file(INDEX) {
        Some(Form::Erofs)
    } else if file(PACKED) && layer.join(TREE).is_dir() {
        Some(Form::Directory)
    } else {
        None
    }
}

/// Opens the uncompressed archive of a layer, in whatever form it lies there.
pub(crate) fn open_archive(layer: &Path) -> Result<Box<dyn Read + Send>, DiskError> {
    let path = layer.join(ARCHIVE);
    match File::open(&path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = layer.join(PACKED);
            let open = || zstd::stream::read::Decoder::new(File::open(&path)?);
            Ok(Box::new(open().map_err(DiskError::new("opening", &path))?))
        }
        Err(error) => Err(DiskError::new("opening", &path)(error)),
    }
}
