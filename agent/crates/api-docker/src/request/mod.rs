//! What clients send: the documents of requests, read as Go's decoder reads them, for clients were tested against that.

mod config;
mod decode;
mod endpoint;
mod exec;
mod host_config;
mod mount;
mod resources;
mod values;

pub(crate) use config::{Config, CreateRequest, Healthcheck};
pub(crate) use decode::{body, document, optional_document};
pub(crate) use endpoint::{EndpointSettings, NetworkCreate, NetworkingConfig, VolumeCreate};
pub(crate) use exec::{ExecCreate, ExecStart};
pub(crate) use host_config::{HostConfig, LogConfig, PortBinding, PortMap, RestartPolicy};
pub(crate) use mount::Mount;
pub(crate) use resources::{DeviceMapping, DeviceRequest, Resources, ThrottleDevice, Ulimit, UpdateRequest};
pub(crate) use values::{Empty, Nanoseconds, Size, Words};
