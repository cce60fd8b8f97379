//! Finding records in bytes of a file, whatever the file holds. Pure.

/// The longest record that is looked at; the longest that is ever written is a tenth of it.
pub const MAX_RECORD: usize = 1 << 20;

/// Cuts blocks of a file into records. Holds at most [`MAX_RECORD`] bytes: what is longer is no record, and is passed over up to
/// its newline without being kept.
#[derive(Debug, Default)]
pub struct Scanner {
    rest: Vec<u8>,
    /// In the middle of something too long.
    skipping: bool,
    /// How many records were too long.
    pub skipped: u64,
}

impl Scanner {
    /// Calls `record` with every complete record of the next block, without its newline.
    pub fn feed(&mut self, mut block: &[u8], mut record: impl FnMut(&[u8])) {
        while let Some(at) = block.iter().position(|byte| *byte == b'\n') {
            let (piece, after) = (&block[..at], &block[at + 1..]);
            block = after;
            if std::mem::take(&mut self.skipping) || self.rest.len() + piece.len() > MAX_RECORD {
                self.skipped += 1;
            } else if self.rest.is_empty() {
                record(piece);
                continue;
            } else {
                self.rest.extend_from_slice(piece);
                record(&self.rest);
            }
            self.rest.clear();
        }
        if self.skipping || self.rest.len() + block.len() > MAX_RECORD {
            self.skipping = true;
            self.rest = Vec::new();
        } else {
            self.rest.extend_from_slice(block);
        }
    }

    /// The end of a file: what is left is no record.
    pub fn end(&mut self) {
        self.skipped += u64::from(self.skipping || !self.rest.is_empty());
        self.rest = Vec::new();
        self.skipping = false;
    }
}
