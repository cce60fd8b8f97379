//! Users and groups as texts of passwd(5), group(5), shadow(5) and gshadow(5): pure, from the texts before to those after.
//!
//! Numbers are stable: the one that was given, else that of the existing home directory's owner, else the next free one.

mod table;

use crate::{problem, warning};
use hull_model::{Group, Problem, User};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use table::Table;

/// People have numbers from here (login.defs(5)).
const FIRST_PERSON: u32 = 1000;
const LAST_PERSON: u32 = 59_999;
/// Service accounts have numbers up to here, given out downwards.
const FIRST_SYSTEM: u32 = 100;
const LAST_SYSTEM: u32 = 999;
/// Password fields: none that could match, which sshd does not take for a locked account.
const NO_PASSWORD: &str = "*";

/// The four texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) passwd: String,
    pub(crate) group: String,
    pub(crate) shadow: String,
    pub(crate) gshadow: String,
}

/// A user as it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: PathBuf,
    pub(crate) shell: PathBuf,
}

/// Owners of the home directories that exist.
pub(crate) type Homes = BTreeMap<PathBuf, u32>;

/// Adds groups and users to the texts. A user that cannot be added is reported and left out. A number that owns a home, or
/// is asked for by anybody, is never given to somebody else: a newcomer must not find itself in another's files.
pub(crate) fn render(
    before: &Texts,
    groups: &[Group],
    users: &[User],
    homes: &Homes,
) -> (Texts, Vec<Account>, Vec<Problem>) {
    let mut book = Book::open(before);
    book.reserved = homes.values().copied().chain(users.iter().filter_map(|user| user.uid)).collect();
    let mut accounts = Vec::new();
    let mut problems = Vec::new();
    for group in groups {
        problems.extend(book.group(&group.name, false, None).err());
    }
    for user in users {
        match book.user(user, homes) {
            Ok(account) => accounts.push(account),
            Err(problem) => problems.push(problem),
        }
    }
    // Members come last: a group may name users that are made here.
    for group in groups {
        for member in &group.members {
            problems.extend(book.member(&group.name, member).err());
        }
    }
    (book.close(), accounts, problems)
}

/// The four tables, open.
struct Book {
    passwd: Table,
    group: Table,
    shadow: Table,
    gshadow: Table,
    has_gshadow: bool,
    /// Numbers that are not free although no table has them.
    reserved: BTreeSet<u32>,
}

impl Book {
    fn open(texts: &Texts) -> Self {
        Self {
            passwd: Table::parse(&texts.passwd),
            group: Table::parse(&texts.group),
            shadow: Table::parse(&texts.shadow),
            gshadow: Table::parse(&texts.gshadow),
            has_gshadow: !texts.gshadow.is_empty(),
            reserved: BTreeSet::new(),
        }
    }

    fn close(self) -> Texts {
        Texts {
            passwd: self.passwd.into_text(),
            group: self.group.into_text(),
            shadow: self.shadow.into_text(),
            gshadow: self.gshadow.into_text(),
        }
    }

    /// A number that neither a user nor a group has.
    fn free_number(&self, system: bool) -> Option<u32> {
        let taken =
            |n: &u32| self.passwd.has_number(*n) || self.group.has_number(*n) || self.reserved.contains(n);
        match system {
            true => (FIRST_SYSTEM..=LAST_SYSTEM).rev().find(|n| !taken(n)),
            false => (FIRST_PERSON..=LAST_PERSON).find(|n| !taken(n)),
        }
    }

    /// The number of a group, which is made if it is missing; with this number, if that is free.
    fn group(&mut self, name: &str, system: bool, wanted: Option<u32>) -> Result<u32, Problem> {
        if let Some(number) = self.group.number(name) {
            return Ok(number);
        }
        let number = wanted.filter(|n| !self.group.has_number(*n)).or_else(|| self.free_number(system));
        let number = number.ok_or_else(|| {
            problem(
                format!("groups.{name}"),
                "there is no free number for the group",
                "remove groups that are not needed",
            )
        })?;
        self.group.set(name, ["x", &number.to_string(), ""]);
        if self.has_gshadow {
            self.gshadow.set(name, ["!", "", ""]);
        }
        Ok(number)
    }

    /// Puts a user into a group.
    fn member(&mut self, group: &str, user: &str) -> Result<(), Problem> {
        if self.passwd.number(user).is_none() {
            return Err(problem(
                format!("groups.{group}"),
                format!("its member {user:?} does not exist"),
                "describe the user under users, or remove it here",
            ));
        }
        self.group.add_to_list(group, 2, user);
        if self.has_gshadow {
            self.gshadow.add_to_list(group, 2, user);
        }
        Ok(())
    }

