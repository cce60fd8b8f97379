//! Cutting one stream into lines.

/// The longest piece of a line that is kept together, as in Docker.
pub(crate) const MAX_LINE: usize = 16 << 10;

/// Cuts one stream into lines. Holds at most one unfinished line of [`MAX_LINE`] bytes.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Calls `line` with every piece that is complete: a line with its newline, or [`MAX_LINE`] bytes of a longer one.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.rest.len();
            let window = &bytes[..bytes.len().min(room)];
            let (take, complete) = match window.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (window.len(), window.len() == room),
            };
            let (piece, after) = bytes.split_at(take);
            bytes = after;
            if complete && self.rest.is_empty() {
                line(piece);
            } else {
                self.rest.extend_from_slice(piece);
                if complete {
                    line(&self.rest);
                    self.rest.clear();
                }
            }
        }
        if self.rest.is_empty() {
            // Nearly always: one container's long line is not kept as another's memory.
            self.rest = Vec::new();
        }
    }

    /// What is left when the stream ends.
    pub(crate) fn finish(&mut self, line: impl FnOnce(&[u8])) {
        if !self.rest.is_empty() {
            line(&self.rest);
        }
        self.rest = Vec::new();
    }
}
