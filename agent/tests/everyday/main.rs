//! Daily use, typed as people type it: every transcript of `transcripts/` is played twice against the real agent, once with the
//! unmodified `docker` program and once with `hull` under its name.
//!
//! With `HULL_EVERYDAY_HOST=unix://…` the transcripts are played against another engine instead, by `docker` alone: so it can
//! be seen that they ask for what Docker does. `HULL_EVERYDAY_ONLY=name` plays one of them.

mod session;
mod transcript;

use anyhow::{Context as _, Result, bail};
use session::{Client, Session};
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() {
    if let Err(error) = transcript::check_itself().and_then(|()| run()) {
        eprintln!("everyday: FAILED: {error:#}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/everyday/transcripts");
    let only = std::env::var("HULL_EVERYDAY_ONLY").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)?.flatten().map(|e| e.path()).collect();
    files.retain(|f| f.file_stem().is_some_and(|s| s.to_string_lossy().contains(&only)));
    files.sort();
    if files.is_empty() {
        bail!("no transcript matches {only:?}");
    }
    let session = Session::start()?;
    let mut failed = Vec::new();
    for client in session.clients() {
        for file in &files {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let begun = Instant::now();
            match play(&session, client, file) {
                Ok(()) => println!("  {client} {name}: {:.1} s", begun.elapsed().as_secs_f64()),
                Err(error) => {
                    eprintln!("  {client} {name}: FAILED: {error:#}");
                    failed.push(format!("{client} {name}"));
                }
            }
            session.clean(client)?;
        }
    }
    if failed.is_empty() {
        println!("test everyday ... ok");
        return Ok(());
    }
    bail!("{}; the agent's last words:\n{}", failed.join(", "), session.log_tail())
}

/// Plays one transcript in a directory of its own. The first difference ends it.
fn play(session: &Session, client: Client, file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let dir = session.new_directory()?;
    for step in transcript::parse(&text)? {
        let seen = session.play(client, &step, &dir)?;
        let lines: Vec<&str> = seen.text.lines().collect();
        if seen.code != step.code || !transcript::matches(&step.expected, &lines) {
            bail!(
                "line {}: {}\n--- expected (exit code {})\n{}\n--- seen (exit code {})\n{}",
                step.line,
                step.command,
                step.code,
                step.expected.join("\n"),
                seen.code,
                seen.text.trim_end()
            );
        }
    }
    Ok(())
}
