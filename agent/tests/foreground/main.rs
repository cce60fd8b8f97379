//! The real agent with its real drivers, in the foreground, in network and mount namespaces of its own: from a document and
//! a real registry to containers, through mistakes and `kill -9`, and back to nothing.

mod agent;
mod documents;
mod registry;
mod wait;

use agent::Agent;
use anyhow::{Context as _, Result, ensure};
use registry::Registry;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

fn main() {
    let begun = Instant::now();
    if let Err(error) = run() {
        eprintln!("foreground: FAILED: {error:#}");
        std::process::exit(1);
    }
    println!("test foreground ... ok ({:.1} s)", begun.elapsed().as_secs_f64());
}

/// One check: what it shows, and how.
type Check = (&'static str, fn(&mut Agent, &Registry) -> Result<()>);

const CHECKS: &[Check] = &[
    ("declared services come up and find each other", services_come_up),
    ("exec has the command's exit code and output", exec_works),
    ("a restart policy restarts, exit codes are kept", restarts),
    ("limits, capabilities and system calls are what was declared", confinement),
    ("kill -9 of the agent disturbs nothing", adoption),
    ("kill -9 in the middle of changes converges", kill_under_change),
    ("mistakes are named and change nothing", mistakes),
    ("images that cannot be had are conditions", missing_images),
    ("a damaged ledger costs no volume and no reachability", damaged_ledger),
    ("Ctrl-C removes containers and networks and keeps volumes", clean_up),
];

fn run() -> Result<()> {
    agent::enter_namespaces()?;
    let dir = agent::Directory::new()?;
    let registry = Registry::start(dir.path())?;
    let mut agent = Agent::start(dir.path(), &documents::demo(&registry, 1))?;
    for (what, check) in CHECKS {
        let begun = Instant::now();
        let done = check(&mut agent, &registry);
        done.with_context(|| format!("{what}; the agent's last words:\n{}", agent.log_tail()))?;
        println!("  {what}: {:.1} s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn element<'a>(page: &'a str, id: &str) -> Result<&'a str> {
    let begin = format!("id=\"{id}\">");
    let text = page.split_once(&begin).and_then(|(_, rest)| rest.split_once('<')).map(|(text, _)| text);
    text.with_context(|| format!("the page has no {id}: {page}"))
}

fn services_come_up(agent: &mut Agent, _: &Registry) -> Result<()> {
    let page = agent.wait_for_page()?;
    ensure!(element(&page, "starts")? == "1", "not the first start: {page}");
    let status = agent.wait_for_status("ready", |s| s["phase"] == "ready")?;
    ensure!(status["generation"] == 1 && status["observed_generation"] == 1, "{status:#}");
    wait::until("the client found the server", Duration::from_secs(30), || {
        Ok(agent.hull(&["logs", "client"])?.contains("http://web:8080/ answers").then_some(()))
    })?;
    let names = agent.hull(&["ps", "--format", "{{.Names}} {{.Image}} {{.Ports}}"])?;
    ensure!(names.contains("web ") && names.contains("0.0.0.0:8080->8080/tcp"), "{names}");
    let images = agent.hull(&["images", "--format", "{{.Repository}}:{{.Tag}}"])?;
    ensure!(images.contains("demo/web:1"), "{images}");
    Ok(())
}

fn exec_works(agent: &mut Agent, _: &Registry) -> Result<()> {
    let output = agent.hull(&[
        "exec",
        "-e",
        "A=b",
        "-w",
        "/www",
        "web",
        "sh",
        "-c",
        "echo $A; pwd; cat starts.txt",
    ])?;
    ensure!(output == "b\n/www\n1\n", "{output:?}");
    let failed = agent.hull_output(&["exec", "web", "sh", "-c", "echo to >&2; exit 7"])?;
    ensure!(failed.status.code() == Some(7) && failed.stderr.starts_with(b"to"), "{failed:?}");
    let missing = agent.hull_output(&["exec", "web", "no-such-program"])?;
    ensure!(missing.status.code() == Some(127), "{missing:?}");
    let piped = agent.hull_with_input(&["exec", "-i", "web", "wc", "-c"], b"12345")?;
    ensure!(String::from_utf8_lossy(&piped.stdout).trim() == "5", "{piped:?}");
    Ok(())
}

fn restarts(agent: &mut Agent, _: &Registry) -> Result<()> {
    let status = agent.wait_for_status("the client was restarted", |s| {
        agent::container(s, "client").is_some_and(|c| c["restarts"].as_u64() > Some(0))
    })?;
    let job = agent::container(&status, "job").context("no job")?;
    ensure!(job["state"] == "exited (0)", "{job:#}");
    let code = agent.hull(&["inspect", "--format", "{{.State.ExitCode}} {{.State.Status}}", "job"])?;
    ensure!(code.trim() == "0 exited", "{code}");
    ensure!(
        agent.hull(&["logs", "job"])? == "out\nerr\n" || agent.hull(&["logs", "job"])?.contains("out"),
        "job's log"
    );
    Ok(())
}

fn confinement(agent: &mut Agent, _: &Registry) -> Result<()> {
    let facts = agent.hull(&[
        "exec",
        "web",
        "sh",
        "-c",
        "grep -E 'CapInh|CapAmb|CapEff|Seccomp:' /proc/self/status; hostname; cat /proc/1/comm; \
         mount -t tmpfs none /mnt 2>&1; echo x 2>&1 >/proc/sys/kernel/core_pattern; ls /proc/kcore /dev | sort | tr '\\n' ' '; \
         cat /proc/timer_list 2>&1 | wc -c; ls /sys/firmware | wc -l",
    ])?;
    for expected in
        ["CapInh:\t0000000000000000", "CapAmb:\t0000000000000000", "CapEff:\t00000000a80425fb", "Seccomp:\t2"]
    {
        ensure!(facts.contains(expected), "{expected:?} is missing in\n{facts}");
    }
    ensure!(
        facts.contains("mount: permission denied"),
        "mount worked:
{facts}"
    );
    ensure!(facts.contains("Read-only file system"), "core_pattern can be written:\n{facts}");
    Ok(())
}

fn adoption(agent: &mut Agent, _: &Registry) -> Result<()> {
    let pid =
        |agent: &Agent| agent.hull(&["inspect", "--format", "{{.State.Pid}} {{.State.StartedAt}}", "web"]);
    let before = pid(agent)?;
    for _ in 0..3 {
        agent.kill_and_restart()?;
        ensure!(before == pid(agent)?, "the web server is another process");
        agent.wait_for_page()?;
    }
    wait::until("names are answered again", Duration::from_secs(20), || {
        let asked = agent.hull_output(&["exec", "web", "nslookup", "web", "127.0.0.11"])?;
        Ok(asked.status.success().then_some(()))
    })?;
    ensure!(agent.hull(&["logs", "web"])?.contains("serving /www"), "the log is lost");
    agent.wait_for_status("ready again", |s| s["phase"] == "ready")?;
    Ok(())
}

fn kill_under_change(agent: &mut Agent, registry: &Registry) -> Result<()> {
    for round in 2..8u32 {
        agent.declare(&documents::demo(registry, round))?;
        // Another instant of the change in every round.
        std::thread::sleep(Duration::from_millis(u64::from(round) * 170));
        agent.kill_and_restart()?;
    }
    let converged = |s: &Value| s["phase"] == "ready" && s["generation"] == 7;
    agent.wait_for_status("the last document is in force", converged)?;
    let page = agent.wait_for_page()?;
    ensure!(element(&page, "starts")?.parse::<u32>()? > 1, "the volume forgot: {page}");
    let env = agent.hull(&["exec", "web", "sh", "-c", "echo $ROUND"])?;
    ensure!(env.trim() == "7", "{env}");
    let all = agent.hull(&["ps", "-a", "-q"])?;
    ensure!(all.lines().count() == 3, "containers are left over: {all}");
    Ok(())
}

fn mistakes(agent: &mut Agent, registry: &Registry) -> Result<()> {
    let good = documents::demo(registry, 7);
    let before = agent.hull(&["inspect", "--format", "{{.State.Pid}}", "web"])?;
    for (document, expected) in documents::mistakes(&good) {
        agent.declare(&document)?;
        let status = agent.wait_for_status(expected, |s| s["problems"].to_string().contains(expected))?;
        ensure!(status["generation"] == 7, "{expected}: a mistake was accepted: {status:#}");
        let problem = &status["problems"][0];
        ensure!(problem["remedy"].as_str().is_some_and(|r| !r.is_empty()), "no remedy: {problem:#}");
    }
    agent.declare(&good)?;
    agent.wait_for_status("no problems", |s| {
        s["problems"] == serde_json::json!([]) && s["phase"] == "ready"
    })?;
    ensure!(
        before == agent.hull(&["inspect", "--format", "{{.State.Pid}}", "web"])?,
        "the web server was disturbed"
    );
    Ok(())
}

fn missing_images(agent: &mut Agent, registry: &Registry) -> Result<()> {
    agent.declare(&documents::missing_images(registry))?;
    let status = agent.wait_for_status("both are conditions", |s| {
        s["conditions"].as_array().is_some_and(|c| c.len() == 2) && s["generation"] == 8
    })?;
    let text = status["conditions"].to_string();
    ensure!(text.contains("not found") && text.contains("127.0.0.1:9"), "{text}");
    ensure!(
        agent::container(&status, "web").is_some_and(|c| c["state"] == "running"),
        "the old web was stopped"
    );
    agent.wait_for_page()?;
    Ok(())
}

fn damaged_ledger(agent: &mut Agent, registry: &Registry) -> Result<()> {
    agent.declare(&documents::demo(registry, 9))?;
    agent.wait_for_status("ready", |s| s["phase"] == "ready")?;
    let starts = element(&agent.wait_for_page()?, "starts")?.parse::<u32>()?;
    agent.kill_damage_ledger_and_restart()?;
    let status = agent.wait_for_status("ready again", |s| {
        s["phase"] == "ready" && s["containers"].as_array().is_some_and(|c| c.len() == 3)
    })?;
    ensure!(status["problems"].to_string().contains("damaged"), "nothing is said of it: {status:#}");
    let after = element(&agent.wait_for_page()?, "starts")?.parse::<u32>()?;
    ensure!(after > starts, "the volume forgot: {starts} starts before, {after} after");
    Ok(())
}

fn clean_up(agent: &mut Agent, _: &Registry) -> Result<()> {
    let ids = agent.hull(&["ps", "-a", "-q", "--no-trunc"])?;
    agent.interrupt()?;
    let links = std::fs::read_dir("/sys/class/net")?.flatten().map(|l| l.file_name().display().to_string());
    let ours: Vec<String> = links.filter(|l| l.starts_with("hull-") || l.starts_with("hv")).collect();
    ensure!(ours.is_empty(), "links are left: {ours:?}");
    for id in ids.lines() {
        let left = agent::control_groups(Path::new("/sys/fs/cgroup"), id);
        ensure!(left.is_empty(), "control groups are left: {left:?}");
    }
    wait::until("the supervisor is gone", Duration::from_secs(20), || {
        Ok((!agent.supervisor_runs()?).then_some(()))
    })?;
    ensure!(agent.volume_file("www", "starts.txt").exists(), "the volume is gone");
    Ok(())
}
