//! The keys that leave a terminal without ending what runs in it.

/// Control-P, control-Q.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// Reads `ctrl-p,ctrl-q`: single characters or control with one, separated by commas. Empty is the default.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    let key = |word: &str| {
        let mut characters = word.bytes();
        match (characters.next(), characters.next(), word.strip_prefix("ctrl-").map(str::as_bytes)) {
            (Some(single), None, _) => Ok(single),
            (_, _, Some([letter @ b'a'..=b'z'])) => Ok(letter - b'a' + 1),
            (_, _, Some(b"@")) => Ok(0),
            (_, _, Some([sign @ (b'[' | b'\\' | b']' | b'^' | b'_')])) => Ok(sign - b'@'),
            _ => Err(format!("Unknown character: '{word}'")),
        }
    };
    text.split(',').map(key).collect()
}

/// Looks for the keys in what is typed, across pieces.
#[derive(Debug)]
pub(crate) struct Scanner {
    keys: Vec<u8>,
    matched: usize,
}

impl Scanner {
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// What of a piece goes on to the process, and whether the keys were completed. Keys that may be the beginning are
    /// held back until it is known.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> (Vec<u8>, bool) {
        let mut through = Vec::with_capacity(piece.len());
        for byte in piece {
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (through, true);
                }
                continue;
            }
            through.extend(&self.keys[..self.matched]);
            self.matched = 0;
            if self.keys.first() == Some(byte) {
                self.matched = 1;
                if self.keys.len() == 1 {
                    return (through, true);
                }
            } else {
                through.push(*byte);
            }
        }
        (through, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_docker_writes_them() {
        assert_eq!(parse(""), Ok(vec![16, 17]));
        assert_eq!(parse("ctrl-x,q"), Ok(vec![24, b'q']));
        assert_eq!(parse("ctrl-@,ctrl-["), Ok(vec![0, 27]));
        assert!(parse("ctrl-").is_err() && parse("meta-x").is_err() && parse("a,,b").is_err());
    }

    #[test]
    fn keys_are_found_across_pieces_and_lost_ones_go_through() {
        let mut scanner = Scanner::new(vec![16, 17]);
        assert_eq!(scanner.feed(b"ls\x10"), (b"ls".to_vec(), false));
        assert_eq!(scanner.feed(b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(scanner.feed(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(scanner.feed(b"\x11after"), (b"".to_vec(), true));
    }
}
