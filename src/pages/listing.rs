// SPDX-License-Identifier: GPL-2.0

//! What a view maps, in ranges, for `view` in sysfs and for tests: every present entry of a CPU's
//! root is in one of them, and non-present entries that are not zero are counted.

use super::{entry, View, PAGE_SIZE};
use crate::switcher::context;
use kernel::ffi;

extern "C" {
    fn side_switch_kernel_executes(address: *mut ffi::c_void) -> bool;
}

/// Neighbouring pages that are alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first address.
    pub(crate) start: u64,
    /// The address behind the last page.
    pub(crate) end: u64,
    /// Ring 3 may use them.
    pub(crate) user: bool,
    /// Writable.
    pub(crate) write: bool,
    /// Executable, for ring 3 if it is `user`, else for ring 0.
    pub(crate) execute: bool,
    /// Device registers.
    pub(crate) mmio: bool,
    /// The kernel's own tables let ring 0 execute them. Said of executable `user` pages only.
    pub(crate) kernel_executes: bool,
    /// What a kernel page is for.
    pub(crate) what: &'static str,
}

impl Range {
    fn joins(&self, next: &Self) -> bool {
        self.end == next.start
            && Self {
                start: next.start,
                end: next.end,
                ..*self
            } == *next
    }
}

impl View {
    /// Calls `f` for each range of one CPU's root, ascending. Returns how many entries are not
    /// present and yet not zero, which must be none (L1TF). Any context.
    pub(crate) fn ranges(&self, cpu: usize, f: &mut dyn FnMut(&Range)) -> u64 {
        let mut last: Option<Range> = None;
        let mut odd = 0;
        self.walk(cpu, &mut |va, level, value| {
            if value & entry::PRESENT == 0 {
                odd += 1;
                return;
            }
            if level > 1 {
                return;
            }
            let user = value & entry::USER != 0;
            let execute = value & entry::NO_EXECUTE == 0;
            let mmio = value & entry::IS_MMIO != 0;
            let next = Range {
                start: va,
                end: va.wrapping_add(PAGE_SIZE),
                user,
                write: value & entry::WRITE != 0,
                execute,
                mmio,
                kernel_executes: user && execute && {
                    let alias = super::table::direct_map(value & entry::ADDRESS);
                    // SAFETY: looks an address up in the kernel's tables.
                    unsafe { side_switch_kernel_executes(alias.cast()) }
                },
                what: match user {
                    true => "",
                    false => context::purpose(cpu, va),
                },
            };
            match &mut last {
                Some(range) if range.joins(&next) => range.end = next.end,
                _ => {
                    if let Some(range) = last.replace(next) {
                        f(&range);
                    }
                }
            }
        });
        if let Some(range) = last {
            f(&range);
        }
        odd
    }
}
