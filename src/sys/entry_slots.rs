// SPDX-License-Identifier: GPL-2.0

//! The base mode's way from the kernel into a driver: entry slots that trap (see slots.S).
//!
//! `init` gives the module an exception table of SIDE's own making: the entries that the build
//! made, and one for each slot, sorted by address as `search_extable` demands.

use super::bindings;
use super::lock::BhLock;
use kernel::prelude::*;

/// Number of slots; slots.S has the same.
const SLOTS: usize = 256;
/// Bytes of a slot and of a fixup.
const SIZE: usize = 16;
/// Exception-table entries of the build that there is room for.
const OTHERS: usize = 256;
/// `EX_TYPE_DEFAULT` (arch/x86/include/asm/extable_fixup_types.h): resume at the fixup.
const EX_TYPE_DEFAULT: u32 = 1;

extern "C" {
    static side_entry_slots: [u8; SLOTS * SIZE];
    static mut side_entry_table: [usize; SLOTS];
    fn side_entry_fixups();
}

/// As `struct exception_table_entry` (arch/x86/include/asm/extable.h): offsets from the fields
/// themselves.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    insn: i32,
    fixup: i32,
    data: u32,
}

static mut EXTABLE: [Entry; SLOTS + OTHERS] = [Entry {
    insn: 0,
    fixup: 0,
    data: 0,
}; SLOTS + OTHERS];

/// Slots handed out.
static USED: BhLock<usize> = BhLock::new(0);

/// The exception table that the build made, put back at exit.
static ORIGINAL: BhLock<Option<(usize, u32)>> = BhLock::new(None);

fn relative(target: usize, field: *const i32) -> Result<i32> {
    i32::try_from(target.wrapping_sub(field as usize) as isize).map_err(|_| EOVERFLOW)
}

/// Installs the exception table. Once, at module load, before any slot is handed out.
pub(crate) fn init(module: &'static ThisModule) -> Result {
    let module = module.as_ptr().cast::<bindings::module>();
    // SAFETY: the module's own structure; nothing else changes these fields after load.
    let (old, count) = unsafe { ((*module).extable.cast::<Entry>(), (*module).num_exentries) };
    if count as usize > OTHERS {
        return Err(ENOSPC);
    }
    let mut all: KVec<(usize, usize, u32)> = KVec::new();
    for n in 0..count as usize {
        // SAFETY: the module's own table has `count` entries.
        let (entry, value) = unsafe { (old.add(n), *old.add(n)) };
        // SAFETY: addresses of the fields of that entry.
        let (insn, fixup) = unsafe { (&raw const (*entry).insn, &raw const (*entry).fixup) };
        let ip = (insn as usize).wrapping_add(value.insn as usize);
        let to = (fixup as usize).wrapping_add(value.fixup as usize);
        all.push((ip, to, value.data), GFP_KERNEL)?;
    }
    for n in 0..SLOTS {
        let slot = (&raw const side_entry_slots) as usize + n * SIZE;
        let fixup = side_entry_fixups as usize + n * SIZE;
        all.push((slot, fixup, EX_TYPE_DEFAULT), GFP_KERNEL)?;
    }
    sort(&mut all);
    for (n, (ip, fixup, data)) in all.iter().enumerate() {
        // SAFETY: within the array; the kernel does not look at it before it is installed.
        unsafe {
            let entry = (&raw mut EXTABLE).cast::<Entry>().add(n);
            (*entry).insn = relative(*ip, &raw const (*entry).insn)?;
            (*entry).fixup = relative(*fixup, &raw const (*entry).fixup)?;
            (*entry).data = *data;
        }
    }
    *ORIGINAL.lock() = Some((old as usize, count));
    // SAFETY: the table is complete and sorted. A search that runs meanwhile sees the old count
    // with the new table, all of whose entries are valid, or the other way round one of the old
    // table's; the module takes no fault of its own between the two stores.
    unsafe {
        (*module).extable = (&raw mut EXTABLE).cast();
        (*module).num_exentries = all.len() as u32;
    }
    Ok(())
}

/// Puts the build's exception table back. At module exit, when nothing calls a slot any more.
pub(crate) fn exit(module: &'static ThisModule) {
    if let Some((table, count)) = ORIGINAL.lock().take() {
        let module = module.as_ptr().cast::<bindings::module>();
        // SAFETY: as in `init`.
        unsafe {
            (*module).num_exentries = count;
            (*module).extable = table as *mut bindings::exception_table_entry;
        }
    }
}

/// Sorts by address. The build's part and the slots are each sorted already, so few steps.
fn sort(all: &mut [(usize, usize, u32)]) {
    for n in 1..all.len() {
        let mut at = n;
        while at > 0 && all[at - 1].0 > all[at].0 {
            all.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// The address that traps to `function`, a C function pointer of the type that the caller expects
/// back. The same function has the same slot. Falls back to the function itself should the slots
/// run out, which a table of proxies as small as SIDE's never does.
pub(crate) fn slot(function: usize) -> usize {
    let mut used = USED.lock();
    for n in 0..*used {
        // SAFETY: below `used` the table is written and constant.
        if unsafe { (&raw const side_entry_table).cast::<usize>().add(n).read() } == function {
            return (&raw const side_entry_slots) as usize + n * SIZE;
        }
    }
    let n = *used;
    if n == SLOTS {
        return function;
    }
    // SAFETY: within the table; nobody knows the slot yet.
    unsafe {
        (&raw mut side_entry_table)
            .cast::<usize>()
            .add(n)
            .write(function)
    };
    *used += 1;
    (&raw const side_entry_slots) as usize + n * SIZE
}

/// A function pointer of the same type as `function` that reaches it by a trap.
pub(crate) fn trapping<F: Copy>(function: F) -> F {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    // SAFETY: a function pointer is a word; `F` is one by the macro `entry!`.
    let address = unsafe { core::mem::transmute_copy::<F, usize>(&function) };
    let slot = slot(address);
    // SAFETY: the slot has the calling convention and arguments of the function.
    unsafe { core::mem::transmute_copy::<usize, F>(&slot) }
}
