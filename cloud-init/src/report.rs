//! Problems of one input, gathered while it is read.

use crate::node::{Issue, Read};
use hull_model::{Problem, Severity};

/// The problems of one source.
#[derive(Debug)]
pub(crate) struct Report {
    source: String,
    problems: Vec<Problem>,
    errors: usize,
}

impl Report {
    /// An empty report on a source: `user-data`, a file's path.
    pub(crate) fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), problems: Vec::new(), errors: 0 }
    }

    /// The object is not applied.
    pub(crate) fn error(&mut self, issue: Issue) {
        self.errors += 1;
        self.push(Severity::Error, issue);
    }

    /// The key is left out.
    pub(crate) fn warning(&mut self, issue: Issue) {
        self.push(Severity::Warning, issue);
    }

    /// The value if it could be read; otherwise the object is reported as not applied.
    pub(crate) fn take<T>(&mut self, read: Read<T>) -> Option<T> {
        read.map_err(|issue| self.error(issue)).ok()
    }

    /// How many errors so far: whoever must be all or nothing compares before and after.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// What was found.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    fn push(&mut self, severity: Severity, issue: Issue) {
        let Issue { path: object, reason, remedy } = issue;
        self.problems.push(Problem { severity, source: self.source.clone(), object, reason, remedy });
    }
}
