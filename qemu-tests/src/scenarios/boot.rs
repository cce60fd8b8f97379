//! The demo comes up, survives `kill -9` of the agent and a reboot, and keeps its data.

use crate::demo;
use crate::guest::Guest;
use crate::registry::Registry;
use crate::session::Session;
use anyhow::{Context as _, Result, ensure};

pub(crate) fn run(session: &Session) -> Result<()> {
    let dir = session.directory("boot")?;
    let registry = Registry::with_demo_images(session, &dir)?;
    let mut guest = demo::boot(session, &registry, &dir)?;
    let page = guest.wait_for_page()?;
    println!("  first answer after {:.1} s", guest.begun.elapsed().as_secs_f64());
    demo::verify(&page, &demo::ready(&guest)?)?;
    client_finds_the_server_and_is_restarted(&guest)?;
    the_host_is_what_was_declared(&guest)?;
    killing_the_agent_disturbs_nothing(&guest)?;
    memory(&guest)?;
    let before = identity(&guest)?;
    let starts = demo::element(&guest.wait_for_page()?, "starts")?.parse::<u32>()?;
    guest.reboot()?;
    let after = demo::element(&guest.wait_for_page()?, "starts")?.parse::<u32>()?;
    ensure!(after > starts, "the volume forgot: {starts} starts before the reboot, {after} after it");
    ensure!(before == identity(&guest)?, "the host is somebody else after the reboot");
    let status = demo::ready(&guest)?;
    ensure!(status["generation"] == 1, "the same document is another generation after a reboot");
    ensure!(guest.ssh("test -e /etc/forgotten; echo $?")?.trim() == "1", "/etc is not transient");
    Ok(())
}

fn client_finds_the_server_and_is_restarted(guest: &Guest<'_>) -> Result<()> {
    let is_so = |s: &serde_json::Value| {
        let restarts = s["containers"].as_array().into_iter().flatten().find(|c| c["name"] == "client");
        restarts.is_some_and(|c| c["restarts"].as_u64() > Some(0))
    };
    guest.wait_for_status("the client is restarted", is_so)?;
    let logs = guest.ssh("hull logs client")?;
    ensure!(
        logs.contains("http://web:8080/ answers: host demo"),
        "the client did not find the server:\n{logs}"
    );
    Ok(())
}

fn the_host_is_what_was_declared(guest: &Guest<'_>) -> Result<()> {
    let facts = guest.ssh(
        "hostname; cat /etc/motd; touch /etc/forgotten; touch /usr/x 2>&1 | head -1; \
         hull exec web cat /proc/1/comm; findmnt -no FSTYPE /; systemctl is-system-running; ls /run/docker.sock",
    );
    let facts = facts.or_else(|_| {
        guest.ssh("systemctl --failed --no-pager; journalctl -b -p warning --no-pager | tail -40")
    })?;
    for expected in [
        "demo",
        "described by one document",
        "Read-only file system",
        "busybox",
        "overlay",
        "/run/docker.sock",
    ] {
        ensure!(facts.contains(expected), "the host lacks {expected:?}:\n{facts}");
    }
    let people = guest.ssh_as("hull", "hull ps --format '{{.Names}}'")?;
    ensure!(people.contains("web"), "a member of group docker cannot use the socket:\n{people}");
    Ok(())
}

fn killing_the_agent_disturbs_nothing(guest: &Guest<'_>) -> Result<()> {
    let pid = || -> Result<String> { guest.ssh("hull inspect --format '{{.State.Pid}}' web") };
    let before = pid()?;
    let agent = guest.ssh("systemctl show -p MainPID --value hulld")?;
    guest.ssh("kill -9 $(systemctl show -p MainPID --value hulld)")?;
    guest.wait_for_status("the agent is back", |s| s["phase"] != "starting")?;
    ensure!(agent != guest.ssh("systemctl show -p MainPID --value hulld")?, "the agent was not killed");
    ensure!(before == pid()?, "the web server is another process after the agent was killed");
    let logs = guest.ssh("hull logs web")?;
    ensure!(logs.contains("serving /www"), "the web server's log is lost:\n{logs}");
    Ok(())
}

/// Prints what the agent and the supervisor take.
fn memory(guest: &Guest<'_>) -> Result<()> {
    let script = "for p in hulld hull-runtime; do echo $p $(awk '/VmRSS|RssAnon/ {print $1, $2, $3}' \
                  /proc/$(systemctl show -p MainPID --value ${p}.service)/status); done";
    println!("  memory: {}", guest.ssh(script)?.trim().replace('\n', "; "));
    Ok(())
}

fn identity(guest: &Guest<'_>) -> Result<String> {
    let script = "cat /etc/machine-id; ssh-keygen -lf /var/lib/hull/ssh/ssh_host_ed25519_key.pub; \
                  hull inspect --format '{{.Id}} {{.NetworkSettings.Networks.default.IPAddress}}' web";
    guest.ssh(script).context("asking who the host is")
}