    fn user(&mut self, user: &User, homes: &Homes) -> Result<Account, Problem> {
        let existing = self.passwd.fields(&user.name);
        let field =
            |i: usize| existing.as_ref().and_then(|fields| fields.get(i)).filter(|f| !f.is_empty()).cloned();
        let home = user.homedir.clone().map(canonical_home).or_else(|| field(4).map(PathBuf::from));
        let home = home.unwrap_or_else(|| PathBuf::from("/var/home").join(&user.name));
        let uid = self.uid(user, homes.get(&home).copied())?;
        let gid = self.primary_group(user, uid, field(2).and_then(|gid| gid.parse().ok()))?;
        let default_shell = if user.system { "/usr/sbin/nologin" } else { "/bin/bash" };
        let shell = user
            .shell
            .clone()
            .or_else(|| field(5).map(PathBuf::from))
            .unwrap_or_else(|| default_shell.into());
        let gecos = if user.gecos.is_empty() { field(3).unwrap_or_default() } else { user.gecos.clone() };
        let texts = [home.to_string_lossy().into_owned(), shell.to_string_lossy().into_owned()];
        let all = [
            user.name.as_str(),
            &gecos,
            &texts[0],
            &texts[1],
            user.passwd_hash.as_deref().unwrap_or_default(),
        ];
        if all.iter().any(|text| text.contains([':', '\n', '\0'])) {
            let object = format!("users.{}", user.name.escape_debug());
            return Err(problem(object, "a value holds a ':' or a line break", "remove it"));
        }
        self.passwd.set(&user.name, ["x", &uid.to_string(), &gid.to_string(), &gecos, &texts[0], &texts[1]]);
        self.set_password(user);
        for group in &user.groups {
            self.group(group, false, None)?;
            self.member(group, &user.name)?;
        }
        Ok(Account { name: user.name.clone(), uid, gid, home, shell })
    }

    fn uid(&self, user: &User, home_owner: Option<u32>) -> Result<u32, Problem> {
        let object = || format!("users.{}.uid", user.name);
        if let Some(number) = self.passwd.number(&user.name) {
            return match user.uid {
                Some(wanted) if wanted != number => {
                    let reason =
                        format!("the image's user {} has the number {number}, not {wanted}", user.name);
                    Err(problem(object(), reason, "remove uid, or choose another name"))
                }
                _ => Ok(number),
            };
        }
        if let Some(wanted) = user.uid {
            if self.passwd.has_number(wanted) {
                return Err(problem(
                    object(),
                    format!("another user has the number {wanted}"),
                    "choose another uid",
                ));
            }
            return Ok(wanted);
        }
        let known =
            home_owner.filter(|n| (FIRST_PERSON..=LAST_PERSON).contains(n) && !self.passwd.has_number(*n));
        let number = known.or_else(|| self.free_number(user.system));
        number.ok_or_else(|| {
            problem(object(), "there is no free number for the user", "remove users that are not needed")
        })
    }

    fn primary_group(&mut self, user: &User, uid: u32, existing: Option<u32>) -> Result<u32, Problem> {
        match (&user.primary_group, existing) {
            (Some(name), _) => self.group(name, user.system, None),
            (None, Some(gid)) => Ok(gid),
            (None, None) => self.group(&user.name, user.system, Some(uid)),
        }
    }

    /// Without a password of its own, an existing user keeps what the image says.
    fn set_password(&mut self, user: &User) {
        if user.passwd_hash.is_none() && self.shadow.fields(&user.name).is_some() {
            return;
        }
        let hash = user.passwd_hash.as_deref().unwrap_or(NO_PASSWORD);
        // No date of the last change: passwords do not age.
        self.shadow.set(&user.name, [hash, "", "0", "99999", "7", "", "", ""]);
    }
}

/// `/home` is a link to `/var/home` on the OS; homes are named by where they are.
pub(crate) fn canonical_home(home: PathBuf) -> PathBuf {
    match home.strip_prefix("/home") {
        Ok(rest) => PathBuf::from("/var/home").join(rest),
        Err(_) => home,
    }
}

/// What is odd about an account, for its user to know.
pub(crate) fn oddities(account: &Account, shell_exists: bool, home_owner: Option<u32>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !shell_exists {
        let reason = format!(
            "the shell {} is not in the image; {} cannot log in",
            account.shell.display(),
            account.name
        );
        problems.push(warning(format!("users.{}.shell", account.name), reason, "use /bin/bash or /bin/sh"));
    }
    if let Some(owner) = home_owner.filter(|owner| *owner != account.uid && account.uid != 0) {
        let reason =
            format!("{} belongs to the number {owner}, not to {}", account.home.display(), account.uid);
        let remedy = "remove uid to keep the old number, or choose another homedir";
        problems.push(warning(format!("users.{}.homedir", account.name), reason, remedy));
    }
    problems
}

#[cfg(test)]
mod tests;
