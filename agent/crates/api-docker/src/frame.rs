//! Docker's framing of several streams on one connection: eight bytes before each piece.

/// The stream a piece belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Channel {
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// A failure of the engine itself, in the middle of a stream.
    System = 3,
}

/// Bytes of a header: channel, three zeros, length in network order.
pub const HEADER: usize = 8;

/// A piece with its header.
pub fn encode(channel: Channel, bytes: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + bytes.len());
    frame.extend([channel as u8, 0, 0, 0]);
    frame.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend(bytes);
    frame
}

/// Reads a header: where its bytes go, and how many follow. `None` if it is none.
pub fn decode(header: [u8; HEADER]) -> Option<(Channel, usize)> {
    let channel = match header[0] {
        // Zero is standard input echoed: it belongs on the terminal.
        0 | 1 => Channel::Stdout,
        2 => Channel::Stderr,
        3 => Channel::System,
        _ => return None,
    };
    let [_, _, _, _, length @ ..] = header;
    Some((channel, u32::from_be_bytes(length) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_written() {
        let frame = encode(Channel::Stderr, b"oops");
        assert_eq!(frame, [2, 0, 0, 0, 0, 0, 0, 4, b'o', b'o', b'p', b's']);
        assert_eq!(decode(frame[..HEADER].try_into().unwrap()), Some((Channel::Stderr, 4)));
        assert_eq!(decode(*b"HTTP/1.1"), None);
    }
}
