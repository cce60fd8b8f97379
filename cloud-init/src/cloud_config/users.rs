//! People: `users`, `groups`, `ssh_authorized_keys`.

mod account;

use crate::node::{Node, Read};
use crate::report::Report;
use hull_model::{Group, HostSettings, User};

pub(crate) use account::ssh_key;

/// Name of the user that cloud-init calls `default`.
const DEFAULT_USER: &str = "hull";
const EXAMPLE: &str = "users: [{name: anna, ssh_authorized_keys: [\"ssh-ed25519 AAAA… anna\"]}]";

/// The default user with these keys: may become root, has no password.
pub(crate) fn default_user(keys: Vec<String>) -> User {
    User {
        name: DEFAULT_USER.to_owned(),
        gecos: "Hull".to_owned(),
        sudo: true,
        ssh_authorized_keys: keys,
        ..User::default()
    }
}

/// What is said about people, before keys are given to the default user.
#[derive(Debug, Default)]
pub(super) struct People {
    users: Option<Vec<User>>,
    groups: Vec<Group>,
    default_keys: Vec<String>,
}

impl People {
    /// Reads `users`. A user that cannot be understood is left out.
    pub(super) fn users(&mut self, node: &Node<'_>, report: &mut Report) -> Read<()> {
        let mut users: Vec<User> = Vec::new();
        for item in node.one_or_many(EXAMPLE)? {
            let read = account::read(&item, report);
            for user in report.take(read).into_iter().flatten() {
                if users.iter().any(|other| other.name == user.name) {
                    let reason = format!("there is another user {:?} before this one", user.name);
                    report.error(item.issue(reason, "describe each user once"));
                } else {
                    users.push(user);
                }
            }
        }
        self.users = Some(users);
        Ok(())
    }

    /// Reads `groups`: names, or a group with its members. A group that cannot be understood is left out.
    pub(super) fn groups(&mut self, node: &Node<'_>, report: &mut Report) -> Read<()> {
        if node.value().is_mapping() {
            return self.group_with_members(node, report);
        }
        for item in node.one_or_many("groups: [staff, {admins: [anna]}]")? {
            let read = if item.value().is_mapping() {
                self.group_with_members(&item, report)
            } else {
                account::names(&item)
                    .map(|names| names.into_iter().for_each(|name| self.add_group(name, vec![])))
            };
            if let Err(issue) = read {
                report.error(issue);
            }
        }
        Ok(())
    }

    fn group_with_members(&mut self, node: &Node<'_>, report: &mut Report) -> Read<()> {
        for (name, members) in node.entries("{admins: [anna]}")? {
            let read = account::check_name(name, &members).and_then(|()| match members.is_null() {
                true => Ok(Vec::new()),
                false => account::name_list(&members),
            });
            if let Some(members) = report.take(read) {
                self.add_group(name.to_owned(), members);
            }
        }
        Ok(())
    }

    fn add_group(&mut self, name: String, members: Vec<String>) {
        match self.groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.members.extend(members),
            None => self.groups.push(Group { name, members }),
        }
    }

    /// Reads the keys of the default user. A key that cannot be understood is left out.
    pub(super) fn default_keys(&mut self, node: &Node<'_>, report: &mut Report) -> Read<()> {
        for item in node.one_or_many("[\"ssh-ed25519 AAAA… anna\"]")? {
            self.default_keys.extend(report.take(ssh_key(&item)));
        }
        Ok(())
    }

    /// Gives the keys to the default user, who exists unless `users` leaves it out, as in cloud-init.
    pub(super) fn settle(self, host: &mut HostSettings, report: &mut Report) {
        host.groups = self.groups;
        let listed = self.users.is_some();
        host.users = self.users.unwrap_or_default();
        if self.default_keys.is_empty() {
            return;
        }
        match host.users.iter_mut().find(|user| user.name == DEFAULT_USER) {
            Some(user) => user.ssh_authorized_keys.extend(self.default_keys),
            None if !listed => host.users.push(default_user(self.default_keys)),
            None => report.error(crate::node::Issue {
                path: "ssh_authorized_keys".to_owned(),
                reason: "these keys are for the default user, which users leaves out".to_owned(),
                remedy: "add - default to users, or give each user its own ssh_authorized_keys".to_owned(),
            }),
        }
    }
}

/// Root never logs in over the network, which is what `true` asks for.
pub(super) fn disable_root(node: &Node<'_>, report: &mut Report) -> Read<()> {
    if !node.boolean()? {
        report.warning(node.issue(
            "root does not get the default user's keys",
            "log in as the default user, or list root under users with its own ssh_authorized_keys",
        ));
    }
    Ok(())
}
