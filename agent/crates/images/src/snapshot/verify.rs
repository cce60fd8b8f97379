//! Whether a layer on the disk is what its name says.

use super::files::{index, open_archive};
use super::grow::{SpillCheck, grow};
use super::{Form, INDEX, SPILL, UnpackError, form_of};
use hull_model::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

/// Reads the whole archive, and compares what was made of it. The reason if something is not as it should be; of a
/// directory only the archive is looked at.
pub(crate) fn verify(dir: &Path, layer: &Digest) -> Result<(), String> {
    let form = form_of(dir).ok_or("files of it are missing")?;
    let input = open_archive(dir).map_err(|error| format!("{error}: {}", error.source))?;
    let mut input = BufReader::with_capacity(1 << 20, Hashing { input, hash: Sha256::new(), total: 0 });
    let spill = File::open(dir.join(SPILL)).ok();
    let mut check = SpillCheck { file: spill.as_ref(), same: true };
    let grown = grow(&mut input, &mut check);
    drain(&mut input).map_err(|error| format!("reading its archive: {error}"))?;
    let hashing = input.into_inner();
    if Digest::from_sha256(hashing.hash.finalize().into()) != *layer {
        return Err("its archive has another digest".to_owned());
    }
    let grown = grown.map_err(|error: UnpackError| format!("its archive: {error}"))?;
    if form == Form::Erofs {
        let there = fs::read(dir.join(INDEX)).map_err(|error| format!("reading its index: {error}"))?;
        if there != index(&grown, layer, hashing.total) {
            return Err("its index is not that of its archive".to_owned());
        }
        let size = spill.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
        if !check.same || size != grown.spilled {
            return Err("its spilled data are not those of its archive".to_owned());
        }
    }
    Ok(())
}

fn drain(input: &mut BufReader<Hashing>) -> io::Result<()> {
    loop {
        let count = input.fill_buf()?.len();
        if count == 0 {
            return Ok(());
        }
        input.consume(count);
    }
}

/// Hashes what goes by.
struct Hashing {
    input: Box<dyn Read + Send>,
    hash: Sha256,
    total: u64,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.total += count as u64;
        Ok(count)
    }
}
