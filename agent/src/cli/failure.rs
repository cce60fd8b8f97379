//! What ends a command early.

use crate::cli::PROGRAM;
use std::io::IsTerminal as _;

/// A message for people, and the exit code for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    /// What to do next. Only people are told: programs compare the message with Docker's.
    pub(crate) hint: Option<&'static str>,
    pub(crate) code: i32,
    /// The status that the server answered with.
    pub(crate) status: Option<u16>,
}

/// The exit code, or why there is none better.
pub(crate) type Outcome = Result<i32, Failure>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: 1, status: None }
    }

    /// Ends without another word: all was said.
    pub(crate) fn silent(code: i32) -> Self {
        Self { code, ..Self::new("") }
    }

    /// What the server answered, in Docker's words.
    pub(crate) fn from_server(status: u16, message: &str) -> Self {
        Self {
            hint: next_step(message),
            status: Some(status),
            ..Self::new(format!("Error response from daemon: {message}"))
        }
    }

    /// Whether the server said that the object does not exist.
    pub(crate) fn not_found(&self) -> bool {
        self.status == Some(404)
    }

    /// As `docker run` tells its errors: with the program's name, and where to read on.
    pub(crate) fn of_word(self, path: &str, code: i32) -> Self {
        let message =
            format!("{PROGRAM}: {}\n\nRun '{PROGRAM} {path} --help' for more information", self.message);
        Self { message, code, ..self }
    }

    /// Tells people.
    pub(crate) fn tell(&self) {
        if !self.message.is_empty() {
            eprintln!("{}", self.message);
        }
        if let Some(hint) = self.hint.filter(|_| std::io::stderr().is_terminal()) {
            eprintln!("{hint}");
        }
    }
}

/// What helps with an answer that says only what is wrong.
fn next_step(message: &str) -> Option<&'static str> {
    const STEPS: [(&str, &str); 8] = [
        ("No such container", "See which there are with: hull ps -a"),
        ("No such image", "See which there are with: hull images; bring one with: hull pull"),
        ("no such volume", "See which there are with: hull volume ls"),
        ("is already in use by container", "Remove it with: hull rm, or choose another --name."),
        ("port is already allocated", "See who has it with: hull ps --format '{{.Names}} {{.Ports}}'"),
        ("is not running", "Start it with: hull start"),
        (
            "is using its referenced image",
            "Remove the container with: hull rm, or the name alone with: hull rmi -f",
        ),
        ("volume is in use", "See by whom with: hull ps -a --filter volume=NAME"),
    ];
    STEPS.iter().find(|(words, _)| message.contains(words)).map(|(_, step)| *step)
}

impl From<std::io::Error> for Failure {
    /// A reader that went away is no error worth a word.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::silent(141),
            _ => Self::new(format!("{PROGRAM}: {error}")),
        }
    }
}
