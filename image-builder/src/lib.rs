//! Builds Hull's OS image out of Debian packages, and the tools to try it with.
//!
//! Everything is made in a work directory (`target/hull` unless told otherwise) in stages, each kept under a digest of
//! what it was made from:
//!
//! ```text
//! toolbox ── a Debian root with ostree, mtools, qemu, …; every program below runs in there, so that the machine
//! │          itself needs nothing but mmdebstrap
//! base ───── mmdebstrap's tar of the image's packages
//! tree ───── base, pruned and configured, with its initramfs; committed once as `hull/base/DIGEST`
//! commit ─── tree + hull's programs and version: one OSTree commit, the same for the same inputs
//! disk ───── commit deployed, ESP and ext4 written into one raw file (no loop device, no mount), qcow2 from it
//! ```
//!
//! Modules that decide (`definition`, `gpt`, `qemu::arguments`, `prune::selected`) are pure; the others run one program
//! or write one file at a time.

pub mod accel;
pub mod boot;
pub mod commit;
pub mod definition;
pub mod demo;
pub mod disk;
pub mod elf;
pub mod image;
pub mod initramfs;
pub mod mirror;
pub mod mmdebstrap;
pub mod oci;
pub mod peers;
pub mod progress;
pub mod prune;
pub mod qemu;
pub mod registry;
pub mod sandbox;
pub mod sizes;
pub mod small_root;
pub mod toolbox;
pub mod tree;
pub mod uki;
pub mod workdir;
