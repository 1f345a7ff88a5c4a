// SPDX-License-Identifier: GPL-2.0

//! Interrupt descriptors: our own table, live while ring 3 runs, and Linux's, which is read only.

use super::processor::{sidt, TableRegister};
use crate::pages::table::OwnedPage;
use kernel::prelude::*;

/// `int $0x80`, the one gate that ring 3 may use: a call of an import.
pub(crate) const GATE_VECTOR: u8 = 0x80;

const VECTORS: u64 = 256;
const STUB_SIZE: u64 = 16;
const DOUBLE_FAULT: u64 = 8;
/// The slot of the interrupt stack table that Linux leaves unused.
const DOUBLE_FAULT_IST: u64 = 7;
const KERNEL_CS: u64 = 0x10;
const INTERRUPT_GATE: u64 = 0xe;
const PRESENT: u64 = 1 << 7;

/// The two words of an interrupt gate.
const fn gate(handler: u64, ist: u64, dpl: u64) -> [u64; 2] {
    let attributes = ist | (PRESENT | dpl << 5 | INTERRUPT_GATE) << 8;
    [
        handler & 0xffff | KERNEL_CS << 16 | attributes << 32 | (handler >> 16 & 0xffff) << 48,
        handler >> 32,
    ]
}

/// The address that a gate leads to.
const fn handler_of(words: [u64; 2]) -> u64 {
    words[0] & 0xffff | (words[0] >> 48 & 0xffff) << 16 | words[1] << 32
}

/// Our own table, one for all CPUs.
pub(crate) struct Idt(OwnedPage);

impl Idt {
    /// Fills the table with gates to the stubs that begin at `stubs`.
    pub(crate) fn new(stubs: u64) -> Result<Self> {
        let page = OwnedPage::new(true)?;
        for vector in 0..VECTORS {
            let ist = if vector == DOUBLE_FAULT {
                DOUBLE_FAULT_IST
            } else {
                0
            };
            let dpl = if vector == u64::from(GATE_VECTOR) {
                3
            } else {
                0
            };
            let words = gate(stubs + vector * STUB_SIZE, ist, dpl);
            // SAFETY: the page holds 256 gates of two words; no CPU uses it yet.
            unsafe {
                page.as_ptr()
                    .cast::<[u64; 2]>()
                    .add(vector as usize)
                    .write(words)
            };
        }
        Ok(Self(page))
    }

    pub(crate) fn page(&self) -> &OwnedPage {
        &self.0
    }

    pub(crate) fn register(&self) -> TableRegister {
        TableRegister {
            limit: (VECTORS * 16 - 1) as u16,
            base: self.0.address(),
        }
    }
}

/// Where Linux handles `vector` on this CPU.
pub(crate) fn linux_handler(vector: u8) -> u64 {
    let table = { sidt().base } as *const [u64; 2];
    // SAFETY: Linux's table has 256 gates and is never taken away.
    handler_of(unsafe { table.add(usize::from(vector)).read_volatile() })
}
