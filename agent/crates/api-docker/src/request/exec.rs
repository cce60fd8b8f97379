//! Further processes.

use super::decode::object;
use super::values::{Size, Words};

object! {
    /// A process to be made.
    ExecCreate as "container.ExecOptions" {
        user: String ["User"],
        privileged: bool ["Privileged"],
        tty: bool ["Tty"],
        console_size: Option<Size> ["ConsoleSize"],
        attach_stdin: bool ["AttachStdin"],
        attach_stdout: bool ["AttachStdout"],
        attach_stderr: bool ["AttachStderr"],
        detach_keys: String ["DetachKeys"],
        env: Option<Vec<String>> ["Env"],
        working_dir: String ["WorkingDir"],
        cmd: Option<Words> ["Cmd"],
    }
}

object! {
    /// How it is started.
    ExecStart as "container.ExecStartOptions" {
        detach: bool ["Detach"],
        tty: bool ["Tty"],
        console_size: Option<Size> ["ConsoleSize"],
    }
}
