use super::*;
use crate::system::{Recorded, SystemError};
use hull_model::{CaCerts, Group, HostNetwork, Ntp, Severity, User, WriteFile};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

/// Shares the record of calls with the test.
struct Shared(Arc<Recorded>);

#[async_trait]
impl System for Shared {
    fn set_hostname(&self, name: &str) -> std::result::Result<(), SystemError> {
        self.0.set_hostname(name)
    }
    async fn restart(&self, unit: &str) -> std::result::Result<(), SystemError> {
        self.0.restart(unit).await
    }
    async fn stop_and_mask(&self, unit: &str) -> std::result::Result<(), SystemError> {
        self.0.stop_and_mask(unit).await
    }
    async fn unmask(&self, unit: &str) -> std::result::Result<(), SystemError> {
        self.0.unmask(unit).await
    }
    async fn reload_network(&self) -> std::result::Result<(), SystemError> {
        self.0.reload_network().await
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    system: Arc<Recorded>,
    driver: Driver,
}

impl Fixture {
    fn new(failing: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &[u8]| {
            let path = dir.path().join("root").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n");
        put("etc/group", b"root:x:0:\ndocker:x:990:\n");
        put("etc/shadow", b"root:*:20000:0:99999:7:::\n");
        put("etc/hosts", b"127.0.0.1 localhost\n");
        put("etc/skel/.profile", b"skel\n");
        put("bin/bash", b"");
        put("usr/share/zoneinfo/Europe/Rome", b"TZif2");
        put("usr/share/zoneinfo/tzdata.zi", b"# not a zone");
        let system = Arc::new(Recorded { failing, ..Recorded::default() });
        let run = dir.path().join("run");
        let driver = Driver::with_system(dir.path().join("root"), run, Box::new(Shared(system.clone())));
        Self { dir, system, driver }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }
}

fn settings() -> HostSettings {
    let anna = User {
        name: "anna".into(),
        sudo: true,
        ssh_authorized_keys: vec!["ssh-ed25519 AAAA1 a".into(), "ssh-ed25519 AAAA2 b".into()],
        ..User::default()
    };
    HostSettings {
        hostname: Some("web".into()),
        fqdn: Some("web.example.org".into()),
        groups: vec![Group { name: "staff".into(), members: vec!["anna".into()] }],
        users: vec![anna],
        files: vec![WriteFile {
            path: "/var/lib/x".into(),
            content: b"x".to_vec(),
            owner: Some("anna:staff".into()),
            mode: 0o600,
            append: false,
        }],
        timezone: Some("Europe/Rome".into()),
        ntp: Ntp { enabled: Some(true), servers: vec!["a.example".into(), "b.example".into()] },
        ca_certs: CaCerts::default(),
        network: Some(HostNetwork {
            files: [("05-hull-eth0.network".to_owned(), "[Match]\n".to_owned())].into(),
        }),
    }
}

#[tokio::test]
async fn a_host_becomes_what_its_settings_say_and_stays_so() {
    let host = Fixture::new(false);
    assert_eq!(host.driver.applied().await.unwrap(), None);
    assert_eq!(host.driver.apply(&settings()).await.unwrap(), []);
    assert_eq!(host.driver.applied().await.unwrap(), Some(settings()));
    assert_eq!(host.text("etc/hostname"), "web\n");
    assert!(host.text("etc/hosts").contains("web.example.org web"));
    let anna = std::fs::metadata(host.path("var/home/anna")).unwrap();
    assert_eq!((anna.mode() & 0o777, anna.uid() >= 1000), (0o700, true));
    let profile = std::fs::metadata(host.path("var/home/anna/.profile")).unwrap();
    assert_eq!(profile.uid(), anna.uid());
    assert_eq!(host.text("etc/ssh/authorized_keys.d/anna"), "ssh-ed25519 AAAA1 a\nssh-ed25519 AAAA2 b\n");
    assert_eq!(std::fs::metadata(host.path("etc/ssh/authorized_keys.d/anna")).unwrap().uid(), 0);
    assert!(host.text("etc/group").contains("docker:x:990:anna\n"), "as good as sudo where there is none");
    let file = std::fs::metadata(host.path("var/lib/x")).unwrap();
    assert_eq!((file.mode() & 0o777, file.uid()), (0o600, anna.uid()));
    let zone = std::fs::read_link(host.path("etc/localtime")).unwrap();
    assert_eq!(zone.to_str(), Some("../usr/share/zoneinfo/Europe/Rome"));
    assert!(host.text("run/systemd/timesyncd.conf.d/90-hull.conf").contains("NTP=a.example b.example\n"));
    assert_eq!(host.text("run/systemd/network/05-hull-eth0.network"), "[Match]\n");
    assert_eq!(host.system.take(), ["hostname web", "restart systemd-timesyncd.service", "reload network"]);
    let record = std::fs::metadata(host.dir.path().join("run").join(RECORD)).unwrap();
    assert_eq!(record.mode() & 0o777, 0o600);

    // Again, and after a restart of the agent: nothing changes, nothing is restarted.
    let inode = std::fs::metadata(host.path("etc/passwd")).unwrap().ino();
    assert_eq!(host.driver.apply(&settings()).await.unwrap(), []);
    assert_eq!(host.system.take(), ["hostname web"]);
    assert_eq!(std::fs::metadata(host.path("etc/passwd")).unwrap().ino(), inode);
}

#[tokio::test]
async fn what_is_no_longer_said_is_taken_back() {
    let host = Fixture::new(false);
    let uid = |host: &Fixture| std::fs::metadata(host.path("var/home/anna")).unwrap().uid();
    host.driver.apply(&settings()).await.unwrap();
    let before = uid(&host);
    host.system.take();
    let none = HostSettings { ntp: Ntp { enabled: Some(false), servers: vec![] }, ..HostSettings::default() };
    assert_eq!(host.driver.apply(&none).await.unwrap(), []);
    assert!(!host.text("etc/passwd").contains("anna") && !host.text("etc/group").contains("anna"));
    assert!(!host.path("etc/ssh/authorized_keys.d/anna").exists(), "a key that is gone no longer logs in");
    assert!(!host.path("run/systemd/network/05-hull-eth0.network").exists());
    assert!(!host.path("etc/localtime").exists());
    assert!(!host.text("etc/hosts").contains("web"));
    assert_eq!(host.system.take(), ["mask systemd-timesyncd.service", "reload network"]);
    assert!(host.path("var/home/anna/.profile").exists(), "data stays");
    // Who comes back gets the old number, also when somebody else came first.
    let other = User { name: "aaron".into(), ..User::default() };
    let both = HostSettings { users: vec![other, settings().users.remove(0)], ..settings() };
    host.driver.apply(&both).await.unwrap();
    assert!(host.text("etc/passwd").contains(&format!("anna:x:{before}:")));
}

#[tokio::test]
async fn one_item_that_fails_keeps_no_other_from_being_applied() {
    let host = Fixture::new(true);
    let mut settings = settings();
    settings.timezone = Some("tzdata.zi".into());
    settings.users[0].shell = Some("/bin/zsh".into());
    settings.files[0].owner = Some("ghost:root".into());
    settings.ca_certs.trusted = vec!["junk".into()];
    settings.users.push(User { name: "bob".into(), uid: Some(0), ..User::default() });
    std::fs::remove_file(host.path("etc/group")).unwrap();
    std::fs::write(host.path("etc/group"), "root:x:0:\n").unwrap();
    let problems = host.driver.apply(&settings).await.unwrap();
    let objects: Vec<&str> = problems.iter().map(|p| p.object.as_str()).collect();
    let expected = [
        "hostname",
        "users.anna.sudo",
        "users.bob.uid",
        "users.anna.shell",
        "timezone",
        "ca_certs.trusted[0]",
        "write_files /var/lib/x",
        "ntp",
        "network",
    ];
    assert_eq!(objects, expected, "{problems:#?}");
    assert!(problems.iter().all(|p| !p.remedy.is_empty() && p.source == "host"));
    assert_eq!(problems.iter().filter(|p| p.severity == Severity::Warning).count(), 2);
    assert!(host.path("etc/ssh/authorized_keys.d/anna").exists(), "the host stays reachable");
    for bad in ["../../etc/passwd", "", "Nowhere/Land"] {
        settings.timezone = Some(bad.into());
        let problems = host.driver.apply(&settings).await.unwrap();
        assert!(problems.iter().any(|p| p.object == "timezone"), "{bad}");
    }
}

#[tokio::test]
async fn sudo_is_granted_where_there_is_sudo() {
    let host = Fixture::new(false);
    std::fs::create_dir_all(host.path("usr/bin")).unwrap();
    std::fs::write(host.path("usr/bin/sudo"), "").unwrap();
    host.driver.apply(&settings()).await.unwrap();
    assert_eq!(host.text("etc/sudoers.d/90-hull"), "anna ALL=(ALL:ALL) NOPASSWD:ALL\n");
    assert!(host.text("etc/group").contains("docker:x:990:\n"));
    host.driver.apply(&HostSettings::default()).await.unwrap();
    assert!(!host.path("etc/sudoers.d/90-hull").exists());
}

#[tokio::test]
async fn a_run_directory_that_cannot_be_used_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run");
    std::fs::write(&file, "").unwrap();
    let driver = Driver::with_system(dir.path().into(), file, Box::new(Recorded::default()));
    let error = driver.apply(&HostSettings::default()).await.unwrap_err();
    assert!(!error.remedy.is_empty(), "{error}");
    assert!(!dir.path().join("etc").exists(), "nothing was changed");
}
