//! `run --rm busybox true`, ours beside docker and podman: the whole command, the default network included.

use super::Spread;
use crate::engines::{Engine, http};
use crate::session::Session;
use anyhow::{Context as _, Result, ensure};
use image_builder::peers::Peers;
use image_builder::progress::Progress;
use image_builder::small_root;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 20;
const WARM_UP: usize = 3;

/// One program that runs a container, and how often it took how long.
struct Runner {
    name: &'static str,
    command: Command,
    nanoseconds: Vec<u64>,
}

/// Measures, prints a table, writes JSON.
pub(crate) fn run(session: &Session, work: &Path) -> Result<()> {
    let peers = Peers::ensure(&session.work, &mut Progress::new(&session.work.logs()))?;
    let dir = session.directory("bench-run")?;
    let image = small_root::archive(&session.tools.root().join("usr/bin/busybox"), &dir)?;
    let (ours, docker) = (Engine::hull(work, &dir)?, Engine::docker(&peers, &dir)?);
    for engine in [&ours, &docker] {
        import(engine, &image)?;
    }
    std::fs::copy(&image, dir.join("docker/busybox.tar")).context("handing podman the image")?;
    let podman = docker.beside("podman").args(["import", "-q", "/shared/busybox.tar", "busybox"]).output()?;
    ensure!(podman.status.success(), "podman import: {podman:?}");
    let mut runners = [
        client("hull", Command::new(session.work.root().join("bin/hull")), &ours),
        client("docker, our agent", session_docker(session), &ours),
        client("docker", session_docker(session), &docker),
        Runner { name: "podman", command: docker.beside("podman"), nanoseconds: Vec::new() },
    ];
    for runner in &mut runners {
        runner.command.args(["run", "--rm", "busybox", "true"]).stdin(Stdio::null());
    }
    for round in 0..ROUNDS + WARM_UP {
        for runner in &mut runners {
            let elapsed = once(runner)?;
            if round >= WARM_UP {
                runner.nanoseconds.push(elapsed);
            }
        }
    }
    let resident = (resident(&ours)?, resident(&docker)?);
    println!(
        "resident after that: hulld {:.1} MB, dockerd {:.1} MB without its containerd",
        resident.0, resident.1
    );
    report(session, runners)
}

/// Megabytes of an engine's own process.
fn resident(engine: &Engine) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid()))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("the kernel tells no VmRSS")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}

/// The toolbox's docker, which needs the toolbox's C library.
fn session_docker(session: &Session) -> Command {
    let root = session.tools.root();
    let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(root.join("usr/lib/x86_64-linux-gnu")).arg(root.join("usr/bin/docker"));
    command
}

fn client(name: &'static str, mut command: Command, engine: &Engine) -> Runner {
    command.env("DOCKER_HOST", format!("unix://{}", engine.socket.display()));
    Runner { name, command, nanoseconds: Vec::new() }
}

fn import(engine: &Engine, archive: &Path) -> Result<()> {
    let path = "/images/create?fromSrc=-&repo=busybox&tag=latest";
    let answer = http::ask(&engine.socket, "POST", path, &std::fs::read(archive)?, "application/x-tar")?;
    ensure!(answer.status == 200, "importing the image: {answer:?}");
    Ok(())
}

fn once(runner: &mut Runner) -> Result<u64> {
    let begun = Instant::now();
    let output = runner.command.output().with_context(|| format!("starting {}", runner.name))?;
    let elapsed = begun.elapsed().as_nanos();
    ensure!(output.status.success(), "{}: {output:?}", runner.name);
    Ok(u64::try_from(elapsed)?)
}

fn report(session: &Session, runners: [Runner; 4]) -> Result<()> {
    let spreads = runners.map(|r| (r.name, Spread::of(r.nanoseconds)));
    println!("{:24} {:>10} {:>20} {:>12}", "run --rm busybox true", "median ms", "middle half ms", "hull is");
    let ours = spreads[0].1.median;
    for (name, s) in &spreads {
        let half = format!("{:.1} – {:.1}", s.low, s.high);
        println!("{name:24} {:>10.1} {half:>20} {:>11.1}×", s.median, s.median / ours);
    }
    let dir = session.work.root().join("bench");
    std::fs::create_dir_all(&dir).context("making the directory of results")?;
    let rows: Vec<_> = spreads
        .iter()
        .map(|(name, s)| json!({ "what": name, "time": s.json(), "hull_is": s.median / ours }))
        .collect();
    let result = json!({ "bench": "run", "rounds": ROUNDS, "rows": rows });
    std::fs::write(dir.join("run.json"), format!("{result:#}\n")).context("writing the result")
}
