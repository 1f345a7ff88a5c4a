// SPDX-License-Identifier: GPL-2.0

//! The switcher: the only way into ring 3 and back.
//!
//! `enter` runs a domain until it leaves ring 3 for any reason and says why; it decides nothing. All
//! of Linux's state is back when it returns, so every decision is made in ordinary kernel code.
//!
//! Reading order: `switch.S` (the crossing and its two invariants), `context.rs` (what is mapped),
//! `host.rs` (what is saved), `idt.rs`, `refusal.rs`.

pub(crate) mod context;
mod host;
mod idt;
pub(crate) mod processor;
mod refusal;
mod tick;

pub(crate) use crate::fault_handler::frame::Frame;
pub(crate) use idt::GATE_VECTOR;

use crate::pages::{View, DOMAIN_END};
use context::Context;
use kernel::ffi;
use kernel::prelude::*;
use processor::*;

extern "C" {
    fn side_switch_enter(context: *mut Context, frame: *mut Frame);
    fn side_switch_hand_on(handler: u64);
    fn panic(format: *const ffi::c_char, ...) -> !;
}

const DEBUG_VECTOR: u8 = 1;
const PAGE_FAULT_VECTOR: u8 = 14;
const NMI_VECTOR: u8 = 2;
const PROTECTION_VECTOR: u8 = 13;
const MACHINE_CHECK_VECTOR: u8 = 18;

const FIRST_EXTERNAL_VECTOR: u8 = 32;

/// CF, PF, AF, ZF, SF, DF, OF, AC, ID: what ring 3 may have as it likes.
const RFLAGS_FREE: u64 = 0x0024_0cd5;
/// IF and the bit that is always one.
const RFLAGS_FIXED: u64 = 0x202;
/// A PCID that Linux does not use, PTI or not.
const VIEW_PCID: u64 = 2048;
/// In a value written to CR3: keep what the TLB holds for this PCID.
const CR3_NO_FLUSH: u64 = 1 << 63;

/// Why ring 3 was left. The frame holds the registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    /// The vector. An NMI (2) needs nothing more: Linux has handled it, as it has a machine check
    /// that is reported as one. A machine check (18) says that memory of the domain has failed.
    pub(crate) vector: u8,
    /// The CPU's error code; for #DB the content of DR6.
    pub(crate) error_code: u64,
    /// CR2 for #PF, else 0.
    pub(crate) cr2: u64,
}

/// Gets ready on every possible CPU, or says why not.
pub(crate) fn init() -> Result {
    let processor = Processor::read();
    if let Some(reason) = refusal::reason(&processor) {
        pr_err!("not loaded: {}\n", reason);
        return Err(ENODEV);
    }
    if let Some(remark) = refusal::remark(&processor) {
        pr_warn!("{}\n", remark);
    }
    tick::init();
    context::init(processor)
}

/// Gives everything back. No `View` exists any more.
pub(crate) fn exit() {
    if context::machine().is_some() {
        tick::exit();
    }
    context::exit();
}

/// Runs the domain from `frame` until it leaves ring 3, and updates the frame.
///
/// Turns interrupts off and returns with them off. An NMI or #MC has been handled by Linux when this
/// returns; every other vector is the caller's: one of Linux's goes to `hand_on`.
pub(crate) fn enter(view: &View, frame: &mut Frame, gs_base: u64) -> Exit {
    processor::interrupts_off();
    let number = processor::current_cpu();
    let refused = Exit {
        vector: PROTECTION_VECTOR,
        error_code: 0,
        cr2: 0,
    };
    let (Some(machine), Some(root)) = (context::machine(), view.root(number)) else {
        return refused;
    };
    let Some(cpu) = machine.cpu(number) else {
        return refused;
    };
    if (frame.rip | gs_base) >= DOMAIN_END {
        // What the CPU itself does with an address that is not canonical.
        return refused;
    }
    frame.rflags = frame.rflags & RFLAGS_FREE | RFLAGS_FIXED;

    let host = host::HostState::leave(machine, cpu);
    let context = cpu.context();
    // SAFETY: the context is this CPU's own, interrupts are off, the frame is the caller's, and
    // every field that the assembly reads is set here or in `PerCpu::new`.
    unsafe {
        let cr3 = read_cr3();
        if machine.pcid {
            // Linux's own translations stay right while we are away; the view's start empty.
            (*context).host_cr3 = cr3 | CR3_NO_FLUSH;
            (*context).view_cr3 = root | VIEW_PCID;
        } else {
            (*context).host_cr3 = cr3;
            (*context).view_cr3 = root;
        }
        (*context).view_gs_base = gs_base;
        if machine.processor.kernel_ibrs {
            let current = (cpu.places.spec_ctrl as *const u64).read_volatile();
            (*context).host_spec_ctrl = current;
            (*context).view_spec_ctrl = current & !SPEC_CTRL_IBRS;
        }
        side_switch_enter(context, frame);
    }
    let mut exit = Exit {
        vector: frame.vector as u8,
        error_code: frame.error_code,
        cr2: 0,
    };
    if exit.vector == PAGE_FAULT_VECTOR {
        // Linux's NMI handler, the only code that may have run meanwhile, keeps it.
        exit.cr2 = read_cr2();
    }
    host.restore(machine, cpu);
    match exit.vector {
        DEBUG_VECTOR => exit.error_code = host::take_dr6(),
        MACHINE_CHECK_VECTOR => {
            // SAFETY: as above.
            let failed = unsafe { core::mem::take(&mut (*context).memory_error) };
            if failed == 0 {
                exit.vector = NMI_VECTOR;
            }
        }
        _ => {}
    }
    exit
}

/// Whether a vector below 32 has been handled already, inside `enter`.
pub(crate) fn is_handed_on(vector: u8) -> bool {
    vector == NMI_VECTOR
}

/// Runs Linux's handler for a vector that ring 3 was interrupted by, as if it had interrupted this
/// code with interrupts on. Call with interrupts off; they are on afterwards. An exception is not
/// Linux's to handle: for those this only turns interrupts on.
pub(crate) fn hand_on(vector: u8) {
    if vector < FIRST_EXTERNAL_VECTOR || vector == GATE_VECTOR {
        processor::interrupts_on();
        return;
    }
    let handler = idt::linux_handler(vector);
    // SAFETY: the gate of a vector that the CPU has just delivered; all of Linux's state is in place.
    unsafe { side_switch_hand_on(handler) };
}

/// Sees to it that an interrupt ends the next stay in ring 3 on this CPU soon. The tick cannot be
/// relied on: on a CPU woken from idle it may be stopped.
pub(crate) fn arm_tick() {
    tick::arm();
}

/// Where the assembly ends when a window of the switch is hit by what cannot happen there.
#[no_mangle]
extern "C" fn side_switch_fatal(context: &Context, frame: &Frame) -> ! {
    // SAFETY: the format and its arguments agree. Linux's state is in place.
    unsafe {
        panic(
            c"side: switcher: vector %llu (error %llx, CR2 %llx) at %llx:%llx, sp %llx\n"
                .as_char_ptr(),
            frame.vector & 0xff,
            frame.error_code,
            context.cr2,
            frame.cs,
            frame.rip,
            frame.rsp,
        )
    }
}
