//! Daily use of a booted host: the transcripts that the agent's own tests play, played in the guest with both clients.

use crate::guest::{Guest, Seed};
use crate::session::Session;
use anyhow::{Context as _, Result, bail, ensure};
use image_builder::small_root;
use std::fmt::Write as _;
use std::path::Path;

// One reader of transcripts for both; the other user is a test program, which no crate can depend on.
#[path = "../../../agent/tests/everyday/transcript.rs"]
mod transcript;

use transcript::{Kind, Step};

const TRANSCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../agent/tests/everyday/transcripts");
/// Where the guest keeps what is brought along.
const DIR: &str = "/var/tmp/everyday";
const REGISTRY: &str = "version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: /var/tmp/everyday/registry}, delete: {enabled: true}}
http: {addr: 127.0.0.1:5000}
";

pub(crate) fn run(session: &Session) -> Result<()> {
    transcript::check_itself()?;
    let dir = session.directory("everyday")?;
    let seed = crate::seed::write(&dir, "everyday-1", "#cloud-config\nhostname: everyday\n")?;
    let mut guest = Guest::boot(session, &dir, &Seed::Disk(seed))?;
    guest.wait_for_ssh()?;
    bring(&guest, session, &dir)?;
    let mut failed = Vec::new();
    for client in ["docker", "hull"] {
        for (name, steps) in read_all()? {
            if let Err(error) = play(&guest, client, &steps) {
                eprintln!("  {client} {name}: FAILED: {error:#}");
                failed.push(format!("{client} {name}"));
            } else {
                println!("  {client} {name}: ok");
            }
            guest.ssh(&format!("PATH={DIR}/{client}:$PATH; {CLEAN}"))?;
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join(", "));
    let check = guest.ssh("hull system check")?;
    println!("  {}", check.trim().lines().last().unwrap_or_default());
    Ok(())
}

const CLEAN: &str = "docker ps -aq | xargs -r docker rm -fv >/dev/null; docker volume prune -af >/dev/null; \
    docker network prune -f >/dev/null; docker images -q | sort -u | xargs -r docker rmi -f >/dev/null";

/// The client, a registry and the image's files, which the OS does not have.
fn bring(guest: &Guest<'_>, session: &Session, dir: &Path) -> Result<()> {
    guest.ssh(&format!("mkdir -p {DIR}/docker {DIR}/hull && ln -s /usr/bin/hull {DIR}/hull/docker"))?;
    let tools = session.tools.root().join("usr/bin");
    guest.send(&tools.join("docker"), &format!("{DIR}/docker/docker"))?;
    guest.send(&tools.join("docker-registry"), &format!("{DIR}/docker-registry"))?;
    let archive = small_root::archive(&tools.join("busybox"), dir)?;
    guest.send(&archive, &format!("{DIR}/busybox.tar"))?;
    guest.ssh(&format!(
        "chmod 755 {DIR}/docker/docker {DIR}/docker-registry && printf '%s' '{REGISTRY}' > {DIR}/registry.yml && \
         systemd-run --unit registry {DIR}/docker-registry serve {DIR}/registry.yml"
    ))?;
    Ok(())
}

/// Transcripts without terminals: in the guest there is none.
fn read_all() -> Result<Vec<(String, Vec<Step>)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(TRANSCRIPTS).context("reading the transcripts")? {
        let path = entry?.path();
        let steps = transcript::parse(&std::fs::read_to_string(&path)?)?;
        if steps.iter().all(|s| s.kind != Kind::Terminal) {
            all.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), steps));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    ensure!(all.len() > 3, "only {} transcripts can be played", all.len());
    Ok(all)
}

/// Plays all steps by one script, which writes down what each one did, and looks at that.
fn play(guest: &Guest<'_>, client: &str, steps: &[Step]) -> Result<()> {
    let report = guest.ssh_with(&script(client, steps))?;
    let mut parts = report.split("\u{1}");
    parts.next();
    for step in steps {
        let (code, text) =
            parts.next().and_then(|p| p.split_once('\n')).context("the guest's report is cut short")?;
        let lines: Vec<&str> = text.lines().collect();
        if code.trim().parse() != Ok(step.code) || !transcript::matches(&step.expected, &lines) {
            bail!("line {}: {}\n--- seen (exit code {code})\n{}", step.line, step.command, text.trim_end());
        }
    }
    Ok(())
}

fn script(client: &str, steps: &[Step]) -> String {
    let mut script = format!(
        "d=$(mktemp -d {DIR}/play-XXXXXX); cd $d; export PATH={DIR}/{client}:$PATH HOME=$d IMAGE={DIR}/busybox.tar\n"
    );
    for step in steps {
        let command = step.command.replace('\'', r"'\''");
        let tries = if step.kind == Kind::Until { 100 } else { 1 };
        // Until it ends as it should; what it prints then is looked at outside, where patterns are known.
        let first = step.expected.first().cloned().unwrap_or_default();
        let wanted =
            if tries > 1 { first.rsplit('*').next().unwrap_or_default().to_owned() } else { String::new() };
        _ = write!(
            script,
            "for i in $(seq {tries}); do sh -ec '{command}' >.out 2>&1 </dev/null; c=$?; \
             grep -qF -- '{wanted}' .out && break; [ {tries} = 1 ] || sleep 0.2; done\n\
             printf '\\001%s\\n' $c; cat .out\n"
        );
    }
    script
}
