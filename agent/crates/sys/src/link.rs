//! Network interfaces, where netlink does not reach: ethtool's link state (SIOCETHTOOL of netdevice(7)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

const ETHTOOL_GLINK: u32 = 0x0a;

/// struct ethtool_value of linux/ethtool.h.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Whether an interface has a link. Before it answers, the kernel catches up on the link changes that it has noted but
/// not acted on yet: queues are started, and a bridge forwards on the port.
///
/// `socket` is any socket of the interface's network namespace.
///
/// # Errors
/// `ENODEV`; `EOPNOTSUPP` if the interface's driver does not tell; `InvalidInput` if the name is too long.
pub fn settle(socket: BorrowedFd<'_>, interface: &str) -> io::Result<bool> {
    let mut value = EthtoolValue { command: ETHTOOL_GLINK, data: 0 };
    // SAFETY: an ifreq is integers and raw pointers, for all of which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays zero: the kernel reads the name up to it.
    if interface.len() >= request.ifr_name.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the interface's name is too long"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL reads and writes an ifreq and what its data points to, an ethtool_value for this command; both live
    // until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(value.data != 0) }
}
