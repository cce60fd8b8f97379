//! One line of a log file, in both forms: Hull's own and Docker's. Pure.
//!
//! The compact form is one line of text for each piece of output: a letter (`o` standard output, `e` standard error; a capital
//! if the piece did not end with a newline), the time as sixteen hexadecimal digits (nanoseconds since 1970), a space, and the
//! bytes as they were written, without their newline. Since no piece contains a newline but at its end, every newline of
//! a file is the end of a record: whatever damaged it, reading goes on after the next one, forwards as well as backwards.

use super::json;
use hull_model::LogDriver;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Which stream a piece came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How records are written into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Hull's own.
    Compact,
    /// Docker's json-file.
    Json,
}

/// A piece of output as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whether it came from standard error.
    pub stderr: bool,
    /// When it was read from the container.
    pub at: Timestamp,
    /// The bytes; without a newline at the end it is a part of a longer line, or the last of a stream.
    pub bytes: Vec<u8>,
    /// What the record itself says of labels and the like; nothing in the compact form.
    pub attributes: Option<BTreeMap<String, String>>,
}

/// Letter, time and space of the compact form.
const HEAD: usize = 18;

impl Format {
    /// The form of the files a driver keeps. Drivers that send output elsewhere keep a copy in the compact form.
    pub fn of(driver: LogDriver) -> Self {
        if driver == LogDriver::JsonFile { Self::Json } else { Self::Compact }
    }

    /// Appends a record. `attributes` is what [`json::attributes`] made.
    pub(crate) fn encode(
        self,
        out: &mut Vec<u8>,
        source: Source,
        at: Timestamp,
        bytes: &[u8],
        attributes: &str,
    ) {
        match self {
            Self::Compact => encode(out, source, at, bytes),
            Self::Json => json::encode(out, source, at, bytes, attributes),
        }
    }

    /// Reads a record without its newline; `None` if it is none.
    pub fn decode(self, record: &[u8]) -> Option<Entry> {
        match self {
            Self::Compact => decode(record),
            Self::Json => json::decode(record),
        }
    }
}

fn encode(out: &mut Vec<u8>, source: Source, at: Timestamp, bytes: &[u8]) {
    let (body, whole) = match bytes.strip_suffix(b"\n") {
        Some(body) => (body, true),
        None => (bytes, false),
    };
    let letter = match (source, whole) {
        (Source::Stdout, true) => 'o',
        (Source::Stdout, false) => 'O',
        (Source::Stderr, true) => 'e',
        (Source::Stderr, false) => 'E',
    };
    let nanoseconds = u64::try_from(at.as_nanosecond()).unwrap_or(0);
    // Writing into memory does not fail.
    let _ = write!(out, "{letter}{nanoseconds:016x} ");
    out.extend_from_slice(body);
    out.push(b'\n');
}

fn decode(record: &[u8]) -> Option<Entry> {
    let (head, body) = record.split_at_checked(HEAD)?;
    let (stderr, whole) = match head[0] {
        b'o' => (false, true),
        b'O' => (false, false),
        b'e' => (true, true),
        b'E' => (true, false),
        _ => return None,
    };
    let digits = head[1..HEAD - 1].iter().try_fold(0u64, |value, byte| {
        let digit = char::from(*byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase())?;
        Some(value << 4 | u64::from(digit))
    })?;
    let at = Timestamp::from_nanosecond(i128::from(digits)).ok()?;
    if head[HEAD - 1] != b' ' {
        return None;
    }
    let mut bytes = body.to_vec();
    if whole {
        bytes.push(b'\n');
    }
    Some(Entry { stderr, at, bytes, attributes: None })
}
