//! The documents that the agent is given.

use crate::registry::Registry;

/// Three services: a server, a client that is restarted, and a job that ends.
pub(crate) fn demo(registry: &Registry, round: u32) -> String {
    let registry = registry.name();
    format!(
        r#"#cloud-config
services:
  web:
    image: {registry}/demo/web:1
    environment:
      HULL_HOSTNAME: ${{HULL_HOSTNAME}}
      ROUND: "{round}"
    ports: ["8080:8080"]
    volumes: ["www:/www"]
    restart: always
    mem_limit: 64m
    pids_limit: 50
    cpus: 0.5
  client:
    image: {registry}/demo/client:1
    depends_on: [web]
    environment: {{ROUNDS: "2", PAUSE: "1", EXIT_CODE: "1"}}
    restart: always
  job:
    image: {registry}/demo/client:1
    entrypoint: [sh, -c, "echo out; echo err >&2"]
volumes:
  www:
hull:
  registries:
    "{registry}": {{insecure: true}}
    "127.0.0.1:9": {{insecure: true}}
"#
    )
}

/// Documents with one mistake each, and what the status must say of it.
pub(crate) fn mistakes(good: &str) -> Vec<(String, &'static str)> {
    let with = |from: &str, to: &str| good.replacen(from, to, 1);
    vec![
        (format!("{good}\n  - [ }}"), "line"),
        (with("ports: [\"8080:8080\"]", "ports: [\"8080:8080\", \"8080:81\"]"), "8080"),
        (with("mem_limit: 64m", "mem_limit: [64m]"), "services.web.mem_limit"),
        (with("restart: always", "restrat: always"), "restrat"),
        (with("www:/www", "nowhere:/www"), "nowhere"),
        (with("services:", "service:"), "did you mean \\\"services"),
        ("#!/bin/sh\nreboot\n".to_owned(), "is a script"),
        (String::new(), "the file is empty"),
    ]
}

/// An image that the registry does not have, and a registry that is down.
pub(crate) fn missing_images(registry: &Registry) -> String {
    let name = registry.name();
    demo(registry, 7).replacen(&format!("{name}/demo/web:1"), &format!("{name}/demo/none:1"), 1).replacen(
        "volumes:\n  www:",
        "  down:\n    image: 127.0.0.1:9/x:1\nvolumes:\n  www:",
        1,
    )
}
