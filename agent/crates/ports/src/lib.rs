//! What the engine asks of a driver.
//!
//! Each trait here is one door between decisions and the world. The engine holds them as `Arc<dyn …>`; tests put fakes
//! behind the same doors. Every operation is idempotent: repeating one that succeeded succeeds and changes nothing.
//! This crate owns no behaviour: traits, the values that cross them, and the classes of errors.

mod archives;
mod clock;
mod error;
mod host;
mod images;
mod networks;
mod runtime;
mod volumes;

pub use archives::{Archives, Change, ChangeKind, ContainerTree, PathStat, PutOptions, TreeMount};
pub use clock::{Clock, Entropy, SystemClock, SystemEntropy};
pub use error::{Error, ErrorClass, Result};
pub use host::Host;
pub use images::{
    ByteStream, Bytes, CheckReport, Credentials, Descriptor, Distribution, ImageUsage, Images, LayerStatus,
    LoadEvent, Login, NewImage, Progress, PullOptions, Pulled, Pushed, Removed, Rootfs, SearchHit, Silent,
    StoredLayer, Usage,
};
pub use networks::{Endpoint, Networks, Sandbox, SandboxSpec};
pub use runtime::{
    AttachIo, AttachSpec, Bundle, DeviceIo, ExecIo, ExecSpec, InterfaceStats, LogLine, LogOptions, LogStream,
    ProcessRecord, Runtime, RuntimeEvent, Started, Stats, Stream,
};
pub use volumes::Volumes;

use std::sync::Arc;

/// All drivers of one host, as values to be handed around.
#[derive(Clone)]
pub struct Drivers {
    /// Image store and registry client.
    pub images: Arc<dyn Images>,
    /// Container processes.
    pub runtime: Arc<dyn Runtime>,
    /// Bridges, addresses, published ports, DNS.
    pub networks: Arc<dyn Networks>,
    /// Data that outlives containers.
    pub volumes: Arc<dyn Volumes>,
    /// Files of containers as archives.
    pub archives: Arc<dyn Archives>,
    /// The host itself; `None` where this agent only runs containers (development mode).
    pub host: Option<Arc<dyn Host>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids.
    pub entropy: Arc<dyn Entropy>,
}
