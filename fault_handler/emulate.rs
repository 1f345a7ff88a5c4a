// SPDX-License-Identifier: GPL-2.0

//! Emulation of the privileged and sensitive instructions that drivers use.
//!
//! A driver was compiled for ring 0: it may clear its interrupt flag, save and restore RFLAGS,
//! open user memory by `stac`, or reach the ports of its own device. In ring 3 each of these
//! traps, and has a meaning that concerns the domain alone. Everything else that traps for lack
//! of privilege ends the domain.
//!
//! [`emulate`] changes only the frame and the virtual flags. What needs memory, a port or the
//! clock is returned as an [`Action`]; when the mechanism has done it, the matching `complete_*`
//! function puts the result into the frame and goes to the next instruction. An action that
//! cannot be done leaves the frame at the instruction, which is what the report then shows.

use super::decode::Insn;
use super::frame::{rflags, Frame};
use super::kinds::{Kind, Port};

/// The flags that a driver believes to own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualFlags {
    /// Interrupts are on, as far as the driver is concerned. The real flag is always on.
    pub if_: bool,
}

impl Default for VirtualFlags {
    fn default() -> Self {
        VirtualFlags { if_: true }
    }
}

/// What an `ins` or `outs` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringTransfer {
    /// The port; all transfers go to the same.
    pub port: u16,
    /// Bytes of one transfer: 1, 2 or 4.
    pub size: u8,
    /// Whether the port is read and memory written.
    pub input: bool,
    /// Transfers that are left, at least one. The domain chose it: the mechanism does as many as
    /// it likes in one go and says how many.
    pub count: u64,
    /// Domain address of the first transfer.
    pub address: u64,
    /// What is added to the address after each transfer.
    pub step: i64,
}

/// Why an instruction is not emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A driver has no use for it, or it would reach the host.
    Privileged,
    /// A port that is not the device's own.
    ForeignPort {
        /// The port.
        port: u16,
        /// Bytes.
        size: u8,
        /// Whether it would be written.
        write: bool,
    },
}

/// What the mechanism has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: the frame is at the next instruction.
    Resume,
    /// Store `value` in `size` bytes below RSP, then [`complete_push`].
    Push {
        /// 8 or 2.
        size: u8,
        /// RFLAGS as the driver sees them.
        value: u64,
    },
    /// Load `size` bytes at RSP, then [`complete_pop`].
    Pop {
        /// 8 or 2.
        size: u8,
    },
    /// Read the port, then [`complete_in`].
    PortIn {
        /// The port.
        port: u16,
        /// Bytes.
        size: u8,
    },
    /// Write the port, then [`complete_out`].
    PortOut {
        /// The port.
        port: u16,
        /// Bytes.
        size: u8,
        /// The value, cut to its size.
        value: u32,
    },
    /// Transfers between a port and memory, then [`complete_string`].
    PortString(StringTransfer),
    /// Read the clock, then [`complete_tsc`].
    ReadTsc,
    /// Identify a processor as the driver may see it, then [`complete_cpuid`].
    Cpuid {
        /// EAX.
        leaf: u32,
        /// ECX.
        subleaf: u32,
    },
    /// End the domain.
    Forbidden(Refusal),
}

/// Whether [`emulate`] knows the instruction; otherwise it is refused.
pub fn is_emulated(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Cli
            | Kind::Sti
            | Kind::Pushf { .. }
            | Kind::Popf { .. }
            | Kind::In { .. }
            | Kind::Out { .. }
            | Kind::Ins { .. }
            | Kind::Outs { .. }
            | Kind::Rdtsc
            | Kind::Rdtscp
            | Kind::Rdpmc
            | Kind::Cpuid
            | Kind::Clac
            | Kind::Stac
    )
}

