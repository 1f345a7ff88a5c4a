// SPDX-License-Identifier: GPL-2.0

//! The entry points of a placed module.

use super::error::BadImage;
use super::layout::Placed;
use super::modinfo;

/// What the loader needs to know to run a module.
#[derive(Clone, Copy)]
pub struct Info<'a> {
    /// The module's name.
    pub name: &'a [u8],
    /// Domain address of `init_module`; a library of functions for other modules has none.
    pub init: Option<u64>,
    /// Domain address of `cleanup_module`; a module without one cannot be unloaded by itself.
    pub exit: Option<u64>,
    /// Domain address of `__this_module`, the driver's `struct module`.
    pub this_module: u64,
}

/// Finds the entry points of `placed`.
pub fn info<'a>(placed: &Placed<'a>) -> Result<Info<'a>, BadImage> {
    Ok(Info {
        name: modinfo::name(&placed.elf)?,
        init: placed.address_of(b"init_module"),
        exit: placed.address_of(b"cleanup_module"),
        this_module: placed
            .address_of(b"__this_module")
            .ok_or(BadImage::Missing("__this_module"))?,
    })
}
