// SPDX-License-Identifier: GPL-2.0

//! SIDE runs an unmodified, already compiled device driver in user mode (ring 3) inside a
//! protection domain of its own, and puts it back on its feet when it fails.
//!
//! Reading order: `side_stubs/contract.rs` (how a domain is laid out), `run.rs` (one upcall),
//! `call.rs` and `side_stubs/` (one import), `domain.rs` and `lifecycle.rs` (birth and death),
//! `driver.rs` and `supervisor.rs` (life after death),
//! `switcher/` and `pages` (the ring crossing itself). Calls go downward: control, mechanism,
//! quarantine; the pure layers (`import_rewriter/`, `fault_handler/`) call nothing.

use crate::sys::params::Param;
use crate::sys::{cpu, defer, entry_slots, params};
use kernel::prelude::*;

mod call;
mod control;
mod counters;
mod domain;
mod driver;
mod dump;
#[path = "../fault_handler/mod.rs"]
mod fault_handler;
mod faults;
mod heap;
mod image;
#[path = "../import_rewriter/mod.rs"]
mod import_rewriter;
mod inject;
mod ledger;
mod lifecycle;
mod load;
mod memory;
mod objects;
mod pages;
mod ports;
mod report;
mod run;
#[path = "../side_stubs/mod.rs"]
mod side_stubs;
mod supervisor;
mod switcher;
mod sys;
mod tasks;

module! {
    type: Side,
    name: "side",
    authors: ["The SIDE developers"],
    description: "Runs packaged device drivers in user mode",
    license: "GPL",
}

struct Side {
    module: &'static ThisModule,
}

impl kernel::Module for Side {
    fn init(module: &'static ThisModule) -> Result<Self> {
        defer::init()?;
        start(module).inspect_err(|_| stop(module))?;
        Ok(Side { module })
    }
}

/// Brings the layers up, lowest first, and loads the driver that `driver=` names.
fn start(module: &'static ThisModule) -> Result {
    cpu::choose_stopwatch();
    switcher::init()?;
    entry_slots::init(module)?;
    control::init()?;
    if let Some(path) = params::string(Param::Driver) {
        lifecycle::load(path, params::string(Param::Params).unwrap_or(b""))?;
    }
    Ok(())
}

/// Takes down whatever is up, highest first.
fn stop(module: &'static ThisModule) {
    lifecycle::close();
    lifecycle::unload_all();
    control::exit();
    entry_slots::exit(module);
    switcher::exit();
    defer::exit();
}

impl Drop for Side {
    fn drop(&mut self) {
        stop(self.module);
    }
}
