//! The program `hull` as people run it, against a host in memory whose processes are real.

#[path = "../crates/api-docker/tests/fake/mod.rs"]
mod fake;

use fake::Host;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

/// The host lives on a runtime of its own, so that tests may block.
struct Bed {
    _runtime: tokio::runtime::Runtime,
    host: Host,
    _dir: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let host = runtime.block_on(Host::start(dir.path()));
        Self { _runtime: runtime, host, _dir: dir }
    }

    fn hull(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hull"));
        command.env("DOCKER_HOST", format!("unix://{}", self.host.socket.display())).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.hull(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Exit code, output, errors.
    fn say(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.run(arguments);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn lists_and_inspections_are_dockers() {
    let bed = Bed::new();
    let (code, out, _) = bed.say(&["ps", "-a", "--format", "{{.Names}}\\t{{.Status}}\\t{{.Ports}}"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "job\tExited (3) 5 seconds ago\t\nweb\tUp 2 minutes\t0.0.0.0:8080->80/tcp\n")
    );
    assert_eq!(bed.say(&["ps", "-q", "--filter", "name=job"]).1, "");
    assert_eq!(bed.say(&["ps", "-aq", "--filter", "name=job"]).1.len(), 13);
    let images = bed.say(&["images"]);
    assert!(images.1.starts_with("REPOSITORY"), "{images:?}");
    let shown = bed.say(&[
        "inspect",
        "--format",
        "{{.State.Status}} {{(index .NetworkSettings.Ports \"80/tcp\" 0).HostPort}}",
        "web",
    ]);
    assert_eq!((shown.0, shown.1.as_str()), (0, "running 8080\n"));
    assert_eq!(bed.say(&["inspect", "-f", "{{.Driver}}", "front", "data"]).1, "bridge\nlocal\n");
    let missing = bed.say(&["inspect", "nope"]);
    assert_eq!(missing, (1, "[]\n".into(), "Error: No such object: nope\n".into()));
    let refused = bed.say(&["rm", "-f", "web", "job"]);
    assert_eq!((refused.0, refused.1.as_str()), (1, "job\n"), "the others are still done");
    assert!(
        refused.2.starts_with("Error response from daemon: cannot remove container \"web\""),
        "{}",
        refused.2
    );
    assert_eq!(bed.say(&["ps", "--nope"]).0, 125);
    assert_eq!(bed.say(&["ps", "--format", "{{.Nope"]).0, 1);
    assert_eq!(bed.say(&["wait", "web2"]).0, 1);
}

#[test]
fn output_goes_where_it_came_from() {
    let bed = Bed::new();
    assert_eq!(bed.say(&["logs", "web"]), (0, "one\nthree\n".into(), "two\n".into()));
    assert_eq!(bed.say(&["logs", "-t", "--tail", "1", "web"]).1, "1970-01-01T00:00:03.000000000Z three\n");
    assert_eq!(bed.say(&["logs", "--since", "1970-01-01T00:00:03Z", "web"]).1, "three\n");
    let run = bed.say(&["exec", "-e", "A=b", "web", "sh", "-c", "echo $A; echo oops >&2; exit 7"]);
    assert_eq!(run, (7, "b\n".into(), "oops\n".into()));
    assert_eq!(bed.say(&["exec", "web", "/no/such/program"]).0, 127);
    assert_eq!(bed.say(&["exec", "job", "true"]).0, 1);
    assert_eq!(bed.say(&["exec", "-d", "web", "true"]), (0, String::new(), String::new()));
    let no_terminal = bed.say(&["exec", "-it", "web", "sh"]);
    assert!(no_terminal.0 == 1 && no_terminal.2.starts_with("the input device is not a TTY\n"));
}

#[test]
fn standard_input_reaches_the_process_to_its_end() {
    let bed = Bed::new();
    let mut hull = bed.hull(&["exec", "-i", "web", "wc", "-c"]);
    let mut child = hull.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&vec![b'x'; 1_000_000]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"1000000\n"[..]));
}

#[test]
fn followed_logs_end_with_the_container() {
    let bed = Bed::new();
    let child =
        bed.hull(&["logs", "-f", "web"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let web = bed._runtime.block_on(bed.host.engine.find("web")).unwrap();
    bed.host.world.exit(&web.id, 0);
    let output = child.wait_with_output().unwrap();
    // Whether the end came before or after following began, everything said until then is shown.
    assert!(output.status.success() && output.stdout.starts_with(b"one\nthree\n"));
}

#[test]
fn the_status_tells_and_checks() {
    let bed = Bed::new();
    let (code, out, _) = bed.say(&["status", "--wait", "10s", "--check"]);
    assert!(code == 0 && out.starts_with("fake  Ready\n"), "{out}");
    let json: serde_json::Value = serde_json::from_str(&bed.say(&["status", "--format", "json"]).1).unwrap();
    assert_eq!(json["phase"], "ready");
    assert_eq!(bed.say(&["status", "--wait", "soon"]).0, 1);
}

#[test]
fn an_agent_that_is_not_there_is_told_with_what_to_do() {
    let run = |host: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_hull")).args(["-H", host, "ps"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = run("unix:///nowhere/docker.sock");
    assert_eq!(code, Some(1));
    assert!(message.starts_with(
        "Cannot connect to the Docker daemon at unix:///nowhere/docker.sock. Is the docker daemon running?\n"
    ));
    assert!(message.contains("systemctl status hulld"));
    assert!(
        run("tcp://127.0.0.1:1").1.starts_with("Cannot connect to the Docker daemon at tcp://127.0.0.1:1.")
    );
    assert!(run("ssh://host").1.contains("does not speak SSH"));
}

#[test]
fn a_reset_needs_a_yes() {
    let bed = Bed::new();
    let refused = bed.say(&["system", "reset"]);
    assert!(refused.0 == 1 && refused.2.contains("--force"), "{}", refused.2);
    assert_eq!(bed.host.world.running(), 1);
    assert_eq!(bed.say(&["system", "reset", "--force"]).0, 0);
    assert_eq!(bed.host.world.leftovers(), [0, 0, 0, 0]);
}

#[test]
fn arguments_that_make_no_sense_are_refused_as_docker_refuses_them() {
    let bed = Bed::new();
    let usage = |usage: &str, word: &str| {
        format!("\n\nUsage:  hull {usage}\n\nRun 'hull {word} --help' for more information\n")
    };
    let run = "run [OPTIONS] IMAGE [COMMAND] [ARG...]";
    let rows = [
        (&["run", "--nope", "x"][..], 125, "unknown flag: --nope".to_owned() + &usage(run, "run")),
        (&["run", "-e"], 125, "flag needs an argument: 'e' in -e".to_owned() + &usage(run, "run")),
        (
            &["ps", "extra"],
            1,
            "hull: 'hull ps' accepts no arguments".to_owned() + &usage("ps [OPTIONS]", "ps"),
        ),
        (
            &["nope"],
            1,
            "hull: unknown command: hull nope\n\nRun 'hull --help' for more information\n".to_owned(),
        ),
        (
            &["start", "-a", "a", "b"],
            1,
            "you cannot start and attach multiple containers at once\n".to_owned(),
        ),
        (&["cp", "a", "b"], 1, "must specify at least one container source\n".to_owned()),
        (&["update", "web"], 1, "you must provide one or more flags when using this command\n".to_owned()),
        (
            &["pull", "UPPER"],
            1,
            "invalid reference format: repository name (library/UPPER) must be lowercase\n".to_owned(),
        ),
    ];
    for (arguments, code, message) in rows {
        assert_eq!(bed.say(arguments), (code, String::new(), message), "{arguments:?}");
    }
    assert!(bed.say(&["swarm", "init"]).2.contains("no swarm"));
    assert!(bed.say(&["build", "."]).2.contains("cannot build images yet"));
    for words in
        [&["--help"][..], &["run", "--help"], &["container", "--help"], &["help", "volume", "create"]]
    {
        let (code, out, _) = bed.say(words);
        assert!(code == 0 && out.starts_with("Usage:  hull "), "{words:?}: {out}");
    }
}

#[test]
fn shells_are_told_what_there_is() {
    let bed = Bed::new();
    assert_eq!(bed.say(&["__complete", "sto"]).1, "stop\tStop running containers\n");
    assert!(bed.say(&["__complete", "exec", "-it", ""]).1.starts_with("web\t"));
    assert!(bed.say(&["__complete", "run", "--re"]).1.contains("--read-only\t"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(bed.say(&["completion", shell]).1.contains("hull __complete"), "{shell}");
    }
    assert_eq!(bed.say(&["completion", "cmd"]).0, 1);
}

/// A terminal of ours with `hull` on it.
struct Terminal {
    master: File,
    slave: File,
    child: Child,
    seen: String,
}

impl Terminal {
    fn new(bed: &Bed, arguments: &[&str]) -> Self {
        let pty = nix::pty::openpty(None, None).unwrap();
        hull_sys::terminal::set_size(pty.master.as_fd(), 30, 90).unwrap();
        let hull = bed.hull(arguments);
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(hull.get_program()).args(hull.get_args());
        command.envs(hull.get_envs().filter_map(|(k, v)| Some((k, v?))));
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { master: pty.master.into(), slave: pty.slave.into(), child, seen: String::new() }
    }

    /// Reads until a text was seen.
    fn until(&mut self, wanted: &str) {
        let begun = Instant::now();
        while !self.seen.contains(wanted) {
            assert!(begun.elapsed() < DEADLINE, "{wanted:?} does not come after {:?}", self.seen);
            let mut poll = [nix::poll::PollFd::new(self.master.as_fd(), nix::poll::PollFlags::POLLIN)];
            if nix::poll::poll(&mut poll, 100u8).unwrap() > 0 {
                let mut buffer = [0; 1024];
                let n = self.master.read(&mut buffer).unwrap();
                self.seen.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
            }
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_flags.contains(LocalFlags::ICANON)
    }

    fn wait(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < DEADLINE, "hull does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is as well.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

const SHELL: [&str; 7] = [
    "exec",
    "-it",
    "web",
    "sh",
    "-c",
    "stty size; while read l; do stty size; echo got $l; [ $l = end ] && exit 5; done",
    "x",
];

#[test]
fn a_shell_has_the_terminal_and_gives_it_back() {
    let bed = Bed::new();
    let mut terminal = Terminal::new(&bed, &SHELL);
    terminal.until("30 90\r\n");
    assert!(terminal.is_raw());
    hull_sys::terminal::set_size(terminal.master.as_fd(), 40, 100).unwrap();
    // The new size arrives by way of a signal and a request: typed lines ask for it until it is there.
    let begun = Instant::now();
    while !terminal.seen.contains("40 100\r\n") {
        assert!(begun.elapsed() < DEADLINE, "{:?}", terminal.seen);
        terminal.seen.clear();
        terminal.master.write_all(b"size\n").unwrap();
        terminal.until("got size\r\n");
    }
    terminal.master.write_all(b"end\n").unwrap();
    terminal.until("got end\r\n");
    assert_eq!(terminal.wait(), Some(5));
    assert!(!terminal.is_raw(), "the terminal is as it was");
}

#[test]
fn a_terminal_is_given_back_when_hull_is_ended_by_a_signal() {
    let bed = Bed::new();
    let mut terminal = Terminal::new(&bed, &SHELL);
    terminal.until("30 90\r\n");
    assert!(terminal.is_raw());
    kill(Pid::from_raw(terminal.child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(terminal.wait(), Some(143));
    assert!(!terminal.is_raw());
}

#[test]
fn a_terminal_can_be_left_while_the_command_runs_on() {
    let bed = Bed::new();
    let mut terminal = Terminal::new(&bed, &SHELL);
    terminal.until("30 90\r\n");
    terminal.master.write_all(b"\x10\x11").unwrap();
    terminal.until("read escape sequence");
    assert_eq!(terminal.wait(), Some(1), "as Docker's: the command has not ended");
    assert!(!terminal.is_raw());
    let running = bed.say(&["inspect", "-f", "{{len .ExecIDs}}", "web"]);
    assert_eq!(running.1, "1\n", "{running:?}");
}
