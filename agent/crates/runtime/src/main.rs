//! `hull-runtime`: the supervisor (`serve`) and the runtime of single bundles (`run`).

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["run", "--bundle", directory, id] => {
            match hull_runtime::run::run(Path::new(directory), id, Path::new("/sys/fs/cgroup")) {
                Ok(ended) => ExitCode::from(ended.code() as u8),
                Err(failure) => {
                    eprintln!("hull-runtime: {failure}");
                    ExitCode::from(125)
                }
            }
        }
        _ => ExitCode::from(2),
    }
}
