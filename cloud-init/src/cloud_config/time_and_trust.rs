//! Time zone, time servers, certificate authorities.

use super::identity::is_hostname;
use crate::node::{Node, Read};
use crate::report::Report;
use base64::Engine as _;
use hull_model::{CaCerts, Ntp};

/// Reads a time zone's name. Whether the image knows it is seen when it is applied.
pub(super) fn timezone(node: &Node<'_>) -> Read<String> {
    let text = node.text("Europe/Rome")?;
    let good = (1..=64).contains(&text.len())
        && text.split('/').all(|part| {
            part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'))
        });
    if good {
        return Ok(text.to_owned());
    }
    Err(node.issue(format!("{text:?} is not the name of a time zone"), "write it like Europe/Rome or UTC"))
}

/// Reads the time servers; pools are asked like servers.
pub(super) fn ntp(node: &Node<'_>, report: &mut Report) -> Read<Ntp> {
    let mut ntp = Ntp { enabled: Some(true), servers: Vec::new() };
    for (key, value) in node.entries("ntp: {servers: [ntp.example.org]}")? {
        match key {
            _ if value.is_null() => {}
            "enabled" => ntp.enabled = Some(value.boolean()?),
            "servers" | "pools" => {
                for item in value.items("[ntp.example.org]")? {
                    ntp.servers.extend(report.take(time_server(&item)));
                }
            }
            "allow" | "config" | "ntp_client" | "peers" => {
                let reason = format!("known to cloud-init, not handled by Hull: ntp.{key}");
                report.warning(value.issue(reason, "list servers or pools; systemd-timesyncd asks them"));
            }
            _ => report.warning(node.unknown(key, ["enabled", "servers", "pools"])),
        }
    }
    Ok(ntp)
}

fn time_server(node: &Node<'_>) -> Read<String> {
    let text = node.text("ntp.example.org")?;
    if is_hostname(text) || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(node.issue(format!("{text:?} is not a host name or an address"), "write it like ntp.example.org"))
}

/// Reads the authorities to trust.
pub(super) fn ca_certs(node: &Node<'_>, report: &mut Report) -> Read<CaCerts> {
    let mut certs = CaCerts::default();
    for (key, value) in node.entries("ca_certs: {trusted: [\"-----BEGIN CERTIFICATE-----…\"]}")? {
        match key {
            _ if value.is_null() => {}
            "remove_defaults" | "remove-defaults" => certs.remove_defaults = value.boolean()?,
            "trusted" => {
                for item in value.one_or_many("a list of certificates in PEM")? {
                    certs.trusted.extend(report.take(certificate(&item)));
                }
            }
            _ => report.warning(node.unknown(key, ["remove_defaults", "trusted"])),
        }
    }
    Ok(certs)
}

fn certificate(node: &Node<'_>) -> Read<String> {
    let text = node.text("|\n  -----BEGIN CERTIFICATE-----\n  …")?.trim();
    match check_pem(text) {
        Ok(()) => Ok(format!("{text}\n")),
        Err(reason) => Err(node.issue(
            format!("not a certificate in PEM: {reason}"),
            "paste it whole, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, after a |",
        )),
    }
}

/// Whether a text is one or more certificates in PEM (RFC 7468) and nothing else.
fn check_pem(text: &str) -> Result<(), String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    while !rest.is_empty() {
        let body = rest.strip_prefix(BEGIN).ok_or_else(|| format!("{BEGIN} is missing"))?;
        let (body, after) = body.split_once(END).ok_or_else(|| format!("{END} is missing"))?;
        let compact: String = body.split_ascii_whitespace().collect();
        let der = base64::engine::general_purpose::STANDARD.decode(&compact).map_err(|e| e.to_string())?;
        // A certificate is an ASN.1 SEQUENCE.
        if der.first() != Some(&0x30) {
            return Err("the content is not ASN.1".to_owned());
        }
        rest = after.trim_start();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_checked() {
        let good = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(check_pem(good), Ok(()));
        assert_eq!(check_pem(&good.repeat(2)), Ok(()));
        for bad in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nMAA=",
            &good.replace("MAA=", "!!"),
            &good.replace("MA", "AA"),
        ] {
            assert!(check_pem(bad).is_err(), "{bad}");
        }
    }
}
