//! Time zone and time servers.

use crate::files::{Access, Root};
use crate::problem;
use crate::system::System;
use hull_model::{Ntp, Problem};

const LOCALTIME: &str = "/etc/localtime";
const ZONES: &str = "/usr/share/zoneinfo";
const SERVERS: &str = "/run/systemd/timesyncd.conf.d/90-hull.conf";
const UNIT: &str = "systemd-timesyncd.service";
const MASK: &str = "/run/systemd/system/systemd-timesyncd.service";

/// Sets the time zone; without one it is the image's, which is UTC.
pub(crate) fn zone(root: &Root, name: Option<&str>) -> Vec<Problem> {
    let Some(name) = name else {
        return reported("timezone", root.remove(LOCALTIME).map(|_| ()), &format!("removing {LOCALTIME}"));
    };
    let plain = !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    // Compiled zones begin so (RFC 8536); the directory holds lists and leap seconds too.
    let known = plain && std::fs::read(root.at(ZONES).join(name)).is_ok_and(|zone| zone.starts_with(b"TZif"));
    if !known {
        let reason = format!("the image knows no time zone {name:?}");
        return vec![problem("timezone", reason, "write a name of the tz database, like Europe/Rome")];
    }
    let linked = root.link(&format!("..{ZONES}/{name}"), LOCALTIME).map(|_| ());
    reported("timezone", linked, &format!("linking {LOCALTIME}"))
}

fn reported(object: &str, result: Result<(), impl std::fmt::Display>, doing: &str) -> Vec<Problem> {
    let failed = |e| {
        problem(object, format!("{doing}: {e}"), "see the reason; it is tried again with the next change")
    };
    result.map_err(failed).err().into_iter().collect()
}

/// Sets the time servers, and whether they are asked at all.
pub(crate) async fn servers(root: &Root, ntp: &Ntp, system: &dyn System) -> Vec<Problem> {
    let masked = root.at(MASK).is_symlink();
    if ntp.enabled == Some(false) {
        let result = if masked { Ok(()) } else { system.stop_and_mask(UNIT).await };
        return reported("ntp", result, "turning time synchronisation off");
    }
    let mut problems = Vec::new();
    if masked {
        problems.extend(reported("ntp", system.unmask(UNIT).await, "turning time synchronisation on"));
    }
    let servers: Vec<&str> =
        ntp.servers.iter().map(String::as_str).filter(|s| !s.contains(char::is_whitespace)).collect();
    let written = if servers.is_empty() {
        root.remove(SERVERS)
    } else {
        let text = format!("# Written by hulld.\n[Time]\nNTP={}\n", servers.join(" "));
        root.write(SERVERS, text.as_bytes(), Access::root(0o644))
    };
    match written {
        Ok(changed) if changed || masked => {
            problems.extend(reported("ntp", system.restart(UNIT).await, "restarting time synchronisation"));
        }
        Ok(_) => {}
        Err(e) => problems.extend(reported("ntp", Err(e), &format!("writing {SERVERS}"))),
    }
    problems
}
