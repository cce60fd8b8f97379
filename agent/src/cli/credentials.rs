//! Credentials for registries: from `config.json`, or from the programs that it names.

use crate::cli::config::Config;
use crate::cli::failure::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// How `config.json` names the default registry.
pub(crate) const DEFAULT_REGISTRY: &str = "https://index.docker.io/v1/";

/// What is known for one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
    /// A token of the registry instead of a password.
    pub(crate) identity_token: String,
    pub(crate) server: String,
}

/// The key of a registry in `config.json`.
pub(crate) fn key(registry: &str) -> &str {
    if matches!(registry, "docker.io" | "index.docker.io") { DEFAULT_REGISTRY } else { registry }
}

fn host(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

impl Credentials {
    /// As the API takes it, in JSON.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({});
        let fields = [
            ("username", &self.username),
            ("password", &self.password),
            ("serveraddress", &self.server),
            ("identitytoken", &self.identity_token),
        ];
        for (name, value) in fields {
            if !value.is_empty() {
                document[name] = json!(value);
            }
        }
        document
    }

    /// As the header `X-Registry-Auth`.
    pub(crate) fn header(&self) -> (&'static str, String) {
        ("x-registry-auth", URL_SAFE.encode(self.document().to_string()))
    }

    fn entry(&self) -> Value {
        let mut entry = json!({ "auth": STANDARD.encode(format!("{}:{}", self.username, self.password)) });
        if !self.identity_token.is_empty() {
            entry = json!({ "auth": STANDARD.encode(format!("{}:", self.username)), "identitytoken": self.identity_token });
        }
        entry
    }

    fn read(entry: &Value, server: &str) -> Option<Self> {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let mut read = Self {
            username: text("username"),
            password: text("password"),
            identity_token: text("identitytoken"),
            server: server.to_owned(),
        };
        if let Some(auth) = entry["auth"].as_str().filter(|auth| !auth.is_empty()) {
            let decoded = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
            let (username, password) = decoded.split_once(':')?;
            (read.username, read.password) =
                (username.to_owned(), password.trim_end_matches('\0').to_owned());
        }
        Some(read)
    }
}

/// The program that keeps credentials for a registry, if one does.
pub(crate) fn helper<'a>(config: &'a Config, key: &str) -> Option<&'a str> {
    let own =
        config.object("credHelpers").and_then(|helpers| helpers.get(host(key)).or_else(|| helpers.get(key)));
    own.and_then(Value::as_str).or_else(|| Some(config.text("credsStore"))).filter(|name| !name.is_empty())
}

/// Runs a credential program with one of its verbs.
fn ask(helper: &str, verb: &str, input: &str) -> Result<String, Failure> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: String| Failure::new(format!("error getting credentials - err: {why}"));
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(format!("exec: {program:?}: {e}, out: ``")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(failed(format!("{}, out: `{text}`", output.status))),
    }
}

/// What is known for a registry; nothing but its name if nothing is.
pub(crate) fn find(config: &Config, registry: &str) -> Result<Credentials, Failure> {
    let key = key(registry);
    let nothing = Credentials { server: key.to_owned(), ..Credentials::default() };
    if let Some(helper) = helper(config, key) {
        let answer = match ask(helper, "get", key) {
            Ok(answer) => answer,
            Err(why) if why.message.contains("credentials not found") => return Ok(nothing),
            Err(why) => return Err(why),
        };
        let answer: Value = serde_json::from_str(&answer)
            .map_err(|e| Failure::new(format!("docker-credential-{helper} cannot be understood: {e}")))?;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let (username, secret) = (text("Username"), text("Secret"));
        return Ok(match username.as_str() {
            "<token>" => Credentials { identity_token: secret, ..nothing },
            _ => Credentials { username, password: secret, ..nothing },
        });
    }
    let known = config.object("auths").and_then(|auths| {
        auths.get(key).or_else(|| auths.iter().find(|(name, _)| host(name) == host(key)).map(|(_, v)| v))
    });
    Ok(known.and_then(|entry| Credentials::read(entry, key)).unwrap_or(nothing))
}

/// Keeps credentials; returns whether they stand unencrypted in a file.
pub(crate) fn keep(config: &Config, credentials: &Credentials) -> Result<bool, Failure> {
    let key = credentials.server.as_str();
    let Some(helper) = helper(config, key) else {
        config.store(key, Some(credentials.entry()))?;
        return Ok(true);
    };
    let (username, secret) = match credentials.identity_token.as_str() {
        "" => (credentials.username.as_str(), credentials.password.as_str()),
        token => ("<token>", token),
    };
    ask(helper, "store", &json!({ "ServerURL": key, "Username": username, "Secret": secret }).to_string())?;
    config.store(key, Some(json!({})))?;
    Ok(false)
}

/// Forgets credentials.
pub(crate) fn forget(config: &Config, key: &str) -> Result<(), Failure> {
    if let Some(helper) = helper(config, key) {
        ask(helper, "erase", key)?;
    }
    let known = config.object("auths").is_some_and(|auths| auths.contains_key(key));
    if known { config.store(key, None) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_str();
        let new = Credentials {
            username: "me".into(),
            password: "a:b".into(),
            server: "reg:5000".into(),
            ..Credentials::default()
        };
        assert!(keep(&Config::load(folder).unwrap(), &new).unwrap());
        let config = Config::load(folder).unwrap();
        assert_eq!(find(&config, "reg:5000").unwrap(), new);
        assert_eq!(find(&config, "docker.io").unwrap().username, "");
        let text = std::fs::read_to_string(config.path()).unwrap();
        assert_eq!(
            text,
            "{\n\t\"auths\": {\n\t\t\"reg:5000\": {\n\t\t\t\"auth\": \"bWU6YTpi\"\n\t\t}\n\t}\n}"
        );
        forget(&config, "reg:5000").unwrap();
        assert_eq!(find(&Config::load(folder).unwrap(), "reg:5000").unwrap().username, "");
    }

    #[test]
    fn a_url_names_its_host() {
        let entry = json!({ "auth": "bWU6eA==" });
        assert_eq!(Credentials::read(&entry, "s").unwrap().password, "x");
        assert_eq!((host("https://reg:5000/v2/"), host("reg")), ("reg:5000", "reg"));
    }
}
