//! CRC-32C (RFC 3720, appendix B.4) as the super block has it: begun with all ones, not inverted at the end.

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checksum of some hundred bytes.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn known_values() {
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(!crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(!crc32c(&[0xff; 32]), 0x62a8_ab43);
    }
}
