//! The command line: arguments in, requests over the socket, text out. Decides nothing about the host.

mod args;
mod client;
mod exec;
mod failure;
mod human;
mod images;
mod inspect;
mod json;
mod lifecycle;
mod logs;
mod ps;
mod rows;
mod status;
mod system;
mod table;
mod template;
mod terminal;

use args::{Args, Command};
use clap::Parser as _;
use client::Client;
use failure::{Failure, Outcome};
use std::process::ExitCode;

/// Exit code for arguments that make no sense, as Docker's.
const USAGE: i32 = 125;

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nothing can be done about a terminal that is gone.
            _ = error.print();
            if let Some(hint) = args::hint(&error) {
                eprintln!("\n{hint}");
            }
            return exit_code(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("hull: the kernel refuses an event queue: {error}");
            return exit_code(1);
        }
    };
    let code = match runtime.block_on(run(args)) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{}", failure.message);
            }
            failure.code
        }
    };
    // A thread may still be reading the terminal, and must not keep us.
    runtime.shutdown_background();
    exit_code(code)
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}

async fn run(args: Args) -> Outcome {
    if let Command::Completion { shell } = args.command {
        return system::completion(shell);
    }
    let client = Client::new(&args.host())?;
    match args.command {
        Command::Status(options) => status::run(&client, &options).await,
        Command::Ps(options) => ps::run(&client, &options).await,
        Command::Images(options) => images::run(&client, &options).await,
        Command::Logs(options) => logs::run(&client, &options).await,
        Command::Exec(options) => exec::run(&client, options).await,
        Command::Inspect(options) => inspect::run(&client, &options).await,
        Command::Start(options) => lifecycle::start(&client, &options).await,
        Command::Stop(options) => lifecycle::stop(&client, &options, "stop").await,
        Command::Restart(options) => lifecycle::stop(&client, &options, "restart").await,
        Command::Kill(options) => lifecycle::kill(&client, &options).await,
        Command::Wait(options) => lifecycle::wait(&client, &options).await,
        Command::Rm(options) => lifecycle::remove(&client, &options).await,
        Command::Events(options) => system::events(&client, &options).await,
        Command::Version(options) => system::version(&client, options.format.as_deref()).await,
        Command::Info(options) => system::info(&client, options.format.as_deref()).await,
        Command::System { command: args::SystemCommand::Reset { force } } => {
            system::reset(&client, force).await
        }
        Command::Completion { .. } => Ok(0),
    }
}

/// The error of a request for one of several objects; the others are still tried.
fn report(failed: &mut Option<Failure>, failure: Failure) {
    if let Some(earlier) = failed.replace(failure) {
        eprintln!("{}", earlier.message);
    }
}
