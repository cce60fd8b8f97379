//! Names and hardware addresses that follow from ids and addresses. Pure.

use hull_model::ContainerId;

/// Endpoints a container may have: their number is one hexadecimal digit of the host interface's name.
pub(crate) const MAX_ENDPOINTS: usize = 16;

/// The host's end of a container's interface: `hv`, ten digits of the container's id, the endpoint's number.
pub(crate) fn host_interface(container: &ContainerId, endpoint: usize) -> String {
    format!("hv{}{endpoint:x}", &container.as_str()[..10])
}

/// The beginning of the container's id, if the interface is the host's end of one of its interfaces.
pub(crate) fn owner_of(interface: &str) -> Option<&str> {
    let digits = interface.strip_prefix("hv").filter(|d| d.len() == 11 && is_hex(d))?;
    digits.get(..10)
}

/// Whether an interface of that name is a network's bridge: `hull-` and eight digits of the network's id.
pub(crate) fn is_bridge(interface: &str) -> bool {
    interface.strip_prefix("hull-").is_some_and(|digits| digits.len() == 8 && is_hex(digits))
}

fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_fit_and_lead_back() {
        let id = ContainerId::from_random([0xc5; 32]);
        let name = host_interface(&id, 15);
        assert_eq!(name, "hvc5c5c5c5c5f");
        assert!(name.len() < 16);
        assert_eq!(owner_of(&name), Some("c5c5c5c5c5"));
        for other in
            ["hv", "hvx5c5c5c5c5f", "hvc5c5c5c5c5", "hvc5c5c5c5c5ff", "eth0", "hvC5c5c5c5c5f", "hvé5c5c5c5cf"]
        {
            assert_eq!(owner_of(other), None, "{other}");
        }
    }

    #[test]
    fn bridges_are_known_by_name() {
        for (name, ours) in
            [("hull-0a1b2c3d", true), ("hull-", false), ("hull-0a1b2c3", false), ("hull-0a1b2c3g", false)]
        {
            assert_eq!(is_bridge(name), ours, "{name}");
        }
    }
}
