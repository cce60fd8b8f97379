//! Mounts and documents that are refused.

use super::{host, refused};
use crate::request::{CreateRequest, document};
use serde_json::json;

#[test]
fn mounts_are_checked_in_dockers_words() {
    for (bind, status, words) in [
        ("/x:/y:bogus", 500, "invalid mode: bogus"),
        ("/tmp:/y:ro,rw", 500, "invalid mode: ro,rw"),
        ("", 500, "invalid volume specification: ''"),
        (":", 500, "invalid volume specification: ':'"),
        ("/tmp:/y:ro:x", 500, "invalid volume specification: '/tmp:/y:ro:x'"),
        (
            "/tmp:/",
            500,
            "invalid volume specification: '/tmp:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
        ),
        (
            "xx:y",
            500,
            "invalid volume specification: 'xx:y': invalid mount config for type \"volume\": invalid mount path: 'y' mount path must be absolute",
        ),
        (
            "/tmp::ro",
            500,
            "invalid volume specification: '/tmp::ro': invalid mount config for type \"bind\": field Target must not be empty",
        ),
        (
            "/tmp:/y:nocopy",
            500,
            "invalid volume specification: '/tmp:/y:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified",
        ),
        (
            "x:/y",
            400,
            "create x: volume name is too short, names should be at least two alphanumeric characters",
        ),
        (
            "./x:/y",
            400,
            "create ./x: \"./x\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
        ),
    ] {
        refused(host(json!({ "Binds": [bind] })), status, words);
    }
    refused(host(json!({ "Binds": ["/tmp:/y", "/tmp:/y/"] })), 400, "Duplicate mount point: /y");
    let tmpfs = json!({ "Binds": ["/tmp:/x"], "Tmpfs": { "/x": "" } });
    refused(host(tmpfs), 400, "Duplicate mount point: /x");
    refused(host(json!({ "VolumesFrom": ["a:bogus"] })), 400, "invalid mode: bogus");
}

#[test]
fn long_mounts_are_checked_in_dockers_words() {
    for (mount, words) in [
        (json!({}), "invalid mount config for type \"\": field Target must not be empty"),
        (
            json!({ "Type": "bogus", "Target": "/x" }),
            "invalid mount config for type \"bogus\": mount type unknown",
        ),
        (
            json!({ "Type": "bind", "Target": "/x" }),
            "invalid mount config for type \"bind\": field Source must not be empty",
        ),
        (
            json!({ "Type": "bind", "Source": "/nope", "Target": "/x" }),
            "invalid mount config for type \"bind\": bind source path does not exist: /nope",
        ),
        (
            json!({ "Type": "bind", "Source": "/tmp", "Target": "/x", "VolumeOptions": {} }),
            "VolumeOptions must not be specified on mount type \"bind\"",
        ),
        (
            json!({ "Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": { "Propagation": "x" } }),
            "invalid mount config for type \"bind\": invalid propagation mode: x",
        ),
        (
            json!({ "Type": "tmpfs", "Source": "x", "Target": "/x" }),
            "invalid mount config for type \"tmpfs\": field Source must not be specified",
        ),
        (
            json!({ "Type": "tmpfs", "Target": "/x", "TmpfsOptions": { "Options": [["uid", "5"]] } }),
            "invalid mount config for type \"tmpfs\": invalid option: uid",
        ),
        (
            json!({ "Type": "volume", "Target": "/x", "VolumeOptions": { "Subpath": "x" } }),
            "invalid mount config for type \"volume\": must not set Subpath when using anonymous volumes",
        ),
        (
            json!({ "Type": "volume", "Source": "vol", "Target": "/x", "VolumeOptions": { "Subpath": "/x" } }),
            "invalid mount config for type \"volume\": subpath must be a relative path within the volume",
        ),
    ] {
        refused(host(json!({ "Mounts": [mount] })), 400, words);
    }
}

#[test]
fn what_does_not_fit_is_told_in_gos_words() {
    for (text, words) in [
        ("", "invalid JSON: got EOF while reading request body"),
        ("{", "invalid JSON: unexpected EOF"),
        ("[]", "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest"),
        (
            r#"{"Image":5}"#,
            "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string",
        ),
        (
            r#"{"Image":"b","HostConfig":{"Memory":"x"}}"#,
            "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.Memory of type int64",
        ),
        (
            r#"{"Image":"b","HostConfig":{"Memory":1.5}}"#,
            "invalid JSON: json: cannot unmarshal number 1.5 into Go struct field .HostConfig.Memory of type int64",
        ),
        (
            r#"{"Env":{"a":"b"}}"#,
            "invalid JSON: json: cannot unmarshal object into Go struct field .Env of type []string",
        ),
        (
            r#"{"HostConfig":{"PortBindings":{"80/tcp":{}}}}"#,
            "invalid JSON: json: cannot unmarshal object into Go struct field .HostConfig.PortBindings.80~1tcp of type []nat.PortBinding",
        ),
        (
            r#"{"Labels":["a"]}"#,
            "invalid JSON: json: cannot unmarshal array into Go struct field .Labels of type map[string]string",
        ),
        (r#"{"Image":"b"} x"#, "unexpected content after JSON"),
        (
            r#"{"Image":"b",}"#,
            "invalid JSON: invalid character '}' looking for beginning of object key string",
        ),
        ("{Image:1}", "invalid JSON: invalid character 'I' looking for beginning of object key string"),
    ] {
        let error = document::<CreateRequest>(text.as_bytes()).unwrap_err();
        assert_eq!(error.message, words, "{text}");
    }
    let tolerant = r#"{"image":"b","CMD":"x","hostconfig":{"memory":null,"Binds":null},"More":[1]}"#;
    let read: CreateRequest = document(tolerant.as_bytes()).unwrap();
    assert_eq!(read.config.unwrap().image, "b");
}
