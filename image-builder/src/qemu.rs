//! What QEMU is told: a pure function of the machine that is wanted.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};

/// How guest code is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// By the processor.
    Kvm,
    /// By translation, one thread for each virtual processor.
    Tcg,
}

impl Accelerator {
    /// `-accel`'s value.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg,thread=multi",
        }
    }

    /// `-cpu`'s value. Under TCG: the x86-64-v2 set and no more; guests crashed with `max` and LA57 costs page walks.
    fn cpu(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            Self::Tcg => "qemu64,-svm,+cx16,+lahf-lm,+popcnt,+ssse3,+sse4.1,+sse4.2,+rdrand,-la57",
        }
    }
}

/// A guest's TCP port that is reachable on this machine's loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Port on 127.0.0.1 here.
    pub host: u16,
    /// Port in the guest.
    pub guest: u16,
}

impl FromStr for Forward {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let pair =
            text.split_once(':').and_then(|(host, guest)| Some((host.parse().ok()?, guest.parse().ok()?)));
        let (host, guest) = pair.with_context(|| format!("{text:?} is not HOSTPORT:GUESTPORT"))?;
        Ok(Self { host, guest })
    }
}

/// Where the serial console goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Console {
    /// To QEMU's standard output.
    Stdout,
    /// To a file.
    File(PathBuf),
}

/// A disk image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The file.
    pub path: PathBuf,
    /// `raw` or `qcow2`.
    pub format: &'static str,
    /// Whether writes are kept. Otherwise they go to a temporary file that ends with QEMU.
    pub persist: bool,
}

impl Disk {
    /// The format is told by the file's name: `.qcow2`, anything else is raw.
    pub fn new(path: PathBuf, persist: bool) -> Self {
        let format = if path.extension().is_some_and(|e| e == "qcow2") { "qcow2" } else { "raw" };
        Self { path, format, persist }
    }
}

/// A virtual machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The system disk.
    pub disk: Disk,
    /// UEFI firmware code, read only.
    pub firmware: PathBuf,
    /// UEFI variables; kept like the disk's contents.
    pub variables: PathBuf,
    /// A NoCloud ISO.
    pub seed: Option<PathBuf>,
    /// How guest code is run.
    pub accelerator: Accelerator,
    /// Mebibytes of memory.
    pub memory: u32,
    /// Number of virtual processors.
    pub cpus: u32,
    /// Forwarded TCP ports.
    pub forwards: Vec<Forward>,
    /// Whether the guest reaches this machine's loopback (as 10.0.2.2) only, and nothing beyond.
    pub restrict: bool,
    /// The serial console.
    pub console: Console,
    /// SMBIOS type 1 serial number, where NoCloud looks for `ds=nocloud;…`.
    pub smbios_serial: Option<String>,
    /// SMBIOS type 11 strings, where systemd looks for credentials.
    pub smbios_strings: Vec<String>,
    /// Whether a reset ends QEMU instead of starting the guest again.
    pub no_reboot: bool,
    /// A socket for QEMU's control protocol.
    pub qmp: Option<PathBuf>,
    /// Further arguments, as they are.
    pub extra: Vec<String>,
}

