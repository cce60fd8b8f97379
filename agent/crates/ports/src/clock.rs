//! Time and randomness, so that tests can hold them still.

use jiff::Timestamp;

/// The time of day. May jump: whoever measures durations uses a monotonic clock.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The kernel's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Randomness for ids.
pub trait Entropy: Send + Sync {
    /// 32 bytes that nobody can guess and that never repeat.
    fn bytes(&self) -> [u8; 32];
}

/// The kernel's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn bytes(&self) -> [u8; 32] {
        use std::io::Read as _;
        let mut bytes = [0u8; 32];
        let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        // A host whose random device cannot be read must not hand out predictable ids.
        assert!(read.is_ok(), "the kernel's random device cannot be read: {read:?}");
        bytes
    }
}
