//! The arguments, and the help that teaches them.

use clap::error::{ContextKind, ContextValue};
use clap::{Args as Options, Parser, Subcommand};

/// Where the agent listens on Hull's OS.
pub(crate) const DEFAULT_HOST: &str = "unix:///run/docker.sock";

const EXAMPLES: &str = "\
Examples:
  hull status                    what the host should be, what it is, and what is being done
  hull status --wait 60s         come back when the host is ready, or fail after a minute
  hull ps -a                     containers, also those that ended
  hull logs -f web               follow the output of the container web
  hull exec -it web sh           a shell in the container web
  hull inspect --format '{{.State.Status}}' web

The words are Docker's, and the docker command itself works on the same socket.
Nothing is run, pulled or created from here: what runs is what the host spec declares.";

/// Docker's commands that make or change what only the host spec declares.
const DECLARED: [&str; 16] = [
    "run", "create", "pull", "push", "build", "compose", "rmi", "volume", "network", "update", "rename",
    "tag", "load", "import", "commit", "login",
];

/// Looks at a Hull host and what runs on it.
#[derive(Debug, Parser)]
#[command(name = "hull", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    /// Socket of the agent, as unix:///PATH [default: $DOCKER_HOST, or else unix:///run/docker.sock]
    #[arg(short = 'H', long, global = true, value_name = "SOCKET")]
    host: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// Where the agent listens: as said here, in the environment, or nowhere.
    pub(crate) fn host(&self) -> String {
        let environment = || std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        self.host.clone().or_else(environment).unwrap_or_else(|| DEFAULT_HOST.to_owned())
    }
}

/// What else to say to somebody whose arguments cannot be understood.
pub(crate) fn hint(error: &clap::Error) -> Option<&'static str> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    DECLARED.contains(&word.as_str()).then_some(
        "Hull makes containers from what the host spec declares, with their images, networks and volumes.\n\
         hull status shows them, and where the host spec comes from; hull inspect NAME shows one.",
    )
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what the host should be, what it is, and what is being done about it
    Status(StatusOptions),
    /// List containers
    #[command(
        visible_alias = "list",
        after_help = "Examples:\n  hull ps -a --filter status=exited\n  hull ps --format '{{.Names}}\\t{{.Status}}'"
    )]
    Ps(PsOptions),
    /// Show the output of a container
    #[command(after_help = "Examples:\n  hull logs -f --tail 20 web\n  hull logs --since 10m -t web")]
    Logs(LogsOptions),
    /// Run a command in a running container
    #[command(
        after_help = "Examples:\n  hull exec web cat /etc/hostname\n  hull exec -it web sh        ctrl-p ctrl-q leaves it running\n  hull exec -i db psql < dump.sql"
    )]
    Exec(ExecOptions),
    /// List images
    Images(ImagesOptions),
    /// Show everything about containers, images, networks or volumes
    #[command(
        after_help = "Examples:\n  hull inspect web\n  hull inspect --format '{{json .NetworkSettings.Networks}}' web\n  hull inspect --format '{{range .Mounts}}{{.Source}} -> {{.Destination}}{{println}}{{end}}' web"
    )]
    Inspect(InspectOptions),
    /// Start containers that do not run
    Start(NamesOptions),
    /// Stop containers; what the host spec declares comes back when the host restarts or the spec changes
    Stop(StopOptions),
    /// Stop and start containers
    Restart(StopOptions),
    /// Send a signal to containers
    Kill(KillOptions),
    /// Wait until containers have ended, and print their exit codes
    Wait(NamesOptions),
    /// Remove containers that the host spec does not declare
    Rm(RmOptions),
    /// Show what happens, as it happens
    Events(EventsOptions),
    /// Show the versions of this program and of the agent
    Version(FormatOptions),
    /// Show what the agent knows of the host
    Info(FormatOptions),
    /// Look after the agent itself
    System {
        #[command(subcommand)]
        command: SystemCommand,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  source <(hull completion bash)")]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Looking after the agent.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemCommand {
    /// End every container, remove every network, interface and rule that the agent made, and end the agent
    #[command(after_help = "Images and volumes stay on disk.")]
    Reset {
        /// Do not ask
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Debug, Options)]
#[command(after_help = "Exit code: 0, unless --check or --wait is given and the host is not ready: then 1.")]
pub(crate) struct StatusOptions {
    /// Output: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub(crate) format: String,
    /// Exit with 1 if the host is not ready
    #[arg(long)]
    pub(crate) check: bool,
    /// Show the status again whenever it changes
    #[arg(short, long, conflicts_with_all = ["check", "wait"])]
    pub(crate) watch: bool,
    /// Come back when the host is ready; with a limit like 90s or 5m
    #[arg(long, value_name = "TIMEOUT", num_args = 0..=1, default_missing_value = "")]
    pub(crate) wait: Option<String>,
}

