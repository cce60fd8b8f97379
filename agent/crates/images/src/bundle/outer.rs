//! What an archive may be packed in as a whole: found out by its first bytes.

use std::io::{self, BufRead, BufReader, Read};

/// The largest zstd window, as a power of two: what `zstd` itself takes without being asked (128 MiB).
const ZSTD_WINDOW_LOG: u32 = 27;
/// Memory that xz may take, in KiB: what its strongest preset needs (64 MiB), and some.
const XZ_MEMORY: u32 = 80 << 10;
/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// The archive itself, whatever it is packed in.
pub(super) fn unpacked<'a>(input: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    // As many bytes as the longest magic number has may take more than one read to come.
    let mut begin = [0; 6];
    let count = read_full(&mut input, &mut begin)?;
    let begin = begin[..count].to_vec();
    let input = BufReader::with_capacity(BUFFER, io::Cursor::new(begin.clone()).chain(input));
    let decoder: Box<dyn Read + 'a> = match begin.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, XZ_MEMORY))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        _ => return Ok(Box::new(input)),
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, decoder)))
}

fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// One byte at a time, as a slow client sends.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn every_packing_is_told_and_undone() {
        let data = b"some text, some text, some text".repeat(100);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&data).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&data).unwrap();
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        xz.write_all(&data).unwrap();
        let packed = [
            gzip.finish().unwrap(),
            bzip2.finish().unwrap(),
            xz.finish().unwrap(),
            zstd::encode_all(&data[..], 1).unwrap(),
            data.clone(),
        ];
        for bytes in &packed {
            let mut back = Vec::new();
            unpacked(Slow(bytes)).unwrap().read_to_end(&mut back).unwrap();
            assert!(back == data, "{:x?}", &bytes[..6]);
        }
        for bytes in &packed[..4] {
            let cut = unpacked(&bytes[..bytes.len() - 8]).unwrap().read_to_end(&mut Vec::new());
            assert!(cut.is_err(), "{:x?}", &bytes[..6]);
        }
        assert_eq!(unpacked(&b""[..]).unwrap().read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
