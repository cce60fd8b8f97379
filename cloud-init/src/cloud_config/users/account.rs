//! One entry of `users`.

use super::default_user;
use crate::node::{Node, Read};
use crate::report::Report;
use hull_model::User;
use std::path::PathBuf;

const HANDLED: &[&str] = &[
    "name",
    "gecos",
    "uid",
    "primary_group",
    "groups",
    "homedir",
    "shell",
    "passwd",
    "hashed_passwd",
    "lock_passwd",
    "plain_text_passwd",
    "ssh_authorized_keys",
    "sudo",
    "system",
    "no_create_home",
];
const NOT_HANDLED: &[&str] = &[
    "create_groups",
    "doas",
    "expiredate",
    "inactive",
    "no_log_init",
    "no_user_group",
    "selinux_user",
    "snapuser",
    "ssh_import_id",
    "ssh_redirect_user",
];

/// Reads one entry: a name, several names with commas, `default`, or a mapping.
pub(super) fn read(node: &Node<'_>, report: &mut Report) -> Read<Vec<User>> {
    if node.value().is_mapping() {
        return account(node, report).map(|user| vec![user]);
    }
    let user = |name: String| match name.as_str() {
        "default" => default_user(Vec::new()),
        _ => User { name, ..User::default() },
    };
    Ok(names(node)?.into_iter().map(user).collect())
}

/// What the keys about the password say together.
#[derive(Default)]
struct Password {
    hash: Option<String>,
    unlocked: bool,
}

fn account(node: &Node<'_>, report: &mut Report) -> Read<User> {
    let mut user = User::default();
    let mut password = Password::default();
    for (key, value) in node.entries("{name: anna}")? {
        // cloud-init takes the keys with hyphens too.
        let key = key.replace('-', "_");
        if value.is_null() {
            continue;
        }
        account_key(&key, &value, node, (&mut user, &mut password), report)?;
    }
    if user.name.is_empty() {
        return Err(node.issue("name is missing", "write it like {name: anna}"));
    }
    match password.hash {
        Some(hash) if password.unlocked => user.passwd_hash = Some(hash),
        Some(_) => report.warning(node.issue(
            format!("the password of {} stays locked", user.name),
            "add lock_passwd: false to let it log in with its password",
        )),
        None => {}
    }
    Ok(user)
}

fn account_key(
    key: &str,
    value: &Node<'_>,
    node: &Node<'_>,
    (user, password): (&mut User, &mut Password),
    report: &mut Report,
) -> Read<()> {
    match key {
        "name" => user.name = name(value)?,
        "gecos" => user.gecos = gecos(value)?,
        "uid" => user.uid = Some(value.integer(0..=u64::from(u32::MAX - 1))? as u32),
        "primary_group" => user.primary_group = Some(name(value)?),
        "groups" => user.groups = name_list(value)?,
        "homedir" => user.homedir = Some(absolute(value, "/var/home/anna")?),
        "shell" => user.shell = Some(absolute(value, "/bin/bash")?),
        "passwd" | "hashed_passwd" => password.hash = report.take(hash(value)),
        "lock_passwd" => password.unlocked = !value.boolean()?,
        "plain_text_passwd" => report.error(value.issue(
            "a password in plain text is refused: user-data can be read by more people than the user",
            "use ssh_authorized_keys, or hashed_passwd made with `mkpasswd --method=yescrypt`",
        )),
        "ssh_authorized_keys" => {
            for item in value.one_or_many("[\"ssh-ed25519 AAAA… anna\"]")? {
                user.ssh_authorized_keys.extend(report.take(ssh_key(&item)));
            }
        }
        "sudo" => user.sudo = sudo(value, report)?,
        "system" => user.system = value.boolean()?,
        "no_create_home" => {
            if value.boolean()? {
                report.warning(value.issue("a home directory is made for every person", "use system: true"));
            }
        }
        _ if NOT_HANDLED.contains(&key) => {
            let reason = format!("known to cloud-init, not handled by Hull: {key}");
            report.warning(value.issue(reason, "remove it"));
        }
        _ if key.starts_with("x-") => {}
        _ => report.warning(node.unknown(key, HANDLED.iter().chain(NOT_HANDLED).copied())),
    }
    Ok(())
}

fn name(node: &Node<'_>) -> Read<String> {
    let text = node.text("anna")?;
    check_name(text, node)?;
    Ok(text.to_owned())
}

