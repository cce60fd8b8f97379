//! PAX extended headers (POSIX.1-2017 pax, GNU tar manual "Sparse Formats"). Pure.

use crate::TarError;

/// The prefix under which tar programs store extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the extended header of one entry replaces or adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    /// Seconds since 1970 and nanoseconds.
    pub(super) mtime: Option<(i64, u32)>,
    /// Names and values as they stand; nothing is filtered here.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

/// The `GNU.sparse.*` records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// Offsets and lengths, in turn, of formats 0.0 and 0.1.
    pub(super) numbers: Vec<u64>,
}

/// Parses the records of an extended header: `LENGTH KEY=VALUE\n`, the length counting itself.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Pax, TarError> {
    let mut pax = Pax::default();
    while !bytes.is_empty() {
        let bad = || TarError::malformed("an extended header record is broken");
        let space = bytes.iter().take(20).position(|b| *b == b' ').ok_or_else(bad)?;
        let length = usize::try_from(decimal(&bytes[..space])?).map_err(|_| bad())?;
        if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return Err(bad());
        }
        let record = &bytes[space + 1..length - 1];
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
        pax.set(&record[..equals], &record[equals + 1..])?;
        bytes = &bytes[length..];
    }
    Ok(pax)
}

impl Pax {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        // An empty value takes an earlier one back.
        let number = || if value.is_empty() { Ok(None) } else { decimal(value).map(Some) };
        let text = || if value.is_empty() { None } else { Some(value.to_vec()) };
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => self.mtime = if value.is_empty() { None } else { Some(timestamp(value)?) },
            b"GNU.sparse.major" => self.sparse.major = number()?,
            b"GNU.sparse.minor" => self.sparse.minor = number()?,
            b"GNU.sparse.name" => self.sparse.name = text(),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse.real_size = number()?,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse.numbers.push(decimal(value)?),
            b"GNU.sparse.map" => {
                self.sparse.numbers =
                    value.split(|b| *b == b',').map(decimal).collect::<Result<Vec<u64>, TarError>>()?;
            }
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.retain(|(other, _)| other != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Parses an unsigned decimal number and nothing else: no sign, no space, no overflow.
pub(super) fn decimal(text: &[u8]) -> Result<u64, TarError> {
    let bad = || TarError::malformed("a number in an extended header is broken");
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or_else(bad)
}

/// Parses `[-]SECONDS[.FRACTION]`.
fn timestamp(text: &[u8]) -> Result<(i64, u32), TarError> {
    let bad = || TarError::malformed("a time in an extended header is broken");
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|b| *b == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let seconds = i64::try_from(decimal(whole)?).map_err(|_| bad())?;
    let nanos = fraction
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(9)
        .fold(0u32, |n, b| n * 10 + u32::from(b - b'0'));
    Ok(match (negative, nanos) {
        (false, nanos) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str) -> Vec<u8> {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len() + 1;
        while length.to_string().len() + rest.len() != length {
            length += 1;
        }
        format!("{length}{rest}").into_bytes()
    }

    #[test]
    fn records_are_read() {
        let mut bytes = record("path", "a=b/ü");
        bytes.extend(record("size", "123456789012"));
        bytes.extend(record("mtime", "1700000000.5"));
        bytes.extend(record("SCHILY.xattr.user.k", "v\nw"));
        bytes.extend(record("comment", "ignored"));
        let pax = parse(&bytes).unwrap();
        assert_eq!(pax.path.as_deref(), Some("a=b/ü".as_bytes()));
        assert_eq!(pax.size, Some(123_456_789_012));
        assert_eq!(pax.mtime, Some((1_700_000_000, 500_000_000)));
        assert_eq!(pax.xattrs, [(b"user.k".to_vec(), b"v\nw".to_vec())]);
    }

    #[test]
    fn times_before_1970_and_odd_fractions() {
        assert_eq!(timestamp(b"-1.25").unwrap(), (-2, 750_000_000));
        assert_eq!(timestamp(b"-3").unwrap(), (-3, 0));
        assert_eq!(timestamp(b"1.1234567899").unwrap(), (1, 123_456_789));
        for bad in ["", ".5", "1.x", "x", "--1", "99999999999999999999"] {
            assert!(timestamp(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn broken_records_are_refused() {
        for bad in [
            &b"5 a=b"[..],
            b"6 a=b",
            b"0 a=b\n",
            b"99 a=b\n",
            b"x a=b\n",
            b"6 abc\n",
            b"11 size=-1\n",
            b"+6 a=b\n",
        ] {
            assert!(parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
