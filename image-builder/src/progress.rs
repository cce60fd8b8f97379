//! Steps: each is shown while it runs, timed, and logs to a file of its own.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// How many lines of a failed step's log are repeated in the error.
const TAIL_LINES: usize = 15;
/// And how much of each.
const TAIL_WIDTH: usize = 240;

/// Shows steps one after the other: a spinner on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub struct Progress {
    logs: PathBuf,
    count: u32,
    started: Instant,
    terminal: bool,
}

/// The log of one step; programs of that step are run through it.
#[derive(Debug)]
pub struct StepLog {
    path: PathBuf,
    file: File,
}

impl Progress {
    /// Logs go to `logs`, one file for each step, numbered in order.
    pub fn new(logs: &Path) -> Self {
        Self {
            logs: logs.to_owned(),
            count: 0,
            started: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Runs one step. Its error names the log and repeats the log's last lines.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce(&mut StepLog) -> Result<T>) -> Result<T> {
        self.count += 1;
        let path = self.logs.join(format!("{:02}-{}.log", self.count, name.replace([' ', '/'], "-")));
        let file =
            File::create(&path).with_context(|| format!("cannot create the log {}", path.display()))?;
        let mut log = StepLog { path: path.clone(), file };
        let spinner = self.terminal.then(|| spinner(name));
        let begun = Instant::now();
        let result = work(&mut log);
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
        }
        match result {
            Ok(value) => {
                eprintln!("{:>6.1} s  {name}", begun.elapsed().as_secs_f64());
                Ok(value)
            }
            Err(error) => {
                eprintln!("{:>6.1} s  {name}: FAILED", begun.elapsed().as_secs_f64());
                Err(error.context(format!("step `{name}` failed (log: {}){}", path.display(), tail(&path))))
            }
        }
    }

    /// Says that a step was not needed because its result is still there.
    pub fn cached(&self, name: &str) {
        eprintln!("cached    {name}");
    }

    /// Time since the first step.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl StepLog {
    /// Runs a program to its end with its output in the log; anything but exit code 0 is an error.
    pub fn run(&mut self, command: &mut Command) -> Result<()> {
        self.note(&format!("+ {}", describe(command)))?;
        let status = command
            .stdin(Stdio::null())
            .stdout(self.file.try_clone()?)
            .stderr(self.file.try_clone()?)
            .status()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        if !status.success() {
            bail!("{} ended with {status}", describe(command));
        }
        Ok(())
    }

    /// Runs a program and returns what it wrote to its standard output.
    pub fn output(&mut self, command: &mut Command) -> Result<String> {
        self.note(&format!("+ {}", describe(command)))?;
        let output = command
            .stdin(Stdio::null())
            .stderr(self.file.try_clone()?)
            .output()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        self.file.write_all(&output.stdout)?;
        if !output.status.success() {
            bail!("{} ended with {}", describe(command), output.status);
        }
        String::from_utf8(output.stdout)
            .with_context(|| format!("output of {} is not UTF-8", describe(command)))
    }

    /// Adds a line of our own.
    pub fn note(&mut self, line: &str) -> Result<()> {
        writeln!(self.file, "{line}").with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn spinner(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(name.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>6} {spinner} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// The part of a command line that says what is run: our own entry wrapper is left out.
fn describe(command: &Command) -> String {
    let words: Vec<String> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let skip = words.iter().position(|w| w == crate::sandbox::MARK).map_or(0, |i| i + 1);
    if skip > 0 {
        return words[skip..].join(" ");
    }
    format!("{} {}", command.get_program().to_string_lossy(), words.join(" "))
}

fn tail(path: &Path) -> String {
    let Ok(text) = OpenOptions::new().read(true).open(path).and_then(std::io::read_to_string) else {
        return String::new();
    };
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..]
        .iter()
        .map(|line| format!("\n    {}", line.chars().take(TAIL_WIDTH).collect::<String>()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_names_its_log_and_repeats_its_end() {
        let dir = std::env::temp_dir().join(format!("hull-progress-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut progress = Progress::new(&dir);
        let error = progress
            .step("say something", |log| log.run(Command::new("sh").args(["-c", "echo the reason; exit 3"])))
            .unwrap_err();
        let text = format!("{error:#}");
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(text.contains("01-say-something.log"), "{text}");
        assert!(text.contains("the reason"), "{text}");
        assert!(text.contains("exit status: 3"), "{text}");
    }
}
