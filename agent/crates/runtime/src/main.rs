//! `hull-runtime`: the supervisor (`serve`) and the runtime of single bundles (`run`).

use hull_runtime::supervisor::{Options, serve};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
hull-runtime runs containers.

Usage:
  hull-runtime serve --run-dir DIR --state-dir DIR
      Be the parent of all containers: listen on DIR/runtime.sock until told to stop. Containers go on running; the
      next supervisor adopts them.
  hull-runtime run [--bundle DIR] ID
      Run an OCI bundle (config.json and root file system) in the foreground. Ends with its exit code.

Options:
  --cgroup-root DIR   where control groups are mounted [/sys/fs/cgroup]
  --journal PATH      the journal's socket [/run/systemd/journal/socket]
  --help, --version
";

/// Options by name, and the words that are none.
struct Arguments {
    options: Vec<(String, String)>,
    words: Vec<String>,
}

impl Arguments {
    fn parse(args: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, String> {
        let (mut options, mut words) = (Vec::new(), Vec::new());
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            let Some(option) = arg.strip_prefix("--") else {
                words.push(arg);
                continue;
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (option.to_owned(), None),
            };
            if !known.contains(&name.as_str()) {
                return Err(format!("--{name} is not an option here"));
            }
            let value = value.or_else(|| args.next()).ok_or_else(|| format!("--{name} needs a value"))?;
            options.push((name, value));
        }
        Ok(Self { options, words })
    }

    fn get(&self, name: &str) -> Option<PathBuf> {
        self.options.iter().rev().find(|(known, _)| known == name).map(|(_, value)| PathBuf::from(value))
    }

    fn require(&self, name: &str) -> Result<PathBuf, String> {
        self.get(name).ok_or_else(|| format!("--{name} is missing"))
    }

    fn cgroup_root(&self) -> PathBuf {
        self.get("cgroup-root").unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup"))
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next().unwrap_or_default();
    let result = match verb.as_str() {
        "serve" => serve_command(args),
        "run" => run_command(args),
        "--help" | "-h" | "help" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        "--version" => {
            println!("hull-runtime {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("{other:?} is not a command; see hull-runtime --help")),
    };
    result.unwrap_or_else(|message| {
        eprintln!("hull-runtime: {message}");
        ExitCode::from(125)
    })
}

fn serve_command(args: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let args = Arguments::parse(args, &["run-dir", "state-dir", "cgroup-root", "journal"])?;
    let options = Options {
        run_dir: args.require("run-dir")?,
        state_dir: args.require("state-dir")?,
        cgroup_root: args.cgroup_root(),
        journal: args.get("journal").unwrap_or_else(|| PathBuf::from("/run/systemd/journal/socket")),
    };
    serve(options).map(|()| ExitCode::SUCCESS).map_err(|failure| failure.to_string())
}

fn run_command(args: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let args = Arguments::parse(args, &["bundle", "cgroup-root"])?;
    let [id] = args.words.as_slice() else { return Err("run takes one container id".to_owned()) };
    let bundle = args.get("bundle").unwrap_or_else(|| Path::new(".").to_owned());
    let ended =
        hull_runtime::run::run(&bundle, id, &args.cgroup_root()).map_err(|failure| failure.to_string())?;
    Ok(ExitCode::from(ended.code() as u8))
}
