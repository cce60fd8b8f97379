//! After the agent or the host started: adopt, complete, clean up. And the end of it all.

use crate::attach::{host_ports, published};
use crate::driver::{Attached, Inner};
use crate::error::Outcome;
use crate::links::Link;
use crate::netlink::Batch;
use crate::nft::Element;
use crate::{links, names, namespace, nft, sysctl};
use hull_model::NetworkRecord;
use hull_ports::{Error, SandboxSpec};
use std::collections::{BTreeSet, HashSet};

impl Inner {
    pub(crate) fn restore(&self, networks: &[NetworkRecord], sandboxes: Vec<SandboxSpec>) -> Outcome<()> {
        self.reaper.wait(None);
        self.shelf.ensure()?;
        let links = self.links()?;
        if !networks.is_empty() {
            sysctl::enable_forwarding()?;
        }
        for record in networks {
            self.make_bridge(record, &links)?;
        }
        let whole: Vec<SandboxSpec> = sandboxes.into_iter().filter(|s| self.is_whole(s, &links)).collect();
        self.remove_leftovers(networks, &whole, &links)?;
        let mut elements: BTreeSet<Element> = networks.iter().flat_map(nft::host::network_elements).collect();
        elements.extend(whole.iter().flat_map(published));
        self.rules().set(elements)?;
        self.rejoin(&whole, &links)?;
        whole.into_iter().for_each(|spec| self.adopt(spec));
        Ok(())
    }

    /// Whether the namespace and all interfaces are there. What is not whole was never handed out, or is from before a
    /// reboot: it is made again by `attach`.
    fn is_whole(&self, spec: &SandboxSpec, links: &[Link]) -> bool {
        let interface = |number| {
            let name = names::host_interface(&spec.container, number);
            links.iter().any(|l| l.name == name)
        };
        self.shelf.has(&spec.container) && (0..spec.endpoints.len()).all(interface)
    }

    /// Puts interfaces back whose bridge was removed and made again.
    fn rejoin(&self, sandboxes: &[SandboxSpec], links: &[Link]) -> Outcome<()> {
        for spec in sandboxes {
            for (number, endpoint) in spec.endpoints.iter().enumerate() {
                let name = names::host_interface(&spec.container, number);
                let bridge = self.state().networks.get(&endpoint.network.id).map(|network| network.index);
                let joined = links.iter().any(|l| l.name == name && Some(l.master) == bridge);
                if let Some(bridge) = bridge.filter(|_| !joined) {
                    let mut batch = Batch::default();
                    batch.push(links::join_bridge(&name, bridge), format!("putting interface {name} back"));
                    batch.push(links::raise_port(&name, self.ipv6), format!("bringing interface {name} up"));
                    self.route().transact(batch)?;
                }
            }
            self.allow_loopback(spec)?;
        }
        Ok(())
    }

    /// Takes over what runs. Its resolver gets new sockets; nothing else of it is touched.
    fn adopt(&self, spec: SandboxSpec) {
        let mut resolver = None;
        if !spec.endpoints.is_empty() && !self.state().attached.contains_key(&spec.container) {
            let path = self.shelf.path(&spec.container);
            match namespace::reopen_resolver(&path).and_then(|sockets| self.serve(&spec, sockets)) {
                Ok(server) => resolver = server,
                Err(failure) => {
                    let error = Error::from(failure).chain();
                    tracing::error!(
                        container = spec.container.short(),
                        error,
                        "its resolver cannot be opened again"
                    );
                }
            }
        }
        let mut state = self.state();
        if state.attached.contains_key(&spec.container) {
            return;
        }
        if let Err(error) = state.ports.take(&spec.container, host_ports(&spec)) {
            tracing::warn!(
                container = spec.container.short(),
                error = error.message,
                "a port is published twice"
            );
        }
        state.attached.insert(spec.container.clone(), Attached { spec, _resolver: resolver });
    }

    fn remove_leftovers(
        &self,
        networks: &[NetworkRecord],
        sandboxes: &[SandboxSpec],
        links: &[Link],
    ) -> Outcome<()> {
        let containers: HashSet<&str> = sandboxes.iter().map(|s| s.container.as_str()).collect();
        let interfaces: HashSet<String> = sandboxes
            .iter()
            .flat_map(|s| (0..s.endpoints.len()).map(|number| names::host_interface(&s.container, number)))
            .collect();
        let bridges: HashSet<&str> = networks.iter().map(|n| n.bridge.as_str()).collect();
        for name in self.shelf.names()?.iter().filter(|n| !containers.contains(n.as_str())) {
            self.shelf.release(name)?;
        }
        for link in links {
            let pair = link.kind == "veth"
                && names::owner_of(&link.name).is_some()
                && !interfaces.contains(&link.name);
            let bridge = link.kind == "bridge"
                && names::is_bridge(&link.name)
                && !bridges.contains(link.name.as_str());
            if pair || bridge {
                self.remove_link(&link.name)?;
            }
        }
        let mut state = self.state();
        state.networks.retain(|_, n| bridges.contains(n.record.bridge.as_str()));
        let gone: Vec<SandboxSpec> = state
            .attached
            .extract_if(|id, _| !containers.contains(id.as_str()))
            .map(|(_, attached)| attached.spec)
            .collect();
        for spec in gone {
            state.ports.give_back(&spec.container, host_ports(&spec));
            self.directory.remove(&spec.container);
        }
        Ok(())
    }

    pub(crate) fn reset(&self) -> Outcome<()> {
        self.reaper.wait(None);
        let links = self.links()?;
        self.remove_leftovers(&[], &[], &links)?;
        self.rules().clear()?;
        self.pool.drain();
        self.shelf.remove()
    }
}
