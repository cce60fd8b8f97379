//! A layer as it is sent: compressed in a way that gives the same bytes each time, and nowhere kept.

use crate::registry::Content;
use crate::store::Inner;
use flate2::{Compression, GzBuilder};
use hull_model::Digest;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A stored layer, to be sent. Whoever makes it has pinned the layer.
pub(crate) struct Layer {
    inner: Arc<Inner>,
    layer: Digest,
    /// Bytes of the archive that were compressed so far.
    read: Arc<AtomicU64>,
}

impl Layer {
    pub(crate) fn new(inner: Arc<Inner>, layer: Digest, read: Arc<AtomicU64>) -> Self {
        Self { inner, layer, read }
    }
}

impl Content for Layer {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let archive = self.inner.layers().open_tar(&self.layer).map_err(|error| error.source)?;
        self.read.store(0, Ordering::Relaxed);
        Ok(Box::new(gzip(Counted { input: archive, read: Arc::clone(&self.read) })))
    }
}

/// RFC 1952 without a name and with no time.
fn gzip(input: impl Read) -> impl Read {
    GzBuilder::new().mtime(0).read(io::BufReader::with_capacity(128 << 10, input), Compression::default())
}

struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_archive_gives_the_same_blob() {
        let data: Vec<u8> = (0u32..200_000).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        let pack = || {
            let mut packed = Vec::new();
            gzip(&data[..]).read_to_end(&mut packed).unwrap();
            packed
        };
        let packed = pack();
        assert_eq!(packed, pack());
        assert_eq!(packed[4..8], [0; 4], "no time");
        assert_eq!(packed[3], 0, "no name");
        let mut back = Vec::new();
        flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, data);
    }
}
