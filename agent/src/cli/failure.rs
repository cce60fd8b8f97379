//! What ends a command early.

/// A message for people, and the exit code for programs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: i32,
    /// The server said that the object does not exist.
    pub(crate) not_found: bool,
}

/// The exit code, or why there is none better.
pub(crate) type Outcome = Result<i32, Failure>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1, not_found: false }
    }

    /// What the server answered, in Docker's words.
    pub(crate) fn from_server(status: u16, message: &str) -> Self {
        let mut message = format!("Error response from daemon: {message}");
        if status == 404 && message.contains("No such container") {
            message +=
                "\nhull ps -a shows the containers there are, and hull status those that are still to come.";
        }
        Self { message, code: 1, not_found: status == 404 }
    }
}

impl From<std::io::Error> for Failure {
    /// A reader that went away is no error worth a word.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self { message: String::new(), code: 141, not_found: false },
            _ => Self::new(format!("hull: {error}")),
        }
    }
}
