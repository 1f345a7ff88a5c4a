// SPDX-License-Identifier: GPL-2.0

//! SIDE runs an unmodified, already compiled device driver in user mode (ring 3) inside a
//! protection domain of its own, and puts it back on its feet when it fails.
//!
//! Reading order: `side_stubs/contract.rs` (how a domain is laid out), `run.rs` (one upcall),
//! `call.rs` and `side_stubs/` (one import), `domain.rs` and `lifecycle.rs` (birth and death),
//! `switcher/` and `pages` (the ring crossing itself). Calls go downward: control, mechanism,
//! quarantine; the pure layers (`import_rewriter/`, `fault_handler/`) call nothing.

use kernel::prelude::*;

mod call;
mod counters;
mod domain;
#[path = "../fault_handler/mod.rs"]
mod fault_handler;
mod faults;
mod heap;
mod image;
mod lifecycle;
mod memory;
mod objects;
mod pages;
mod report;
mod run;
#[path = "../side_stubs/mod.rs"]
mod side_stubs;
mod switcher;
mod sys;

module! {
    type: Side,
    name: "side",
    authors: ["The SIDE developers"],
    description: "Runs packaged device drivers in user mode",
    license: "GPL",
}

struct Side;

impl kernel::Module for Side {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("loaded\n");
        Ok(Side)
    }
}
