// SPDX-License-Identifier: GPL-2.0

//! The import rewriter: turns a packaged kernel module into an image that runs in ring 3.
//!
//! The file is read as it is on disk, after decompression, and is believed in nothing: every
//! header, section, symbol, string and relocation is checked against the file's bounds before
//! it is used. The order of work is the order of the modules below:
//!
//! 1. [`elf`] parses and checks the relocatable object; [`modinfo`] reads what it says of itself.
//! 2. [`layout`] gives each section that run time needs its place, grouped by permission.
//! 3. [`imports`] lists what the driver needs from the kernel, and how it uses each symbol.
//! 4. [`relocate`] copies the sections and resolves every reference, imports to their stubs.
//! 5. [`patch`] rewrites the few instruction sites that are not fit for ring 3.
//! 6. [`params`] stores the driver's own module parameters; [`module`] finds its entry points.
//!
//! [`symbolize`], [`bugtable`] and [`extable`] answer the fault handler's questions afterwards.
//!
//! Everything here is pure: core only, no allocation, no `unsafe`, no kernel crate. The kernel
//! module and the host tests compile the same files.

// The kernel module and the host tests each use a part of the interface.
#![allow(dead_code, unreachable_pub)]

pub mod bugtable;
mod bytes;
pub mod dependencies;
pub mod elf;
pub mod error;
pub mod extable;
pub mod imports;
pub mod layout;
pub mod modinfo;
pub mod module;
pub mod params;
mod params_text;
pub mod patch;
pub mod relocate;
pub mod sort;
pub mod symbolize;

pub use error::BadImage;
