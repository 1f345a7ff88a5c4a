// SPDX-License-Identifier: GPL-2.0

//! SIDE.
use kernel::prelude::*;
#[path = "sys/mod.rs"]
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
        pr_info!("loaded {}\n", core::mem::size_of::<sys::bindings::net_device>());
        Ok(Side)
    }
}