/// Carries out `insn`, which stands at the frame's RIP, or says what it needs.
///
/// `ports` tells whether the `size` ports from `port` on belong to the domain's device.
pub fn emulate(
    insn: &Insn,
    frame: &mut Frame,
    flags: &mut VirtualFlags,
    ports: &dyn Fn(u16, u8) -> bool,
) -> Action {
    match insn.kind {
        Kind::Cli => flags.if_ = false,
        Kind::Sti => flags.if_ = true,
        Kind::Clac | Kind::Stac => {}
        Kind::Pushf { size } => {
            return Action::Push {
                size,
                value: visible_flags(frame, flags),
            }
        }
        Kind::Popf { size } => return Action::Pop { size },
        Kind::In { size, port } => {
            return match own_port(frame, port, size, false, ports) {
                Ok(port) => Action::PortIn { port, size },
                Err(refusal) => Action::Forbidden(refusal),
            }
        }
        Kind::Out { size, port } => {
            return match own_port(frame, port, size, true, ports) {
                Ok(port) => Action::PortOut {
                    port,
                    size,
                    value: cut(frame.rax, size) as u32,
                },
                Err(refusal) => Action::Forbidden(refusal),
            }
        }
        Kind::Ins { size, rep } => return string(insn, frame, size, rep, true, ports),
        Kind::Outs { size, rep } => return string(insn, frame, size, rep, false, ports),
        Kind::Rdtsc | Kind::Rdtscp => return Action::ReadTsc,
        // The performance counters are the host's. To a driver they are stopped at zero, which is
        // what a counter that nobody has set up reads as.
        Kind::Rdpmc => {
            frame.rax = 0;
            frame.rdx = 0;
        }
        Kind::Cpuid => {
            return Action::Cpuid {
                leaf: frame.rax as u32,
                subleaf: frame.rcx as u32,
            };
        }
        _ => return Action::Forbidden(Refusal::Privileged),
    }
    advance(frame, insn);
    Action::Resume
}

/// After [`Action::Push`] was stored.
pub fn complete_push(frame: &mut Frame, insn: &Insn) {
    if let Kind::Pushf { size } = insn.kind {
        frame.rsp = frame.rsp.wrapping_sub(u64::from(size));
        advance(frame, insn);
    }
}

/// After [`Action::Pop`] loaded `value`.
///
/// The driver gets the status flags and its virtual interrupt flag. Single-stepping, alignment
/// checks, I/O privilege and nested tasks stay as they are: in ring 0 they would concern Linux.
pub fn complete_pop(frame: &mut Frame, insn: &Insn, flags: &mut VirtualFlags, value: u64) {
    if let Kind::Popf { size } = insn.kind {
        let mut mask = rflags::STATUS | rflags::ID;
        if size == 2 {
            mask &= 0xffff;
        }
        frame.rflags = frame.rflags & !mask | value & mask;
        flags.if_ = value & rflags::IF != 0;
        frame.rsp = frame.rsp.wrapping_add(u64::from(size));
        advance(frame, insn);
    }
}

/// After [`Action::PortIn`] read `value`.
pub fn complete_in(frame: &mut Frame, insn: &Insn, value: u32) {
    if let Kind::In { size, .. } = insn.kind {
        let value = cut(u64::from(value), size);
        // As any 32-bit result, a doubleword clears the upper half; smaller ones leave the rest.
        frame.rax = match size {
            1 => frame.rax & !0xff | value,
            2 => frame.rax & !0xffff | value,
            _ => value,
        };
        advance(frame, insn);
    }
}

/// After [`Action::PortOut`].
pub fn complete_out(frame: &mut Frame, insn: &Insn) {
    advance(frame, insn);
}

