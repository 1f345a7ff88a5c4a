// SPDX-License-Identifier: GPL-2.0

//! The state of the interrupted task and of Linux that an interrupt gate does not save.
//!
//! Everything here may be changed while Linux's IDT is live: an NMI that Linux handles meanwhile
//! does not depend on it. What it does depend on (CR3, GS base, sp0, CR0.TS, IDT) is the assembly's.

use super::context::{Machine, PerCpu, SIDE_IO_BITMAP_INVALID};
use super::processor::{self, *};

extern "C" {
    fn side_switch_load_ds(selector: u16);
    fn side_switch_load_es(selector: u16);
    fn side_switch_load_fs(selector: u16);
    fn side_switch_load_gs(selector: u16);
}

/// DR6 as Linux leaves it.
const DR6_RESET: u64 = 0xffff_0ff0;

/// What was there before ring 3, to be put back after it.
pub(crate) struct HostState {
    selectors: Selectors,
    io_bitmap: u16,
    pkru: u32,
    fs_base: u64,
    dr7: u64,
    cr4: u64,
    efer: MsrHalves,
    user_cet: u64,
}

/// The segment selectors and the LDT's.
#[derive(Clone, Copy)]
struct Selectors {
    ds: u16,
    es: u16,
    fs: u16,
    gs: u16,
    ldt: u16,
}

fn dr7_of(cpu: &PerCpu) -> u64 {
    // SAFETY: Linux's variable for what DR7 holds on this CPU.
    unsafe { (cpu.places.dr7 as *const u64).read_volatile() }
}

impl HostState {
    /// Saves the state and makes it what ring 3 may find. Interrupts are off.
    ///
    /// What a task rarely has (selectors, an LDT, ports, breakpoints) costs a look; only what differs
    /// from what ring 3 must find is written.
    #[inline(always)]
    pub(crate) fn leave(machine: &Machine, cpu: &PerCpu) -> Self {
        let has = &machine.processor;
        // SAFETY: each instruction below exists where `has` says so, what it changes is saved first
        // and nothing that runs before `restore` on this CPU depends on it (module documentation).
        unsafe {
            let state = Self {
                selectors: Selectors {
                    ds: processor::ds(),
                    es: processor::es(),
                    fs: processor::fs(),
                    gs: processor::gs(),
                    ldt: processor::ldt(),
                },
                io_bitmap: cpu.io_bitmap.read(),
                pkru: if has.protection_keys { rdpkru() } else { 0 },
                fs_base: if has.fsgsbase {
                    rdfsbase()
                } else {
                    rdmsr(MSR_FS_BASE)
                },
                dr7: dr7_of(cpu),
                cr4: read_cr4(),
                // Read each time: with KVM guests on the machine it may be a guest's.
                efer: MsrHalves::read(MSR_EFER),
                user_cet: if has.user_shadow_stack {
                    rdmsr(MSR_U_CET)
                } else {
                    0
                },
            };
            let Selectors {
                ds, es, fs, ldt, ..
            } = state.selectors;
            if ds | es | fs | ldt != 0 {
                clear_selectors();
            }
            // After the selector, whose load may change the base.
            if has.fsgsbase {
                wrfsbase(0);
            } else {
                wrmsr(MSR_FS_BASE, 0);
            }
            if state.io_bitmap != SIDE_IO_BITMAP_INVALID as u16 {
                cpu.io_bitmap.write(SIDE_IO_BITMAP_INVALID as u16);
            }
            if state.dr7 != 0 {
                write_dr7(0);
            }
            if state.cr4 & (CR4_PCE | CR4_TSD) != 0 {
                write_cr4(state.cr4 & !(CR4_PCE | CR4_TSD));
            }
            if machine.sysenter_cs != 0 {
                wrmsr(MSR_SYSENTER_CS, 0);
            }
            if state.user_cet != 0 {
                wrmsr(MSR_U_CET, 0);
            }
            if state.pkru != 0 {
                wrpkru(0);
            }
            state.efer.without(EFER_SCE as u32).write(MSR_EFER);
            state
        }
    }

    /// Puts everything back. Interrupts are off.
    #[inline(always)]
    pub(crate) fn restore(self, machine: &Machine, cpu: &PerCpu) {
        let has = &machine.processor;
        // SAFETY: as in `leave`; the values are those that were there.
        unsafe {
            self.efer.write(MSR_EFER);
            if has.protection_keys && (self.pkru != 0 || rdpkru() != 0) {
                wrpkru(self.pkru);
            }
            if self.user_cet != 0 {
                wrmsr(MSR_U_CET, self.user_cet);
            }
            if machine.sysenter_cs != 0 {
                wrmsr(MSR_SYSENTER_CS, machine.sysenter_cs);
            }
            if self.cr4 & (CR4_PCE | CR4_TSD) != 0 {
                write_cr4(self.cr4);
            }
            if self.dr7 != 0 {
                // What Linux wants by now: its NMI handler may have taken a breakpoint away.
                write_dr7(dr7_of(cpu));
            }
            if self.io_bitmap != SIDE_IO_BITMAP_INVALID as u16 {
                cpu.io_bitmap.write(self.io_bitmap);
            }
            if self.selectors.differ() {
                let Selectors {
                    ds,
                    es,
                    fs,
                    gs,
                    ldt,
                } = self.selectors;
                restore_selectors(ds, es, fs, gs, ldt);
            }
            // After the selector.
            if has.fsgsbase {
                wrfsbase(self.fs_base);
            } else {
                wrmsr(MSR_FS_BASE, self.fs_base);
            }
        }
    }
}

/// Makes the selectors null. The ones that were there are kept.
#[cold]
fn clear_selectors() {
    // SAFETY: null selectors can be loaded always.
    unsafe {
        side_switch_load_ds(0);
        side_switch_load_es(0);
        side_switch_load_fs(0);
        lldt(0);
    }
}

impl Selectors {
    /// Whether ring 3 left other selectors than those that were there.
    #[inline(always)]
    fn differ(self) -> bool {
        (processor::ds() ^ self.ds)
            | (processor::es() ^ self.es)
            | (processor::fs() ^ self.fs)
            | (processor::gs() ^ self.gs)
            | self.ldt
            != 0
    }
}

/// Loads the selectors that were there. One by one: what need not be in memory for a call that rarely comes stays
/// in registers.
#[cold]
#[inline(never)]
fn restore_selectors(ds: u16, es: u16, fs: u16, gs: u16, ldt: u16) {
    // SAFETY: the selectors are those that were there, and so is the LDT that they may name.
    unsafe {
        // The LDT before the selectors that may name it.
        if ldt != 0 {
            lldt(ldt);
        }
        side_switch_load_ds(ds);
        side_switch_load_es(es);
        side_switch_load_fs(fs);
        if processor::gs() != gs {
            // Linux's way to load the selector changes the base that is not active, which may
            // be a guest's.
            let base = rdmsr(MSR_KERNEL_GS_BASE);
            side_switch_load_gs(gs);
            wrmsr(MSR_KERNEL_GS_BASE, base);
        }
    }
}

/// What a #DB found, with DR6 as Linux wants it afterwards.
pub(crate) fn take_dr6() -> u64 {
    let value = read_dr6();
    // SAFETY: the reset value; Linux keeps nothing in DR6 between its own handlers.
    unsafe { write_dr6(DR6_RESET) };
    value
}
