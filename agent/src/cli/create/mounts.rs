//! `--mount`: one line of comma-separated values each.

use crate::cli::failure::Failure;
use crate::cli::flags::{check as value, units};
use serde_json::{Value, json};

/// Whether a text is a mount.
pub(crate) fn check(text: &str) -> Result<(), String> {
    mount(text).map(drop)
}

/// All mounts; `Null` for none.
pub(super) fn read(texts: &[&str]) -> Result<Value, Failure> {
    let mounts = texts.iter().map(|text| mount(text)).collect::<Result<Vec<_>, _>>();
    let mounts = mounts.map_err(Failure::new)?;
    Ok(if mounts.is_empty() { Value::Null } else { json!(mounts) })
}

/// The fields of a line of comma-separated values; quotes keep commas.
pub(super) fn fields(line: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            '"' => return Err("parse error on line 1: bare \" in non-quoted field".to_owned()),
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if quoted {
        return Err("parse error on line 1: extraneous or missing \" in quoted-field".to_owned());
    }
    fields.push(field);
    Ok(fields)
}

fn mount(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Err("value is empty".to_owned());
    }
    let mut mount = json!({ "Type": "volume" });
    let mut recursive = String::new();
    for field in fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.trim().to_lowercase(), Some(value.trim())),
            None => (field.trim().to_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("bind-recursive", Some(value)) => recursive = value.to_owned(),
            (key, value) => set(&mut mount, key, value, &field)?,
        }
    }
    recursion(&mut mount, &recursive)?;
    if mount["Target"].as_str().is_none_or(str::is_empty) {
        return Err("target is required".to_owned());
    }
    no_foreign_options(&mount)?;
    Ok(mount)
}

fn set(mount: &mut Value, key: &str, given: Option<&str>, field: &str) -> Result<(), String> {
    let switch = matches!(key, "readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive");
    let Some(text) = given.or(switch.then_some("true")) else {
        return Err(format!("invalid field '{field}' must be a key=value pair"));
    };
    let bad = || format!("invalid value for {key}: {text}");
    let boolean = || value::boolean(text).map_err(|_| bad());
    let pair = || text.split_once('=').unwrap_or((text, ""));
    match key {
        "type" => mount["Type"] = json!(text.to_lowercase()),
        "source" | "src" => mount["Source"] = json!(super::volumes::absolute(text)),
        "target" | "dst" | "destination" => mount["Target"] = json!(text),
        "readonly" | "ro" => mount["ReadOnly"] = json!(boolean()?),
        "consistency" => mount["Consistency"] = json!(text.to_lowercase()),
        "bind-propagation" => mount["BindOptions"]["Propagation"] = json!(text.to_lowercase()),
        "bind-nonrecursive" => mount["BindOptions"]["NonRecursive"] = json!(boolean()?),
        "bind-create-src" => mount["BindOptions"]["CreateMountpoint"] = json!(boolean()?),
        "volume-subpath" => mount["VolumeOptions"]["Subpath"] = json!(text),
        "volume-nocopy" => mount["VolumeOptions"]["NoCopy"] = json!(boolean()?),
        "volume-label" => mount["VolumeOptions"]["Labels"][pair().0] = json!(pair().1),
        "volume-driver" => mount["VolumeOptions"]["DriverConfig"]["Name"] = json!(text),
        "volume-opt" => mount["VolumeOptions"]["DriverConfig"]["Options"][pair().0] = json!(pair().1),
        "image-subpath" => mount["ImageOptions"]["Subpath"] = json!(text),
        "tmpfs-size" => mount["TmpfsOptions"]["SizeBytes"] = json!(units::size(text).map_err(|_| bad())?),
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(text, 8).map_err(|_| bad())?;
            mount["TmpfsOptions"]["Mode"] = json!(mode);
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

/// `bind-recursive`: whether mounts below the source come along, and whether they can be written.
fn recursion(mount: &mut Value, how: &str) -> Result<(), String> {
    let read_only = mount["ReadOnly"] == true;
    match how {
        "" | "enabled" => {}
        "disabled" => mount["BindOptions"]["NonRecursive"] = json!(true),
        "writable" if !read_only => {
            return Err(
                "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction".into(),
            );
        }
        "writable" => mount["BindOptions"]["ReadOnlyNonRecursive"] = json!(true),
        "readonly" if !read_only => {
            return Err(
                "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction".into(),
            );
        }
        "readonly" if mount["BindOptions"]["Propagation"] != "rprivate" => {
            return Err(
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction".into(),
            );
        }
        "readonly" => mount["BindOptions"]["ReadOnlyForceRecursive"] = json!(true),
        other => {
            return Err(format!(
                "invalid value for bind-recursive: {other} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    }
    Ok(())
}

fn no_foreign_options(mount: &Value) -> Result<(), String> {
    let kind = mount["Type"].as_str().unwrap_or_default();
    for (options, own) in [
        ("VolumeOptions", "volume"),
        ("BindOptions", "bind"),
        ("TmpfsOptions", "tmpfs"),
        ("ImageOptions", "image"),
    ] {
        if !mount[options].is_null() && kind != own {
            return Err(format!("cannot mix '{own}-*' options with mount type '{kind}'"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mount_is_refused_in_dockers_words() {
        let rows = [
            ("type=foo", "target is required"),
            ("type", "invalid field 'type' must be a key=value pair"),
            ("type=bind,nope=1,target=/x", "unexpected key 'nope' in 'nope=1'"),
            ("type=bind,target=/x,readonly=maybe", "invalid value for readonly: maybe"),
            ("type=bind,target=/x,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'bind'"),
            (
                "type=bind,target=/x,bind-recursive=readonly",
                "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
            ),
            ("", "value is empty"),
        ];
        for (text, wanted) in rows {
            assert_eq!(mount(text).unwrap_err(), wanted, "{text}");
        }
        assert_eq!(fields("\"a=1,2\",b").unwrap(), ["a=1,2", "b"]);
        assert!(fields("\"a").is_err());
    }
}