/// After `done` transfers of an [`Action::PortString`]. With fewer than it asked for the frame
/// stays at the instruction, which then asks for the rest, as after an interrupt.
pub fn complete_string(frame: &mut Frame, insn: &Insn, transfer: &StringTransfer, done: u64) {
    let done = done.min(transfer.count);
    let narrow = insn.prefixes.address_size;
    let moved = |value: u64, by: u64| {
        let sum = value.wrapping_add(by);
        if narrow {
            sum & 0xffff_ffff
        } else {
            sum
        }
    };
    let by = (transfer.step as u64).wrapping_mul(done);
    if transfer.input {
        frame.rdi = moved(frame.rdi, by);
    } else {
        frame.rsi = moved(frame.rsi, by);
    }
    if insn.prefixes.repeat.is_some() {
        frame.rcx = moved(frame.rcx, done.wrapping_neg());
    }
    if done == transfer.count {
        advance(frame, insn);
    }
}

/// After [`Action::ReadTsc`]. `processor` is what `rdtscp` shows of the processor's number.
pub fn complete_tsc(frame: &mut Frame, insn: &Insn, counter: u64, processor: u32) {
    frame.rax = counter & 0xffff_ffff;
    frame.rdx = counter >> 32;
    if insn.kind == Kind::Rdtscp {
        frame.rcx = u64::from(processor);
    }
    advance(frame, insn);
}

/// After [`Action::Cpuid`], with EAX, EBX, ECX and EDX.
pub fn complete_cpuid(frame: &mut Frame, insn: &Insn, registers: [u32; 4]) {
    let [a, b, c, d] = registers.map(u64::from);
    frame.rax = a;
    frame.rbx = b;
    frame.rcx = c;
    frame.rdx = d;
    advance(frame, insn);
}

/// RFLAGS as the driver sees them: its own interrupt flag, and I/O privilege level 0 as in Linux.
pub fn visible_flags(frame: &Frame, flags: &VirtualFlags) -> u64 {
    let shown = frame.rflags & (rflags::STATUS | rflags::ID) | rflags::FIXED;
    if flags.if_ {
        shown | rflags::IF
    } else {
        shown
    }
}

fn advance(frame: &mut Frame, insn: &Insn) {
    frame.rip = frame.rip.wrapping_add(u64::from(insn.length));
}

fn cut(value: u64, size: u8) -> u64 {
    match size {
        1 => value & 0xff,
        2 => value & 0xffff,
        _ => value & 0xffff_ffff,
    }
}

fn own_port(
    frame: &Frame,
    port: Port,
    size: u8,
    write: bool,
    ports: &dyn Fn(u16, u8) -> bool,
) -> Result<u16, Refusal> {
    let port = match port {
        Port::Immediate(port) => u16::from(port),
        Port::Dx => frame.rdx as u16,
    };
    // The last port wraps to the first on no machine; no device owns such a range.
    let inside = port.checked_add(u16::from(size) - 1).is_some();
    if inside && ports(port, size) {
        Ok(port)
    } else {
        Err(Refusal::ForeignPort { port, size, write })
    }
}

fn string(
    insn: &Insn,
    frame: &mut Frame,
    size: u8,
    rep: bool,
    input: bool,
    ports: &dyn Fn(u16, u8) -> bool,
) -> Action {
    let narrow = |value: u64| {
        if insn.prefixes.address_size {
            value & 0xffff_ffff
        } else {
            value
        }
    };
    let count = if rep { narrow(frame.rcx) } else { 1 };
    let port = match own_port(frame, Port::Dx, size, !input, ports) {
        Ok(port) => port,
        Err(refusal) => return Action::Forbidden(refusal),
    };
    // A source in a per-CPU variable: no driver does it.
    if !input && insn.prefixes.segment.is_some() {
        return Action::Forbidden(Refusal::Privileged);
    }
    if count == 0 {
        advance(frame, insn);
        return Action::Resume;
    }
    let backward = frame.rflags & rflags::DF != 0;
    Action::PortString(StringTransfer {
        port,
        size,
        input,
        count,
        address: narrow(if input { frame.rdi } else { frame.rsi }),
        step: if backward {
            -i64::from(size)
        } else {
            i64::from(size)
        },
    })
}
