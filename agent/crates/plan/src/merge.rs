//! Layers of intent become one.

use hull_model::{CaCerts, HostSettings, HullSettings, Layer, Ntp, Workloads};

/// Merges layers into one host: a higher source wins for what can be said once, and adds to what is a list of named
/// things, replacing those of the same name. `generation` of the result is 0: whoever accepts it numbers it.
pub fn merge(layers: &[Layer]) -> hull_model::HostSpec {
    let mut ordered: Vec<&Layer> = layers.iter().collect();
    ordered.sort_by_key(|layer| layer.source);
    let mut spec = hull_model::HostSpec::default();
    for layer in ordered {
        merge_host(&mut spec.host, &layer.host);
        merge_hull(&mut spec.hull, &layer.hull);
        if let Some(workloads) = &layer.workloads {
            merge_workloads(&mut spec.workloads, workloads);
        }
    }
    spec
}

fn merge_host(below: &mut HostSettings, above: &HostSettings) {
    // Taken apart by name, so that a new setting cannot be forgotten here.
    let HostSettings { hostname, fqdn, groups, users, files, timezone, ntp, ca_certs, network } = above;
    replace(&mut below.hostname, hostname);
    replace(&mut below.fqdn, fqdn);
    merge_named(&mut below.groups, groups, |g| &g.name);
    merge_named(&mut below.users, users, |u| &u.name);
    merge_files(below, files);
    replace(&mut below.timezone, timezone);
    merge_ntp(&mut below.ntp, ntp);
    merge_ca_certs(&mut below.ca_certs, ca_certs);
    replace(&mut below.network, network);
}

fn replace<T: Clone>(below: &mut Option<T>, above: &Option<T>) {
    if above.is_some() {
        below.clone_from(above);
    }
}

fn merge_named<T: Clone, K: PartialEq + ?Sized>(below: &mut Vec<T>, above: &[T], key: impl Fn(&T) -> &K) {
    for item in above {
        match below.iter_mut().find(|b| key(b) == key(item)) {
            Some(place) => *place = item.clone(),
            None => below.push(item.clone()),
        }
    }
}

/// Appended content belongs to the file below it, so appending entries are kept beside what they add to.
fn merge_files(below: &mut HostSettings, files: &[hull_model::WriteFile]) {
    for file in files {
        if !file.append {
            below.files.retain(|b| b.path != file.path);
        }
        below.files.push(file.clone());
    }
}

fn merge_ntp(below: &mut Ntp, above: &Ntp) {
    replace(&mut below.enabled, &above.enabled);
    if !above.servers.is_empty() {
        below.servers.clone_from(&above.servers);
    }
}

fn merge_ca_certs(below: &mut CaCerts, above: &CaCerts) {
    below.remove_defaults |= above.remove_defaults;
    for certificate in &above.trusted {
        if !below.trusted.contains(certificate) {
            below.trusted.push(certificate.clone());
        }
    }
}

fn merge_hull(below: &mut HullSettings, above: &HullSettings) {
    let HullSettings { registries } = above;
    below.registries.extend(registries.iter().map(|(k, v)| (k.clone(), v.clone())));
}

fn merge_workloads(below: &mut Workloads, above: &Workloads) {
    let Workloads { containers, networks, volumes } = above;
    below.containers.extend(containers.iter().map(|(k, v)| (k.clone(), v.clone())));
    below.networks.extend(networks.iter().map(|(k, v)| (k.clone(), v.clone())));
    below.volumes.extend(volumes.iter().map(|(k, v)| (k.clone(), v.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{Source, User};

    #[test]
    fn higher_sources_win_whatever_the_order_they_came_in() {
        let mut vendor = Layer::empty(Source::VendorData);
        vendor.host.hostname = Some("vendor".into());
        vendor.host.timezone = Some("Etc/UTC".into());
        vendor.host.users = vec![User { name: "ops".into(), gecos: "vendor".into(), ..User::default() }];
        let mut user = Layer::empty(Source::UserData);
        user.host.hostname = Some("mine".into());
        user.host.users = vec![
            User { name: "ada".into(), ..User::default() },
            User { name: "ops".into(), gecos: "mine".into(), ..User::default() },
        ];
        let merged = merge(&[user.clone(), vendor.clone()]);
        assert_eq!(merged, merge(&[vendor, user]));
        assert_eq!(merged.host.hostname.as_deref(), Some("mine"));
        assert_eq!(merged.host.timezone.as_deref(), Some("Etc/UTC"));
        let users: Vec<_> = merged.host.users.iter().map(|u| (u.name.as_str(), u.gecos.as_str())).collect();
        assert_eq!(users, [("ops", "mine"), ("ada", "")]);
    }
}
