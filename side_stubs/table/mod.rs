// SPDX-License-Identifier: GPL-2.0

//! The import table: every kernel symbol that a driver may import, one line each.
//!
//! Stubs, checks, counters and the documentation's table follow from these lines. A section a
//! subsystem; the index of an import (and so the place of its stub) is its place in the whole.

use super::policy::Import;

mod base;
mod clock;
mod device;
mod memory;
mod net;
mod pci;
mod print;
mod time;

/// The table, by subsystem.
pub(crate) static SECTIONS: [&[Import]; 8] = [
    base::IMPORTS,
    clock::IMPORTS,
    device::IMPORTS,
    memory::IMPORTS,
    net::IMPORTS,
    pci::IMPORTS,
    print::IMPORTS,
    time::IMPORTS,
];

/// Number of imports declared.
pub(crate) const COUNT: usize = base::IMPORTS.len()
    + clock::IMPORTS.len()
    + device::IMPORTS.len()
    + memory::IMPORTS.len()
    + net::IMPORTS.len()
    + pci::IMPORTS.len()
    + print::IMPORTS.len()
    + time::IMPORTS.len();

/// The import at `index`.
pub(crate) fn get(index: usize) -> Option<&'static Import> {
    let mut left = index;
    for section in SECTIONS {
        if left < section.len() {
            return Some(&section[left]);
        }
        left -= section.len();
    }
    None
}

/// The index of the import called `name`.
pub(crate) fn find(name: &[u8]) -> Option<usize> {
    SECTIONS
        .iter()
        .flat_map(|section| section.iter())
        .position(|import| import.name.as_bytes() == name)
}
