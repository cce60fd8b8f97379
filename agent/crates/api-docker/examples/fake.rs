//! A host in memory behind the real API, to try clients on: `cargo run -p hull-api-docker --example fake -- /tmp/fake`, then
//! `DOCKER_HOST=unix:///tmp/fake/docker.sock docker ps`. Processes run with `exec` are children of this program.

#[path = "../tests/fake/mod.rs"]
mod fake;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: fake DIRECTORY")?;
    let dir = std::path::Path::new(&dir);
    std::fs::create_dir(dir)?;
    let host = fake::Host::start(dir).await;
    println!("DOCKER_HOST=unix://{}", host.socket.display());
    tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped?,
        () = host.exited.notified() => {}
    }
    Ok(std::fs::remove_dir_all(dir)?)
}