#[derive(Debug, Options)]
pub(crate) struct PsOptions {
    /// Also those that do not run
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only ids
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Do not shorten
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// The last N created
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) last: Option<u32>,
    /// The latest created
    #[arg(short, long)]
    pub(crate) latest: bool,
    /// Output: table, json, 'table TEMPLATE' or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Only what matches, like name=web, label=tier=front, status=exited
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
}

#[derive(Debug, Options)]
pub(crate) struct ImagesOptions {
    /// Only those of this name
    pub(crate) reference: Option<String>,
    /// Also intermediate ones (there are none)
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only ids
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Do not shorten
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Show digests
    #[arg(long)]
    pub(crate) digests: bool,
    /// Output: table, json, 'table TEMPLATE' or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Only what matches, like label=x or dangling=true
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
}

#[derive(Debug, Options)]
pub(crate) struct LogsOptions {
    /// The container
    pub(crate) container: String,
    /// Go on with what comes, until the container ends
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N", default_value = "all")]
    pub(crate) tail: String,
    /// Only what came after: 10m, 2026-01-31T12:00:00Z, seconds since 1970
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only what came before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Show when each line came
    #[arg(short, long)]
    pub(crate) timestamps: bool,
}

#[derive(Debug, Options)]
pub(crate) struct ExecOptions {
    /// Connect standard input
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Do not wait for it
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Set a variable, NAME=VALUE; NAME alone takes it from here
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Working directory inside
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// User inside: name, uid, user:group
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    /// All capabilities
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Keys that leave a terminal without ending the command
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub(crate) detach_keys: String,
    /// The container
    pub(crate) container: String,
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Options)]
pub(crate) struct InspectOptions {
    /// A Go template, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    pub(crate) format: Option<String>,
    /// Only objects of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = ["container", "image", "network", "volume"])]
    pub(crate) kind: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Options)]
pub(crate) struct NamesOptions {
    /// Names or ids
    #[arg(required = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Options)]
pub(crate) struct StopOptions {
    /// Seconds before it is killed; the container's own grace period otherwise
    #[arg(
        short = 't',
        long = "timeout",
        visible_alias = "time",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    pub(crate) timeout: Option<i64>,
    /// Signal that asks it to stop
    #[arg(short, long)]
    pub(crate) signal: Option<String>,
    /// Names or ids
    #[arg(required = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Options)]
pub(crate) struct KillOptions {
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL")]
    pub(crate) signal: String,
    /// Names or ids
    #[arg(required = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Options)]
pub(crate) struct RmOptions {
    /// Kill it first if it runs
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Also remove its anonymous volumes
    #[arg(short, long)]
    pub(crate) volumes: bool,
    /// Names or ids
    #[arg(required = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Options)]
pub(crate) struct EventsOptions {
    /// Begin with what happened after: 10m, 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// End at this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only what matches, like type=container, event=die, container=web
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// json or a Go template
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
}

#[derive(Debug, Options)]
pub(crate) struct FormatOptions {
    /// json or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_follows_the_container_belongs_to_its_command() {
        let args = Args::try_parse_from(["hull", "exec", "-it", "web", "ls", "-la", "--color"]).unwrap();
        let Command::Exec(exec) = args.command else { panic!("exec") };
        assert!(exec.interactive && exec.tty);
        assert_eq!(exec.command, ["ls", "-la", "--color"]);
    }
}
