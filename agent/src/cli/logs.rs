//! `hull logs`: a container's output, on the streams it came from.

use crate::cli::Context;
use crate::cli::client::{is_framed, name, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::human::point_in_time;
use http_body_util::BodyExt as _;
use hull_api_docker::frame::{self, Channel, HEADER};
use hyper::Method;
use jiff::Timestamp;
use std::io::{self, Write};

/// Shows the output.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let client = &context.client;
    // A container that is not there is said before a time that is none.
    let path = format!("/containers/{}", name(given.first()));
    client.call(Method::GET, &format!("{path}/json"), None).await?;
    let mut pairs = vec![("stdout", "1".to_owned()), ("stderr", "1".to_owned())];
    for flag in ["follow", "timestamps", "details"] {
        if given.on(flag) {
            pairs.push((flag, "1".to_owned()));
        }
    }
    for flag in ["since", "until"] {
        if let Some(time) = given.some(flag) {
            let wrong = |f: Failure| Failure::new(format!("invalid value for \"{flag}\": {}", f.message));
            pairs.push((flag, point_in_time(time, Timestamp::now()).map_err(wrong)?));
        }
    }
    pairs.push(("tail", given.text("tail").to_owned()));
    let path = format!("{path}/logs{}", query(pairs));
    let response = client.open(Method::GET, &path, None).await?;
    let mut demux = Demux::new(is_framed(&response));
    let mut body = response.into_body();
    while let Some(part) = body.frame().await {
        let part = part.map_err(|e| Failure::new(format!("the output broke off: {e}")))?;
        if let Some(bytes) = part.data_ref() {
            demux.feed(bytes, &mut io::stdout(), &mut io::stderr())?;
        }
    }
    Ok(0)
}

/// Takes frames apart, however they are cut.
pub(crate) struct Demux {
    framed: bool,
    header: Vec<u8>,
    channel: Channel,
    left: usize,
}

impl Demux {
    pub(crate) fn new(framed: bool) -> Self {
        Self { framed, header: Vec::with_capacity(HEADER), channel: Channel::Stdout, left: 0 }
    }

    /// Writes the bytes of a piece where they belong.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        out: &mut impl Write,
        err: &mut impl Write,
    ) -> io::Result<()> {
        if !self.framed {
            out.write_all(bytes)?;
            return out.flush();
        }
        while !bytes.is_empty() {
            if self.left == 0 {
                let taken = bytes.len().min(HEADER - self.header.len());
                self.header.extend(&bytes[..taken]);
                bytes = &bytes[taken..];
                if let Ok(header) = <[u8; HEADER]>::try_from(self.header.as_slice()) {
                    let bad = || {
                        io::Error::new(io::ErrorKind::InvalidData, "the output is not framed as it should be")
                    };
                    (self.channel, self.left) = frame::decode(header).ok_or_else(bad)?;
                    self.header.clear();
                }
                continue;
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(self.left));
            match self.channel {
                Channel::Stdout => out.write_all(piece)?,
                Channel::Stderr | Channel::System => err.write_all(piece)?,
            }
            self.left -= piece.len();
            bytes = rest;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_put_together_however_they_are_cut() {
        let mut stream = frame::encode(Channel::Stdout, b"hello ");
        stream.extend(frame::encode(Channel::Stderr, b"oops"));
        stream.extend(frame::encode(Channel::Stdout, b""));
        stream.extend(frame::encode(Channel::Stdout, b"world"));
        for size in 1..=stream.len() {
            let (mut out, mut err, mut demux) = (Vec::new(), Vec::new(), Demux::new(true));
            for piece in stream.chunks(size) {
                demux.feed(piece, &mut out, &mut err).unwrap();
            }
            assert_eq!((&out[..], &err[..]), (&b"hello world"[..], &b"oops"[..]), "pieces of {size}");
        }
        assert!(Demux::new(true).feed(b"HTTP/1.1 200", &mut Vec::new(), &mut Vec::new()).is_err());
    }
}
