//! `hull`: what the host is, and what runs on it, from a terminal.

#[path = "../cli/mod.rs"]
mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
