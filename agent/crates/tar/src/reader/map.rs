//! Reading the map of a sparse file.

use super::pax::{Pax, decimal};
use super::{Archive, BLOCK};
use crate::{Sparse, TarError};
use std::io::BufRead;

/// The most segments of one sparse file.
const MAX_SEGMENTS: usize = 1 << 16;

impl<R: BufRead> Archive<R> {
    /// The map of a sparse file, in any of the four ways GNU tar has written it.
    pub(super) fn sparse(
        &mut self,
        header: &tar::Header,
        pax: &Pax,
        size: u64,
    ) -> Result<Option<Sparse>, TarError> {
        let records = &pax.sparse;
        if header.entry_type().is_gnu_sparse() {
            let (numbers, real_size) = self.old_gnu_map(header, size)?;
            return Sparse::new(&numbers, real_size, size).map(Some);
        }
        let bad = || TarError::malformed("the map of a sparse file is broken");
        match (records.major, records.minor) {
            (Some(1), Some(0)) => {
                let numbers = self.leading_map()?;
                Sparse::new(&numbers, records.real_size.ok_or_else(bad)?, self.remaining).map(Some)
            }
            (None, None) | (Some(0), Some(0 | 1))
                if records.real_size.is_none() && records.numbers.is_empty() =>
            {
                Ok(None)
            }
            (None, None) | (Some(0), Some(0 | 1)) => {
                Sparse::new(&records.numbers, records.real_size.ok_or_else(bad)?, size).map(Some)
            }
            _ => Err(bad()),
        }
    }

    /// Format 1.0: the map stands before the data, in decimal lines padded to a block.
    fn leading_map(&mut self) -> Result<Vec<u64>, TarError> {
        let mut text: Vec<u8> = Vec::new();
        let mut lines: Vec<u64> = Vec::new();
        loop {
            let wanted = lines.first().map(|count| count.saturating_mul(2).saturating_add(1));
            if wanted.is_some_and(|n| n > 2 * MAX_SEGMENTS as u64 + 1) {
                return Err(TarError::malformed("a sparse file has too many segments"));
            }
            if wanted.is_some_and(|n| lines.len() as u64 >= n) {
                lines.remove(0);
                return Ok(lines);
            }
            let before = text.len();
            self.data(BLOCK as u64, |piece| {
                text.extend_from_slice(piece);
                Ok::<_, TarError>(())
            })?;
            // A line is one number, so a block without the end of a line cannot be part of a map.
            if text.len() != before + BLOCK || before > BLOCK {
                return Err(TarError::malformed("the map of a sparse file is broken"));
            }
            while let Some(newline) = text.iter().position(|b| *b == b'\n') {
                let complete =
                    lines.first().is_some_and(|count| lines.len() as u64 > count.saturating_mul(2));
                if complete {
                    break;
                }
                lines.push(decimal(&text[..newline])?);
                text.drain(..=newline);
            }
        }
    }

    /// The map in the header itself and in blocks after it.
    fn old_gnu_map(&mut self, header: &tar::Header, size: u64) -> Result<(Vec<u64>, u64), TarError> {
        let bad = || TarError::malformed("the map of a sparse file is broken");
        let gnu = header.as_gnu().ok_or_else(bad)?;
        let mut numbers = Vec::new();
        let mut add = |segments: &[tar::GnuSparseHeader]| -> Result<(), TarError> {
            for segment in segments.iter().take_while(|s| !s.is_empty()) {
                numbers.push(segment.offset().map_err(|_| bad())?);
                numbers.push(segment.length().map_err(|_| bad())?);
            }
            if numbers.len() > 2 * MAX_SEGMENTS { Err(bad()) } else { Ok(()) }
        };
        add(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let block = self.block()?.ok_or(TarError::Truncated)?;
            let mut extended = tar::GnuExtSparseHeader::new();
            extended.as_mut_bytes().copy_from_slice(&block);
            add(extended.sparse())?;
            more = extended.is_extended();
        }
        self.expect(size);
        Ok((numbers, gnu.real_size().map_err(|_| bad())?))
    }
}
