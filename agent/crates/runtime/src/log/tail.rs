//! Finding the last so many records of a log without reading what comes before them.

use super::reader::{BLOCK, Body, Opened};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

/// What came of looking for the last records of one file.
enum Found {
    /// They begin at this position.
    At(u64),
    /// There are only so many.
    Only(usize),
}

/// Drops files, and passes over records, so that the last `tail` are left. Damaged ones count as well. Files are read backwards
/// and no further than needed; those that are compressed are read once more.
pub(super) fn skip_to(files: &mut VecDeque<Opened>, tail: usize) -> io::Result<()> {
    let mut wanted = tail;
    for index in (0..files.len()).rev() {
        match &mut files[index].body {
            Body::Plain(file) => match last_of(file, wanted)? {
                Found::At(position) => {
                    file.seek(SeekFrom::Start(position))?;
                    files.drain(..index);
                    return Ok(());
                }
                Found::Only(count) => wanted -= count,
            },
            Body::Packed(_) if wanted == 0 => {
                files.drain(..=index);
                return Ok(());
            }
            Body::Packed(decoder) => {
                // The decoder's own position is of no use any more: it is begun anew.
                let mut file = decoder.get_ref().get_ref().try_clone()?;
                file.rewind()?;
                let count = count(&file);
                file.rewind()?;
                **decoder = flate2::read::GzDecoder::new(io::BufReader::new(file));
                if count >= wanted {
                    files[index].skip = count - wanted;
                    files.drain(..index);
                    return Ok(());
                }
                wanted -= count;
            }
        }
    }
    Ok(())
}

/// Complete records of a compressed file, as far as it can be read.
fn count(file: &File) -> usize {
    let mut decoder = flate2::read::GzDecoder::new(io::BufReader::new(file));
    let (mut block, mut count) = (vec![0; BLOCK], 0);
    while let Ok(length @ 1..) = decoder.read(&mut block) {
        count += block[..length].iter().filter(|byte| **byte == b'\n').count();
    }
    count
}

/// Looks for the newline before the last `wanted` records.
fn last_of(file: &File, wanted: usize) -> io::Result<Found> {
    let length = file.metadata()?.len();
    let (mut position, mut newlines) = (length, 0);
    let mut block = vec![0; BLOCK];
    while position > 0 {
        let start = position.saturating_sub(BLOCK as u64);
        let part = &mut block[..(position - start) as usize];
        file.read_exact_at(part, start)?;
        for (offset, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            // Each newline ends a record: the one before the last `wanted` of them is where those begin.
            if newlines == wanted {
                return Ok(Found::At(start + offset as u64 + 1));
            }
            newlines += 1;
        }
        position = start;
    }
    Ok(if newlines == wanted { Found::At(0) } else { Found::Only(newlines) })
}
