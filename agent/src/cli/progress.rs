//! How far long work got: lines that move on a terminal, and lines that are said once elsewhere.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::{human, terminal};
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::Value;
use std::io::{IsTerminal as _, Write};

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Nothing,
    OnStdout,
    OnStderr,
}

/// Characters of a bar.
const BAR: u64 = 50;
/// Narrower terminals have numbers without bars.
const WIDE: u16 = 110;

/// Messages on a screen: each id has a line of its own.
struct Screen<W: Write> {
    out: W,
    /// The width, if there is a terminal.
    columns: Option<u16>,
    ids: Vec<String>,
}

impl<W: Write> Screen<W> {
    fn message(&mut self, message: &Value) -> std::io::Result<()> {
        let text = |key: &str| message[key].as_str().unwrap_or_default();
        let id = text("id");
        let detail = message.get("progressDetail").filter(|d| d.is_object());
        let moving = !id.is_empty() && (detail.is_some() || !text("progress").is_empty());
        let mut up = 0;
        if moving {
            let known = self.ids.iter().position(|known| known == id);
            let line = known.unwrap_or(self.ids.len());
            if known.is_none() {
                self.ids.push(id.to_owned());
                if self.columns.is_some() {
                    writeln!(self.out)?;
                }
            }
            up = self.ids.len() - line;
        } else {
            self.ids.clear();
        }
        let Some(columns) = self.columns else {
            let bar = detail.map(|d| bar(d, 200)).unwrap_or_default();
            return if bar.is_empty() { self.line(message, "", "\n") } else { Ok(()) };
        };
        if moving {
            write!(self.out, "\x1b[{up}A")?;
        }
        let bar = detail.map(|d| bar(d, columns)).unwrap_or_default();
        let is_stream = !text("stream").is_empty();
        if detail.is_some() && !is_stream {
            write!(self.out, "\x1b[2K\r")?;
            self.line(message, &bar, "\r")?;
        } else {
            self.line(message, &bar, "\n")?;
        }
        if moving {
            write!(self.out, "\x1b[{up}B")?;
        }
        self.out.flush()
    }

    fn line(&mut self, message: &Value, bar: &str, end: &str) -> std::io::Result<()> {
        let text = |key: &str| message[key].as_str().unwrap_or_default();
        let id = text("id");
        if !id.is_empty() {
            write!(self.out, "{id}: ")?;
        }
        match (text("stream"), bar) {
            ("", "") => write!(self.out, "{}{end}", text("status")),
            ("", bar) => write!(self.out, "{} {bar}{end}", text("status")),
            (stream, _) => write!(self.out, "{stream}"),
        }
    }
}

/// `[==>   ]  1.2MB/3.4MB`; empty where nothing is known.
fn bar(detail: &Value, columns: u16) -> String {
    let (current, total) = (detail["current"].as_u64().unwrap_or(0), detail["total"].as_u64().unwrap_or(0));
    if current == 0 && total == 0 {
        return String::new();
    }
    let units = detail["units"].as_str().filter(|u| !u.is_empty());
    let number = |n: u64| units.map_or_else(|| human::size_in(4, n), |_| n.to_string());
    if total == 0 {
        return format!("{:>8}{}", number(current), units.map(|u| format!(" {u}")).unwrap_or_default());
    }
    let done = (current.saturating_mul(BAR) / total).min(BAR);
    let bar = if columns > WIDE {
        let (done, left) = (done as usize, (BAR - done) as usize);
        format!("[{}>{}] ", "=".repeat(done), " ".repeat(left))
    } else {
        String::new()
    };
    let known =
        if current > total { number(current) } else { format!("{:>8}/{}", number(current), number(total)) };
    format!("{bar}{known}")
}

