//! What the host is called.

use crate::node::{Node, Read};
use crate::report::Report;
use hull_model::HostSettings;

/// The keys that name the host, before they are settled against each other.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) hostname: Option<String>,
    pub(super) fqdn: Option<String>,
}

impl Identity {
    /// `hostname` gives the host's one label; the fully qualified name comes from `fqdn`, or from a `hostname` with dots.
    pub(super) fn settle(self, host: &mut HostSettings) {
        let full = self.fqdn.or_else(|| self.hostname.clone().filter(|name| name.contains('.')));
        let label = self.hostname.or_else(|| full.clone());
        host.hostname = label.map(|name| name.split('.').next().unwrap_or_default().to_owned());
        host.fqdn = full;
    }
}

/// Reads a host name.
pub(super) fn hostname(node: &Node<'_>) -> Read<String> {
    let text = node.text("web1 or web1.example.org")?;
    if is_hostname(text) {
        return Ok(text.to_owned());
    }
    let reason = format!("{text:?} is not a host name");
    Err(node.issue(reason, "use letters, digits and '-', at most 63 in each part between dots"))
}

/// Whether a text is a host name (RFC 1123): labels of letters, digits and hyphens; the first fits the kernel's 64 bytes.
pub(crate) fn is_hostname(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// The kernel's host name is always one label here, which is what `false` asks for.
pub(super) fn prefer_fqdn(node: &Node<'_>, report: &mut Report) -> Read<()> {
    if node.boolean()? {
        report.warning(node.issue(
            "the kernel's host name is always the first label here",
            "remove it; the fully qualified name is in /etc/hosts",
        ));
    }
    Ok(())
}

/// The host's own name is always in `/etc/hosts`, and nothing else of that file is managed.
pub(super) fn manage_etc_hosts(node: &Node<'_>, report: &mut Report) -> Read<()> {
    let wanted = match node.value().as_str() {
        Some("localhost" | "template") => true,
        _ => node.boolean()?,
    };
    if !wanted {
        report.warning(node.issue("the host's own name is always kept in /etc/hosts", "remove it"));
    }
    Ok(())
}