/// Refuses what is not the name of a user or group (systemd's strict rule: lower-case, at most 31 bytes).
pub(super) fn check_name(text: &str, node: &Node<'_>) -> Read<()> {
    let good = (1..=31).contains(&text.len())
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if good {
        return Ok(());
    }
    let remedy = "use at most 31 lower-case letters, digits, '_' and '-', beginning with a letter";
    Err(node.issue(format!("{text:?} is not the name of a user or group"), remedy))
}

/// Names written in one text with commas between them.
pub(super) fn names(node: &Node<'_>) -> Read<Vec<String>> {
    let names = node.text("anna")?.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| check_name(name, node).map(|()| name.to_owned())).collect()
}

/// Names written with commas, or as a list.
pub(super) fn name_list(node: &Node<'_>) -> Read<Vec<String>> {
    let mut all = Vec::new();
    for item in node.one_or_many("[staff, adm]")? {
        all.extend(names(&item)?);
    }
    Ok(all)
}

fn gecos(node: &Node<'_>) -> Read<String> {
    let text = node.scalar("Anna Rossi")?;
    if text.contains(':') || text.chars().any(char::is_control) {
        return Err(node.issue("a real name holds no ':' and no line break", "write it like Anna Rossi"));
    }
    Ok(text)
}

fn absolute(node: &Node<'_>, example: &str) -> Read<PathBuf> {
    let text = node.text(example)?;
    let bad = !text.starts_with('/')
        || text.contains(':')
        || text.chars().any(char::is_control)
        || text.split('/').any(|part| part == "..");
    if bad {
        return Err(
            node.issue(format!("{text:?} is not an absolute path"), format!("write it like {example}"))
        );
    }
    Ok(text.into())
}

/// A crypt(3) hash as crypt(5) describes: `$id$…`, without what would break a line of /etc/shadow.
fn hash(node: &Node<'_>) -> Read<String> {
    let text = node.text("\"$y$j9T$…\"")?;
    let good = text.starts_with('$')
        && text.bytes().filter(|b| *b == b'$').count() >= 3
        && text.bytes().all(|b| b.is_ascii_graphic() && !b":;*!\\".contains(&b));
    if good {
        return Ok(text.to_owned());
    }
    Err(node.issue(
        "this is not a password hash; no password is set",
        "make one with `mkpasswd --method=yescrypt`",
    ))
}

/// One line of an authorized_keys file (sshd(8)): optional options, a key type, base64, an optional comment.
pub(crate) fn ssh_key(node: &Node<'_>) -> Read<String> {
    let text = node.text("ssh-ed25519 AAAA… anna@laptop")?.trim();
    let kind = |word: &str| {
        ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|prefix| word.starts_with(prefix))
    };
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let at = words.iter().position(|word| kind(word));
    let blob = at.and_then(|at| words.get(at + 1));
    let good = !text.chars().any(char::is_control) && blob.is_some_and(|blob| blob.starts_with("AAAA"));
    if good {
        return Ok(text.to_owned());
    }
    let remedy = "paste the one line of the .pub file: ssh-ed25519 AAAA… anna@laptop";
    Err(node.issue("this is not a public key of ssh", remedy))
}

/// Only "everything, without a password" can be granted; other rules are reported and grant nothing.
fn sudo(node: &Node<'_>, report: &mut Report) -> Read<bool> {
    if node.value().is_bool() {
        if node.boolean()? {
            report.warning(node.issue("true is not a rule of sudo", "write sudo: ALL=(ALL) NOPASSWD:ALL"));
        }
        return Ok(false);
    }
    let mut granted = false;
    for item in node.one_or_many("ALL=(ALL) NOPASSWD:ALL")? {
        let rule: String = item.text("ALL=(ALL) NOPASSWD:ALL")?.split_ascii_whitespace().collect();
        match rule.to_ascii_uppercase().as_str() {
            "ALL=(ALL)NOPASSWD:ALL" | "ALL=(ALL:ALL)NOPASSWD:ALL" | "ALL=NOPASSWD:ALL" => granted = true,
            "FALSE" => {}
            _ => report.warning(item.issue(
                "only the rule ALL=(ALL) NOPASSWD:ALL is handled; this one grants nothing",
                "write that rule, or put one of your own below /etc/sudoers.d with write_files",
            )),
        }
    }
    Ok(granted)
}
