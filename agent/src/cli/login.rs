//! `hull login` and `hull logout`.

use crate::cli::credentials::{self, Credentials};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::{Context, say, terminal};
use serde_json::Value;
use std::io::{BufRead as _, Read as _, Write as _};

/// The registry that is meant: its key in the configuration.
fn server(given: &Given) -> String {
    let named = given.first();
    let bare = named.split_once("://").map_or(named, |(_, rest)| rest).split('/').next().unwrap_or(named);
    if bare.is_empty() { credentials::DEFAULT_REGISTRY.to_owned() } else { credentials::key(bare).to_owned() }
}

/// `hull login`
pub(crate) async fn login(context: &Context, given: &Given) -> Outcome {
    let mut password = given.text("password").to_owned();
    if !password.is_empty() {
        if given.on("password-stdin") {
            return Err(Failure::new(
                "conflicting options: cannot specify both --password and --password-stdin",
            ));
        }
        eprintln!("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if given.on("password-stdin") {
        if given.text("username").is_empty() {
            return Err(Failure::new("the --password-stdin option requires --username to be set"));
        }
        std::io::stdin().read_to_string(&mut password)?;
        password = password.trim_end_matches(['\n', '\r']).to_owned();
    }
    let server = server(given);
    let known = credentials::find(&context.config, &server)?;
    let bare = given.text("username").is_empty() && password.is_empty();
    let reused = bare && !known.username.is_empty();
    let mut wanted = if reused {
        eprintln!("Authenticating with existing credentials... [Username: {}]", known.username);
        known
    } else {
        ask(given, &password, &server)?
    };
    wanted.server = server;
    let answer: Value = context.client.post("/auth", Some(&wanted.document())).await?;
    if let Some(token) = answer["IdentityToken"].as_str().filter(|token| !token.is_empty()) {
        wanted.password = String::new();
        wanted.identity_token = token.to_owned();
    }
    if credentials::keep(&context.config, &wanted)? {
        eprintln!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\n\
             Configure a credential helper to remove this warning. See\n\
             https://docs.docker.com/go/credential-store/\n",
            context.config.path().display()
        );
    }
    match answer["Status"].as_str().filter(|status| !status.is_empty()) {
        Some(status) => say(&format!("{status}\n")),
        None => Ok(0),
    }
}

/// What was given, and what people type where something is missing.
fn ask(given: &Given, password: &str, server: &str) -> Result<Credentials, Failure> {
    let mut username = given.text("username").to_owned();
    if (username.is_empty() || password.is_empty()) && !terminal::stdin_is_terminal() {
        return Err(Failure::new("Error: Cannot perform an interactive login from a non TTY device"));
    }
    if username.is_empty() {
        username = line("Username: ")?;
        if username.is_empty() {
            return Err(Failure::new("username is required"));
        }
    }
    let mut password = password.to_owned();
    if password.is_empty() {
        let silent = terminal::Silent::enter()?;
        password = line("Password: ")?;
        drop(silent);
        eprintln!();
        if password.is_empty() {
            return Err(Failure::new("password is required"));
        }
    }
    Ok(Credentials { username, password, server: server.to_owned(), ..Credentials::default() })
}

fn line(question: &str) -> Result<String, Failure> {
    let mut out = std::io::stdout();
    write!(out, "{question}")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// `hull logout`
pub(crate) async fn logout(context: &Context, given: &Given) -> Outcome {
    let server = server(given);
    let named = if given.args.is_empty() { server.as_str() } else { given.first() };
    say(&format!("Removing login credentials for {named}\n"))?;
    credentials::forget(&context.config, &server).map(|()| 0).map_err(|failure| Failure {
        message: format!("WARNING: could not erase credentials:\n{server}: {}", failure.message),
        ..failure
    })
}
