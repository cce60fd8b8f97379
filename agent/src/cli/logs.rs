//! `hull logs`: a container's output, on the streams it came from.

use crate::cli::args::LogsOptions;
use crate::cli::client::{Client, escape, is_framed};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::human::point_in_time;
use http_body_util::BodyExt as _;
use hull_api_docker::frame::{self, Channel, HEADER};
use hyper::Method;
use jiff::Timestamp;
use std::io::{self, Write};

/// Shows the output.
pub(crate) async fn run(client: &Client, options: &LogsOptions) -> Outcome {
    let mut query = format!("stdout=1&stderr=1&tail={}", escape(&options.tail));
    if options.tail != "all" && options.tail.parse::<i64>().is_err() {
        return Err(Failure::new(format!(
            "invalid value {:?} for --tail: it must be a number or all",
            options.tail
        )));
    }
    for (name, on) in [("follow", options.follow), ("timestamps", options.timestamps)] {
        if on {
            query.push_str(&format!("&{name}=1"));
        }
    }
    for (name, time) in [("since", &options.since), ("until", &options.until)] {
        if let Some(time) = time {
            query.push_str(&format!("&{name}={}", point_in_time(time, Timestamp::now())?));
        }
    }
    let path = format!("/containers/{}/logs?{query}", escape(&options.container));
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