/// Shows messages until they end; an error among them is the failure.
pub(crate) async fn follow(response: Response<Incoming>, show: Show) -> Result<(), Failure> {
    let out: Box<dyn Write> = match show {
        Show::Nothing => Box::new(std::io::sink()),
        Show::OnStdout => Box::new(std::io::stdout()),
        Show::OnStderr => Box::new(std::io::stderr()),
    };
    let on_terminal = match show {
        Show::Nothing => false,
        Show::OnStdout => std::io::stdout().is_terminal(),
        Show::OnStderr => std::io::stderr().is_terminal(),
    };
    let columns = on_terminal.then(|| terminal::size().map_or(80, |(_, columns)| columns));
    let mut screen = Screen { out, columns, ids: Vec::new() };
    let (mut body, mut pending) = (response.into_body(), Vec::new());
    while let Some(part) = body.frame().await {
        let part = part.map_err(|e| Failure::new(format!("the connection broke off: {e}")))?;
        pending.extend(part.data_ref().into_iter().flatten());
        let mut stream = serde_json::Deserializer::from_slice(&pending).into_iter::<Value>();
        let mut read = 0;
        while let Some(message) = stream.next() {
            match message {
                Ok(message) => {
                    read = stream.byte_offset();
                    take(&mut screen, &message)?;
                }
                Err(error) if error.is_eof() => break,
                Err(error) => {
                    return Err(Failure::new(format!("the progress cannot be understood: {error}")));
                }
            }
        }
        pending.drain(..read);
    }
    Ok(())
}

fn take<W: Write>(screen: &mut Screen<W>, message: &Value) -> Result<(), Failure> {
    let error = message["errorDetail"]["message"].as_str().or_else(|| message["error"].as_str());
    if let Some(error) = error.filter(|error| !error.is_empty()) {
        return Err(Failure::new(error));
    }
    if message["aux"].is_null() || message["status"].is_string() || message["stream"].is_string() {
        screen.message(message)?;
    }
    Ok(())
}

/// Copies a body that is no list of messages.
pub(crate) async fn copy(response: Response<Incoming>, mut out: impl Write) -> Outcome {
    let mut body = response.into_body();
    while let Some(part) = body.frame().await {
        let part = part.map_err(|e| Failure::new(format!("the answer broke off: {e}")))?;
        if let Some(bytes) = part.data_ref() {
            out.write_all(bytes)?;
        }
    }
    out.flush()?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(columns: Option<u16>, messages: &[Value]) -> String {
        let mut screen = Screen { out: Vec::new(), columns, ids: vec![] };
        messages.iter().for_each(|message| screen.message(message).unwrap());
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn without_a_terminal_only_steps_are_told() {
        let messages = [
            json!({"status": "Pulling from library/x", "id": "latest"}),
            json!({"status": "Downloading", "id": "a", "progressDetail": {"current": 1, "total": 2}}),
            json!({"status": "Pull complete", "id": "a", "progressDetail": {}}),
            json!({"status": "Status: Downloaded"}),
            json!({"stream": "Loaded image: x\n"}),
        ];
        let text = "latest: Pulling from library/x\na: Pull complete\nStatus: Downloaded\nLoaded image: x\n";
        assert_eq!(shown(None, &messages), text);
    }

    #[test]
    fn on_a_terminal_each_id_has_a_line() {
        let messages = [
            json!({"status": "Waiting", "id": "a", "progressDetail": {}}),
            json!({"status": "Waiting", "id": "b", "progressDetail": {}}),
            json!({"status": "Done", "id": "a", "progressDetail": {}}),
        ];
        let text = "\n\x1b[1A\x1b[2K\ra: Waiting\r\x1b[1B\n\x1b[1A\x1b[2K\rb: Waiting\r\x1b[1B\x1b[2A\x1b[2K\ra: Done\r\x1b[2B";
        assert_eq!(shown(Some(120), &messages), text);
        let half = bar(&json!({"current": 500, "total": 1000}), 120);
        assert_eq!(half, format!("[{}>{}]     500B/1kB", "=".repeat(25), " ".repeat(25)));
    }
}
