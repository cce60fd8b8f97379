//! Netlink as bytes: messages, attributes, batches, and a synchronous socket.
//!
//! The driver speaks two netlink families, route and nf_tables, with some twenty message kinds in all. What it needs beyond
//! single requests is many requests in one `sendmsg`, on sockets that were opened inside another namespace, without a
//! task or thread per socket; so the wire format is written here, once for both families.

mod message;
mod socket;

pub(crate) use message::{Attribute, Message, Reply, attributes, text, u32_at};
pub(crate) use socket::{Batch, Socket};
