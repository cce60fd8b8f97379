//! What the host itself should be: names, people, files, time, trust.

use crate::HostNetwork;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings of the host. `None` and empty leave what the image has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostSettings {
    /// Host name, one label.
    pub hostname: Option<String>,
    /// Fully qualified name; `/etc/hosts` maps it.
    pub fqdn: Option<String>,
    /// Groups, made before the users.
    pub groups: Vec<Group>,
    /// People.
    pub users: Vec<User>,
    /// Files written below /etc, /var or /run.
    pub files: Vec<WriteFile>,
    /// Name in the tz database: `Europe/Rome`.
    pub timezone: Option<String>,
    /// Time servers.
    pub ntp: Ntp,
    /// Certificate authorities.
    pub ca_certs: CaCerts,
    /// Interfaces; `None` is DHCP on every wired one.
    pub network: Option<HostNetwork>,
}

/// A group of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Users in it.
    #[serde(default)]
    pub members: Vec<String>,
}

/// A person or a service account on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Real name.
    pub gecos: String,
    /// Numeric id; the owner of an existing home directory or the next free one otherwise.
    pub uid: Option<u32>,
    /// Name of the primary group; one of the user's own name otherwise.
    pub primary_group: Option<String>,
    /// Supplementary groups.
    pub groups: Vec<String>,
    /// Home directory; `/var/home/NAME` otherwise.
    pub homedir: Option<PathBuf>,
    /// Login shell; `/bin/bash` otherwise.
    pub shell: Option<PathBuf>,
    /// A crypt(3) hash; a locked password otherwise.
    pub passwd_hash: Option<String>,
    /// Keys that may log in.
    pub ssh_authorized_keys: Vec<String>,
    /// May become root without a password.
    pub sudo: bool,
    /// A service account: no home directory is made.
    pub system: bool,
}

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteFile {
    /// Absolute path below /etc, /var or /run.
    pub path: PathBuf,
    /// Decoded content.
    pub content: Vec<u8>,
    /// `user:group`; root otherwise.
    pub owner: Option<String>,
    /// Permission bits.
    pub mode: u32,
    /// Add to the end of what is there.
    pub append: bool,
}

/// Time servers; both empty leaves the image's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ntp {
    /// `Some(false)` turns time synchronisation off.
    pub enabled: Option<bool>,
    /// Servers and pools, in order.
    pub servers: Vec<String>,
}

/// Certificate authorities that the host and the agent trust.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaCerts {
    /// Drop those of the image.
    pub remove_defaults: bool,
    /// Added, each in PEM.
    pub trusted: Vec<String>,
}
