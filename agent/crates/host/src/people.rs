//! Users, groups, their homes and keys.

use crate::accounts::{self, Account, Texts};
use crate::files::{Access, Root};
use crate::{homes, problem, warning};
use hull_model::{HostSettings, Problem, User};
use std::io;
use std::path::{Path, PathBuf};

const KEYS: &str = "/etc/ssh/authorized_keys.d";
const SUDOERS: &str = "/etc/sudoers.d/90-hull";
/// Whoever may use the engine's socket is as good as root.
const ENGINE_GROUP: &str = "docker";
const TABLES: [&str; 4] = ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"];

/// Makes users and groups what the settings say. `base` is a directory, emptied by each boot, that keeps the tables as the
/// image had them: whoever is no longer in the settings is no longer on the host.
pub(crate) fn apply(
    root: &Root,
    base: &Path,
    settings: &HostSettings,
    before: Option<&HostSettings>,
) -> io::Result<Vec<Problem>> {
    let texts = base_texts(root, base)?;
    let (users, mut problems) = with_privileges(root, &settings.users, &texts);
    let homes = homes::owners(root, &users);
    let (after, made, more) = accounts::render(&texts, &settings.groups, &users, &homes);
    problems.extend(more);
    write_tables(root, &after)?;
    for account in &made {
        let system = users.iter().any(|user| user.name == account.name && user.system);
        problems.extend(settle(root, account, system));
    }
    problems.extend(write_keys(root, &settings.users, &made, before));
    problems.extend(write_sudoers(root, &users, &made));
    Ok(problems)
}

/// The tables as they were before the first change since boot.
fn base_texts(root: &Root, base: &Path) -> io::Result<Texts> {
    let read = |table: &str| -> io::Result<String> {
        let kept = base.join(table.trim_start_matches("/etc/"));
        match std::fs::read_to_string(&kept) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let text = root.text(table)?;
                Root::new(base.into()).write(
                    kept.file_name().unwrap_or_default(),
                    text.as_bytes(),
                    Access::root(0o600),
                )?;
                Ok(text)
            }
            other => other,
        }
    };
    let [passwd, group, shadow, gshadow] = TABLES;
    Ok(Texts { passwd: read(passwd)?, group: read(group)?, shadow: read(shadow)?, gshadow: read(gshadow)? })
}

/// Where there is no sudo, membership in the engine's group gives the same power, and no password is asked either.
fn with_privileges(root: &Root, users: &[User], texts: &Texts) -> (Vec<User>, Vec<Problem>) {
    let mut users = users.to_vec();
    let mut problems = Vec::new();
    if has_sudo(root) {
        return (users, problems);
    }
    let has_group = texts.group.lines().any(|line| line.split(':').next() == Some(ENGINE_GROUP));
    for user in users.iter_mut().filter(|user| user.sudo && user.name != "root") {
        if has_group {
            user.groups.push(ENGINE_GROUP.to_owned());
        } else {
            problems.push(warning(
                format!("users.{}.sudo", user.name),
                "there is no sudo in this image; nothing is granted",
                "use an image with sudo, or log in as root with a key of its own",
            ));
        }
    }
    (users, problems)
}

fn has_sudo(root: &Root) -> bool {
    root.at("/usr/bin/sudo").exists()
}

fn write_tables(root: &Root, texts: &Texts) -> io::Result<()> {
    // Groups first: a user must never be seen in a group that is not there yet.
    let tables =
        [("/etc/group", &texts.group), ("/etc/gshadow", &texts.gshadow), ("/etc/shadow", &texts.shadow)];
    for (path, text) in tables.into_iter().chain([("/etc/passwd", &texts.passwd)]) {
        if text.is_empty() {
            continue;
        }
        let secret = path.ends_with("shadow");
        let found = root.regular(Path::new(path))?.map(|(_, access)| access);
        let access = found.unwrap_or(Access::root(if secret { 0o600 } else { 0o644 }));
        root.write(path, text.as_bytes(), access)?;
    }
    Ok(())
}

fn settle(root: &Root, account: &Account, system: bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !system && account.uid != 0 {
        if let Err(e) = homes::make(root, account) {
            let reason = format!("making the home directory {}: {e}", account.home.display());
            let remedy = "choose a homedir below /var/home that holds no symbolic link";
            problems.push(problem(format!("users.{}.homedir", account.name), reason, remedy));
        }
        let shell_exists = root.at(&account.shell).exists();
        problems.extend(accounts::oddities(account, shell_exists, root.owner(&account.home)));
    }
    problems
}

/// Keys are root's files, so that a user cannot add to them; those of users that are gone go too.
fn write_keys(root: &Root, users: &[User], made: &[Account], before: Option<&HostSettings>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let file = |name: &str| PathBuf::from(KEYS).join(name);
    let mut report = |name: &str, result: io::Result<bool>| {
        if let Err(e) = result {
            let object = format!("users.{name}.ssh_authorized_keys");
            problems.push(problem(
                object,
                format!("writing {KEYS}/{name}: {e}"),
                "see the reason; it is tried again",
            ));
        }
    };
    let wanted = |name: &str| {
        users.iter().any(|u| u.name == name && !u.ssh_authorized_keys.is_empty())
            && made.iter().any(|a| a.name == name)
    };
    for user in before.map_or(&[][..], |settings| &settings.users) {
        if !wanted(&user.name) {
            report(&user.name, root.remove(file(&user.name)));
        }
    }
    for user in users.iter().filter(|user| wanted(&user.name)) {
        let mut text = String::new();
        for key in user.ssh_authorized_keys.iter().filter(|key| !key.contains('\n')) {
            text.push_str(key);
            text.push('\n');
        }
        report(&user.name, root.write(file(&user.name), text.as_bytes(), Access::root(0o644)));
    }
    problems
}

fn write_sudoers(root: &Root, users: &[User], made: &[Account]) -> Vec<Problem> {
    if !has_sudo(root) {
        return Vec::new();
    }
    let granted =
        users.iter().filter(|user| user.sudo && made.iter().any(|account| account.name == user.name));
    let text: String = granted.map(|user| format!("{} ALL=(ALL:ALL) NOPASSWD:ALL\n", user.name)).collect();
    let result = if text.is_empty() {
        root.remove(SUDOERS)
    } else {
        root.write(SUDOERS, text.as_bytes(), Access::root(0o440))
    };
    let failed =
        |e| problem("users.sudo", format!("writing {SUDOERS}: {e}"), "see the reason; it is tried again");
    result.map_err(failed).err().into_iter().collect()
}