impl Machine {
    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<String> {
        let snapshot = if self.disk.persist { "off" } else { "on" };
        let mut args: Vec<String> = Vec::new();
        let mut add = |name: &str, value: String| args.extend([name.to_owned(), value]);
        add("-nodefaults", String::new());
        add("-display", "none".to_owned());
        add("-machine", "q35,smm=off,vmport=off,hpet=off,sata=off,smbus=off,i8042=off".to_owned());
        add("-accel", self.accelerator.argument().to_owned());
        add("-cpu", self.accelerator.cpu().to_owned());
        add("-m", self.memory.to_string());
        add("-smp", self.cpus.to_string());
        add("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={}", escaped(&self.firmware)));
        add(
            "-drive",
            format!("if=pflash,unit=1,format=raw,snapshot={snapshot},file={}", escaped(&self.variables)),
        );
        add(
            "-drive",
            format!(
                "if=none,id=system,format={},snapshot={snapshot},cache=writeback,discard=unmap,file={}",
                self.disk.format,
                escaped(&self.disk.path)
            ),
        );
        add("-device", "virtio-blk-pci,drive=system,serial=system,bootindex=0".to_owned());
        if let Some(seed) = &self.seed {
            add("-drive", format!("if=none,id=seed,format=raw,readonly=on,file={}", escaped(seed)));
            add("-device", "virtio-blk-pci,drive=seed,serial=seed".to_owned());
        }
        add("-netdev", self.netdev());
        add("-device", "virtio-net-pci,netdev=net,romfile=".to_owned());
        add("-device", "virtio-rng-pci".to_owned());
        add("-device", "i6300esb".to_owned());
        add("-action", "watchdog=reset".to_owned());
        add("-serial", self.serial());
        if let Some(serial) = &self.smbios_serial {
            add("-smbios", format!("type=1,serial={}", commas(serial)));
        }
        for value in &self.smbios_strings {
            add("-smbios", format!("type=11,value={}", commas(value)));
        }
        if let Some(socket) = &self.qmp {
            add("-qmp", format!("unix:{},server=on,wait=off", escaped(socket)));
        }
        args.retain(|word| !word.is_empty());
        if self.no_reboot {
            args.push("-no-reboot".to_owned());
        }
        args.extend(self.extra.iter().cloned());
        args
    }

    fn netdev(&self) -> String {
        let mut value = "user,id=net".to_owned();
        if self.restrict {
            value.push_str(",restrict=on");
        }
        for forward in &self.forwards {
            let (host, guest) = (forward.host, forward.guest);
            value.push_str(&format!(",hostfwd=tcp:{}:{host}-:{guest}", Ipv4Addr::LOCALHOST));
        }
        value
    }

    fn serial(&self) -> String {
        match &self.console {
            Console::Stdout => "stdio".to_owned(),
            Console::File(path) => format!("file:{}", path.display()),
        }
    }
}

/// QEMU's option values end at a comma; a comma in a value is written twice.
fn commas(text: &str) -> String {
    text.replace(',', ",,")
}

fn escaped(path: &std::path::Path) -> String {
    commas(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            disk: Disk::new("/i/hull.qcow2".into(), false),
            firmware: "/f/code.fd".into(),
            variables: "/f/vars.fd".into(),
            seed: None,
            accelerator: Accelerator::Tcg,
            memory: 1024,
            cpus: 2,
            forwards: vec![Forward { host: 2222, guest: 22 }],
            restrict: false,
            console: Console::File("/c,1".into()),
            smbios_serial: Some("ds=nocloud;s=http://10.0.2.2:1/,x".to_owned()),
            smbios_strings: Vec::new(),
            no_reboot: true,
            qmp: None,
            extra: vec!["-S".to_owned()],
        }
    }

    fn value<'a>(args: &'a [String], name: &str) -> Vec<&'a str> {
        args.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1].as_str()).collect()
    }

    #[test]
    fn a_snapshot_keeps_nothing_and_commas_are_doubled() {
        let args = machine().arguments();
        assert!(value(&args, "-drive").iter().any(|d| d.contains("format=qcow2,snapshot=on")));
        assert_eq!(value(&args, "-smbios"), ["type=1,serial=ds=nocloud;s=http://10.0.2.2:1/,,x"]);
        assert_eq!(value(&args, "-netdev"), ["user,id=net,hostfwd=tcp:127.0.0.1:2222-:22"]);
        assert_eq!(value(&args, "-serial"), ["file:/c,1"]);
        assert!(
            args.contains(&"-nodefaults".to_owned()) && args.ends_with(&["-no-reboot".into(), "-S".into()])
        );
    }

    #[test]
    fn kvm_and_persistence() {
        let machine =
            Machine { accelerator: Accelerator::Kvm, disk: Disk::new("/i/d.raw".into(), true), ..machine() };
        let args = machine.arguments();
        assert_eq!((value(&args, "-accel"), value(&args, "-cpu")), (vec!["kvm"], vec!["host"]));
        assert!(value(&args, "-drive").iter().any(|d| d.contains("format=raw,snapshot=off")));
    }

    #[test]
    fn forwards_are_checked() {
        assert_eq!("2222:22".parse::<Forward>().unwrap(), Forward { host: 2222, guest: 22 });
        for bad in ["22", "x:1", "1:70000", ""] {
            assert!(bad.parse::<Forward>().is_err(), "{bad}");
        }
    }
}
