// SPDX-License-Identifier: GPL-2.0

//! The ring-3 library, as the loader sees it: text to be mapped read-execute at `LIBRARY_BASE`,
//! a table that says where each function lies in it, and the page of import stubs.

use super::contract::STUB_SIZE;
use crate::sys::ring3;

/// Bytes in a page of stubs.
pub(crate) const STUB_PAGE_SIZE: usize = 4096;

/// A page of import stubs. All are alike: the gate tells them apart by the address.
pub(crate) static STUB_PAGE: [u8; STUB_PAGE_SIZE] = stub_page();

const fn stub_page() -> [u8; STUB_PAGE_SIZE] {
    // int3 wherever no stub begins.
    let mut page = [0xcc; STUB_PAGE_SIZE];
    let mut at = 0;
    while at < STUB_PAGE_SIZE {
        // int $0x80; ret
        page[at] = 0xcd;
        page[at + 1] = 0x80;
        page[at + 2] = 0xc3;
        at += STUB_SIZE as usize;
    }
    page
}

/// Fills `buffer`, whose first byte lies at a multiple of the stub size, with stubs.
pub(crate) fn stubs(buffer: &mut [u8]) {
    for (at, byte) in buffer.iter_mut().enumerate() {
        *byte = STUB_PAGE[at % STUB_PAGE_SIZE];
    }
}

/// The library's text.
pub(crate) fn text() -> &'static [u8] {
    ring3::text()
}

/// The offset in the text of the function that answers the import `name`.
pub(crate) fn find(name: &[u8]) -> Option<u64> {
    let mut rest = ring3::names();
    while let [o0, o1, o2, o3, len, tail @ ..] = rest {
        let (found, next) = tail.split_at_checked(usize::from(*len))?;
        if found == name {
            return Some(u64::from(u32::from_le_bytes([*o0, *o1, *o2, *o3])));
        }
        rest = next;
    }
    None
}
