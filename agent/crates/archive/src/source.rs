//! An archive on its way in: a stream as a thread that may block reads it, inflated if it has to be. No program is run.

use crate::failure::Failure;
use futures_util::StreamExt as _;
use hull_ports::{ByteStream, Bytes};
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use tokio::runtime::Handle;

/// Bytes that are inflated at a time.
const INFLATED: usize = 128 << 10;
/// The largest zstd window, as a power of two: what `zstd` itself takes without being asked (128 MiB).
const ZSTD_WINDOW_LOG: u32 = 27;
/// The most memory of xz, in KiB: more than its highest preset needs.
const XZ_MEMORY: u32 = 128 << 10;
/// What may stand behind the end of an archive and is read so that the sender can finish.
const MAX_TAIL: usize = 1 << 20;

/// A stream, read by a thread that may block.
pub(crate) struct Incoming {
    stream: ByteStream,
    runtime: Handle,
    current: Bytes,
}

impl Incoming {
    /// Must be made on a thread of the runtime, or one that it started.
    pub(crate) fn new(stream: ByteStream, runtime: Handle) -> Self {
        Self { stream, runtime, current: Bytes::new() }
    }
}

impl BufRead for Incoming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(piece) => self.current = piece?,
                None => break,
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        drop(self.current.split_to(count));
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// How a stream is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    fn of(begin: &[u8]) -> Self {
        match begin {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A frame, or a frame to be skipped before it (RFC 8878, 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// The plain archive in a stream.
pub(crate) fn inflated<R: BufRead + 'static>(mut input: R) -> Result<Box<dyn BufRead>, Failure> {
    let failed = |error| Failure::Archive(hull_tar::TarError::Input(error));
    let mut begin = Vec::new();
    input.by_ref().take(6).read_to_end(&mut begin).map_err(failed)?;
    let compression = Compression::of(&begin);
    let input: Chain<Cursor<Vec<u8>>, R> = Cursor::new(begin).chain(input);
    let output: Box<dyn Read> = match compression {
        Compression::None => return Ok(Box::new(input)),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(failed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(failed)?;
            Box::new(decoder)
        }
    };
    Ok(Box::new(BufReader::with_capacity(INFLATED, output)))
}

/// Reads what stands behind the end of an archive, as far as that is reasonable.
pub(crate) fn drain(mut input: impl BufRead) {
    let mut left = MAX_TAIL;
    // Whatever it is, and however it ends, it changes nothing: the archive was whole.
    while let Ok(available) = input.fill_buf() {
        let count = available.len().min(left);
        if count == 0 {
            return;
        }
        input.consume(count);
        left -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn packed(program: &str, input: &'static [u8]) -> Vec<u8> {
        let mut child =
            Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    #[test]
    fn what_other_programs_packed_is_inflated() {
        let text = b"some words, some more words, and some words again".as_slice();
        for (program, wanted) in [
            ("cat", Compression::None),
            ("gzip", Compression::Gzip),
            ("bzip2", Compression::Bzip2),
            ("xz", Compression::Xz),
            ("zstd", Compression::Zstd),
        ] {
            let bytes = if program == "cat" { text.to_vec() } else { packed(program, text) };
            assert_eq!(Compression::of(&bytes), wanted);
            // Two of them, one behind the other, are one stream.
            let twice = [bytes.as_slice(), &bytes].concat();
            let mut read = Vec::new();
            inflated(Cursor::new(twice)).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, [text, text].concat(), "{program}");
        }
    }

    #[test]
    fn short_streams_are_plain() {
        for bytes in [&b""[..], b"B", b"\x1f\x8b"] {
            let mut read = Vec::new();
            inflated(bytes).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, bytes);
        }
    }
}
