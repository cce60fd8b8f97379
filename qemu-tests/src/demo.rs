//! The demo: one document, one host, two containers.

use crate::guest::{Guest, Seed};
use crate::registry::Registry;
use crate::seed;
use crate::session::Session;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::path::Path;

/// Boots the demo. With `check` it ends once everything was seen to work; otherwise it stays until Ctrl-C.
pub(crate) fn run(session: &Session, check: bool) -> Result<()> {
    let dir = session.directory("demo")?;
    let registry = Registry::with_demo_images(session, &dir)?;
    let mut guest = boot(session, &registry, &dir)?;
    println!("booting; the console is {}", dir.join("console.log").display());
    let page = guest.wait_for_page()?;
    println!("first answer after {:.1} s", guest.begun.elapsed().as_secs_f64());
    let status = ready(&guest)?;
    verify(&page, &status)?;
    println!("{}", guest.ssh("hull status; echo; hull ps")?);
    println!("The page:  http://127.0.0.1:{}/", guest.web_port);
    println!("The host:  {}", guest.ssh_hint("hull"));
    if check {
        println!("checked: the demo answers over its published port, and its host is ready");
        return Ok(());
    }
    println!("Running until Ctrl-C.");
    guest.wait()
}

/// Switches the demo's machine on.
pub(crate) fn boot<'a>(session: &'a Session, registry: &Registry, dir: &Path) -> Result<Guest<'a>> {
    let (_, public) = session.ssh_key()?;
    let seed = seed::write(dir, "demo-1", &seed::demo(&registry.name_in_guest(), &public))?;
    Guest::boot(session, dir, &Seed::Disk(seed))
}

/// Waits until the host says it is what it should be.
pub(crate) fn ready(guest: &Guest<'_>) -> Result<Value> {
    guest.wait_for_status("the host is ready", |s| s["phase"] == "ready")
}

/// The text of the element with that id in the demo's page.
pub(crate) fn element<'a>(page: &'a str, id: &str) -> Result<&'a str> {
    let begin = format!("id=\"{id}\">");
    let text = page.split_once(&begin).and_then(|(_, rest)| rest.split_once('<')).map(|(text, _)| text);
    text.with_context(|| format!("the page has no {id}: {page}"))
}

/// The page names the host, its version and its deployment as the host itself does.
pub(crate) fn verify(page: &str, status: &Value) -> Result<()> {
    let host = &status["host"];
    let expected = [
        ("host", "demo".to_owned()),
        ("version", host["os_version"].as_str().unwrap_or("?").to_owned()),
        ("deployment", host["deployment"]["commit"].as_str().unwrap_or("?").to_owned()),
    ];
    for (id, wanted) in expected {
        let shown = element(page, id)?;
        ensure!(shown == wanted, "the page says {id} is {shown:?}, the host says {wanted:?}");
    }
    Ok(())
}
