//! Files with holes: where their stored bytes belong (GNU tar manual, "Sparse Formats"). Pure.

use crate::TarError;

/// Where the stored bytes of a sparse file belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse {
    /// Offset in the file and length, in the order they are stored; they do not overlap.
    pub segments: Vec<(u64, u64)>,
    /// Size of the file with its holes.
    pub size: u64,
}

impl Sparse {
    /// Checks a map, offsets and lengths in turn, against the bytes that are stored for it.
    ///
    /// # Errors
    /// [`TarError::Malformed`] if segments overlap, are out of order or out of the file, or do not add up.
    pub fn new(numbers: &[u64], size: u64, stored: u64) -> Result<Self, TarError> {
        let bad = || TarError::malformed("the map of a sparse file is broken");
        if !numbers.len().is_multiple_of(2) || i64::try_from(size).is_err() {
            return Err(bad());
        }
        let mut segments = Vec::with_capacity(numbers.len() / 2);
        let (mut end, mut sum) = (0u64, 0u64);
        for pair in numbers.chunks_exact(2) {
            let (offset, length) = (pair[0], pair[1]);
            let stop = offset.checked_add(length).ok_or_else(bad)?;
            if offset < end || stop > size {
                return Err(bad());
            }
            end = stop;
            sum += length;
            if length > 0 {
                segments.push((offset, length));
            }
        }
        if sum == stored { Ok(Self { segments, size }) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_maps_are_checked() {
        let good = Sparse::new(&[0, 10, 100, 5, 200, 0], 200, 15).unwrap();
        assert_eq!(good.segments, [(0, 10), (100, 5)]);
        let rows: [(&[u64], u64, u64); 5] = [
            (&[0, 10, 5, 10], 100, 20),
            (&[0, 10], 100, 11),
            (&[0, 10], 5, 10),
            (&[0], 5, 0),
            (&[u64::MAX, 2], u64::MAX, 2),
        ];
        for (numbers, size, stored) in rows {
            assert!(Sparse::new(numbers, size, stored).is_err(), "{numbers:?}");
        }
    }
}
