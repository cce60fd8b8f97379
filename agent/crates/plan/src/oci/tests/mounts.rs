use super::*;

fn at<'a>(mounts: &'a [Value], target: &str) -> &'a Value {
    mounts.iter().find(|m| m["destination"] == target).unwrap()
}

fn mounted(mounts: Vec<MountSpec>) -> Result<Vec<Value>, OciError> {
    let id = ContainerId::from_random([7; 32]);
    let volumes = BTreeMap::from([(Name::new("data").unwrap(), PathBuf::from("/v"))]);
    let etc = BTreeMap::from([("/etc/hosts".into(), "/run/hosts".into())]);
    let (image, numbers, cdi) = (image(), DeviceNumbers::new(), Edits::default());
    let spec = ContainerSpec { mounts, ..spec() };
    let spec = runtime_spec(&input(&id, &spec, &image, (&volumes, &etc, &numbers, &cdi)))?;
    Ok(serde_json::to_value(spec)?["mounts"].as_array().cloned().unwrap_or_default())
}

fn bind(source: &str, target: &str, read_only: bool, options: MountOptions) -> MountSpec {
    MountSpec {
        kind: MountKind::Bind { source: source.into(), create: false },
        target: target.into(),
        read_only,
        options,
    }
}

#[test]
fn mounts_are_in_the_order_of_their_depth_and_replace_the_default_ones() {
    let plain = MountOptions::default;
    let targets = |mounts: Vec<MountSpec>| -> Vec<String> {
        let all = mounted(mounts).unwrap();
        all.iter().map(|m| m["destination"].as_str().unwrap().to_owned()).collect()
    };
    let all = targets(vec![
        bind("/a", "/x/y/z", false, plain()),
        bind("/b", "/x", false, plain()),
        bind("/c", "/etc", false, plain()),
    ]);
    assert_eq!(all[all.len() - 4..], ["/x", "/etc", "/etc/hosts", "/x/y/z"]);
    let own =
        targets(vec![bind("/a", "/etc/hosts", false, plain()), bind("/b", "/dev/shm/", false, plain())]);
    assert_eq!(own.iter().filter(|t| t.trim_end_matches('/') == "/dev/shm" || *t == "/etc/hosts").count(), 2);
    let dev = targets(vec![bind("/dev", "/dev", false, plain())]);
    assert_eq!(dev.iter().filter(|t| t.starts_with("/dev")).count(), 1);
}

#[test]
fn options_of_binds() {
    let words = |read_only, options| {
        let mounts = mounted(vec![bind("/a", "/x", read_only, options)]).map_err(|e| e.to_string())?;
        let list = at(&mounts, "/x")["options"].as_array().unwrap().clone();
        Ok::<_, String>(list.iter().map(|o| o.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(","))
    };
    let none = MountOptions::default;
    let rows = [
        (false, none(), "rbind,rprivate,rw"),
        (true, none(), "rbind,rprivate,rro"),
        (true, MountOptions { writable_below: true, ..none() }, "rbind,rprivate,ro"),
        (
            true,
            MountOptions { not_recursive: true, propagation: Some("rslave".into()), ..none() },
            "bind,rslave,rro",
        ),
        (false, MountOptions { propagation: Some("shared".into()), ..none() }, "rbind,shared,rw"),
        (false, MountOptions { subpath: Some("a/b".into()), ..none() }, "rbind,rprivate,rw,subpath=a/b"),
    ];
    for (read_only, options, expected) in rows {
        assert_eq!(words(read_only, options).as_deref(), Ok(expected));
    }
    let wrong = |options| words(false, options).unwrap_err();
    assert_eq!(
        wrong(MountOptions { propagation: Some("foo".into()), ..none() }),
        "invalid propagation mode: foo"
    );
    for path in ["../x", "/x", "a/../b"] {
        assert!(
            wrong(MountOptions { subpath: Some(path.into()), ..none() }).contains("invalid volume subpath"),
            "{path}"
        );
    }
}

#[test]
fn options_of_memory() {
    let tmpfs = |words: &[&str]| {
        let options = MountOptions {
            tmpfs: words.iter().map(|w| (*w).to_owned()).collect(),
            ..MountOptions::default()
        };
        let kind = MountKind::Tmpfs { size: Some(4096), mode: Some(0o700) };
        mounted(vec![MountSpec { kind, target: "/t".into(), read_only: false, options }])
            .map_err(|e| e.to_string())
    };
    let options = at(&tmpfs(&["exec", "uid=5", "ro"]).unwrap(), "/t")["options"].to_string();
    assert_eq!(options, r#"["nosuid","nodev","noexec","rw","size=4096","mode=700","exec","uid=5","ro"]"#);
    for wrong in ["foo", "size=", "huge=always", "remount"] {
        assert_eq!(tmpfs(&[wrong]).unwrap_err(), format!("invalid tmpfs option {wrong:?}"));
    }
}
