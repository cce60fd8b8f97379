//! Wire format: netlink(7), struct nlmsghdr and struct nlattr of linux/netlink.h. Pure.

/// This is a request.
pub(crate) const NLM_F_REQUEST: u16 = 0x1;
/// Answer also when it succeeds.
pub(crate) const NLM_F_ACK: u16 = 0x4;
/// All objects instead of one.
pub(crate) const NLM_F_DUMP: u16 = 0x300;

const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// Length of struct nlmsghdr.
pub(crate) const HEADER: usize = 16;

/// One request: kind, flags, the family's own header, attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// A request with its family's header.
    pub(crate) fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut body = Vec::with_capacity(128);
        body.extend_from_slice(header);
        Self { kind, flags: flags | NLM_F_REQUEST, body }
    }

    /// Adds an attribute.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.open(kind);
        self.body.extend_from_slice(value);
        self.close(start);
        self
    }

    /// Adds a text attribute, with the zero at its end.
    pub(crate) fn put_text(&mut self, kind: u16, value: &str) -> &mut Self {
        let start = self.open(kind);
        self.body.extend_from_slice(value.as_bytes());
        self.body.push(0);
        self.close(start);
        self
    }

    /// Adds a number in the machine's byte order, as route netlink wants it.
    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds a number in network byte order, as nf_tables wants it.
    pub(crate) fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Adds an attribute made of attributes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.open(kind | NLA_F_NESTED);
        fill(self);
        self.close(start);
        self
    }

    /// Adds an attribute made of a fixed header and attributes (VETH_INFO_PEER is one).
    pub(crate) fn nest_with(&mut self, kind: u16, header: &[u8], fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.open(kind);
        self.body.extend_from_slice(header);
        fill(self);
        self.close(start);
        self
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.body.len();
        self.body.extend_from_slice(&[0, 0]);
        self.body.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        let length = self.body.len() - start;
        // Whoever builds lists keeps them below this: see the chunks in `nft::wire`.
        debug_assert!(length <= usize::from(u16::MAX), "an attribute of {length} bytes");
        self.body[start..start + 2].copy_from_slice(&(length as u16).to_ne_bytes());
        self.body.resize(self.body.len().next_multiple_of(4), 0);
    }
}

/// One message from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// Port of the socket whose request this is about; in notifications, who caused it.
    pub(crate) port: u32,
    pub(crate) body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Splits a datagram into its messages; stops at what is not one.
    pub(crate) fn split(mut bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let length = u32_at(bytes, 0)? as usize;
            let body = bytes.get(HEADER..length.min(bytes.len()))?;
            let reply = Self {
                kind: u16_at(bytes, 4)?,
                flags: u16_at(bytes, 6)?,
                sequence: u32_at(bytes, 8)?,
                port: u32_at(bytes, 12)?,
                body,
            };
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
            Some(reply)
        })
    }
}

/// An attribute in a message from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

/// The attributes in a piece of a message; stops at what is not one.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let value = bytes.get(4..length)?;
        let attribute = Attribute { kind: u16_at(bytes, 2)? & NLA_TYPE_MASK, value };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(attribute)
    })
}

/// A text attribute without its zero.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// A number in the machine's byte order.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_padded_and_nested_ones_counted() {
        let mut message = Message::new(16, 0, &[9, 9, 9, 9]);
        message.put_text(3, "lo").nest(18, |m| {
            m.put_u32(1, 7);
        });
        let outer: Vec<_> = attributes(&message.body[4..]).collect();
        assert_eq!((outer[0].kind, text(outer[0].value)), (3, "lo".to_owned()));
        assert_eq!(outer[1].kind, 18);
        let inner: Vec<_> = attributes(outer[1].value).collect();
        assert_eq!((inner[0].kind, u32_at(inner[0].value, 0)), (1, Some(7)));
        assert_eq!(message.body.len(), 4 + 8 + 4 + 8);
    }

    proptest! {
        #[test]
        fn reading_any_bytes_ends_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for reply in Reply::split(&bytes).take(64) {
                let _ = attributes(reply.body).take(64).map(|a| text(a.value).len()).sum::<usize>();
            }
        }
    }
}
