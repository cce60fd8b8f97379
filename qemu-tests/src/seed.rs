//! Instance data for machines.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// The port of the guest that the demo's web server is published on.
pub(crate) const WEB_PORT: u16 = 8080;

/// What the demo tells its host to be. It is also the example in the README.
pub(crate) fn demo(registry: &str, ssh_key: &str) -> String {
    format!(
        r#"#cloud-config
hostname: demo
timezone: Etc/UTC

users:
  - name: hull
    groups: docker
    ssh_authorized_keys:
      - {ssh_key}

write_files:
  - path: /etc/motd
    content: |
      This host is described by one document. `hull status` shows it.

services:
  web:
    image: {registry}/demo/web:1
    environment:
      HULL_HOSTNAME: ${{HULL_HOSTNAME}}
      HULL_OS_VERSION: ${{HULL_OS_VERSION}}
      HULL_DEPLOYMENT: ${{HULL_DEPLOYMENT}}
    ports:
      - "{WEB_PORT}:8080"
    volumes:
      - www:/www
    restart: always
    mem_limit: 64m
  client:
    image: {registry}/demo/client:1
    depends_on: [web]
    environment:
      ROUNDS: "3"
      PAUSE: "1"
    restart: always

volumes:
  www:

hull:
  registries:
    "{registry}":
      insecure: true
"#
    )
}

/// Writes a NoCloud seed directory.
pub(crate) fn write(dir: &Path, instance: &str, user_data: &str) -> Result<PathBuf> {
    let seed = dir.join("seed");
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(&seed)?;
        std::fs::write(seed.join("meta-data"), format!("instance-id: {instance}\n"))?;
        std::fs::write(seed.join("user-data"), user_data)
    };
    write().with_context(|| format!("writing the seed {}", seed.display()))?;
    Ok(seed)
}
