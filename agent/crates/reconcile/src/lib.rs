//! Observe → plan → execute → status, level-triggered.
//!
//! ```text
//! sources ──► layers ──► accept ──► HostSpec{generation} ──ledger──┐
//!                                                                  ▼
//!             observe ──► Inventory ──► plan(HostSpec, Inventory, now) ──► engine.begin(plan)
//!                ▲                                                            │
//!                └── something changed, a back-off ended, a minute passed ◄───┘
//! ```
//!
//! One task owns the loop. It keeps nothing between two passes but the intent: every pass looks at the host again, so a
//! step that was lost, a container that died unseen or a ledger that was edited by hand only costs one more pass.

mod reconciler;

pub use reconciler::{Handle, Intent, Reconciler};
