// SPDX-License-Identifier: GPL-2.0

//! What an instruction is, as far as a fault, an emulation or a report depends on it.

use super::decode::{Encoding, Insn, Map, Repeat};
use core::fmt;

/// The port operand of `in` and `out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A constant.
    Immediate(u8),
    /// DX.
    Dx,
}

/// Where a near branch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Relative to the next instruction.
    Relative(i64),
    /// The value of a general register.
    Register(u8),
    /// A word in memory.
    Memory,
}

/// Instructions that hand control over by a far pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Far {
    /// Far jump.
    Jump,
    /// Far call.
    Call,
    /// Far return.
    Return,
}

/// Instructions that exist to be undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// `ud0`.
    Ud0,
    /// `ud1`, which carries two registers.
    Ud1,
    /// `ud2`, which the kernel uses for BUG and WARN.
    Ud2,
    /// `udb`, one byte.
    Udb,
}

/// Tables of the processor that an instruction loads or stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The mnemonics.
pub enum TableOp {
    Sgdt,
    Sidt,
    Lgdt,
    Lidt,
    Sldt,
    Str,
    Lldt,
    Ltr,
    Smsw,
    Lmsw,
}

/// What an instruction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Clears the interrupt flag.
    Cli,
    /// Sets the interrupt flag.
    Sti,
    /// Pushes RFLAGS of `size` bytes.
    Pushf {
        /// 8 or 2.
        size: u8,
    },
    /// Pops RFLAGS of `size` bytes.
    Popf {
        /// 8 or 2.
        size: u8,
    },
    /// Reads a port.
    In {
        /// Bytes.
        size: u8,
        /// Which.
        port: Port,
    },
    /// Writes a port.
    Out {
        /// Bytes.
        size: u8,
        /// Which.
        port: Port,
    },
    /// Reads a port into memory.
    Ins {
        /// Bytes of one transfer.
        size: u8,
        /// RCX times.
        rep: bool,
    },
    /// Writes memory to a port.
    Outs {
        /// Bytes of one transfer.
        size: u8,
        /// RCX times.
        rep: bool,
    },
    /// Time-stamp counter.
    Rdtsc,
    /// Time-stamp counter and processor number.
    Rdtscp,
    /// Performance counter.
    Rdpmc,
    /// Processor number.
    Rdpid,
    /// Reads a model-specific register.
    Rdmsr,
    /// Writes a model-specific register.
    Wrmsr,
    /// Processor identification.
    Cpuid,
    /// Halt.
    Hlt,
    /// `monitor` and `mwait`, which wait like `hlt`.
    Mwait,
    /// Closes user memory for the supervisor.
    Clac,
    /// Opens user memory for the supervisor.
    Stac,
    /// Exchanges the GS bases.
    Swapgs,
    /// Interrupt return.
    Iret,
    /// Return from `syscall`.
    Sysret,
    /// Return from `sysenter`.
    Sysexit,
    /// System call.
    Syscall,
    /// System call, Intel's older form.
    Sysenter,
    /// Software interrupt by vector.
    Int(u8),
    /// `int1`.
    Int1,
    /// Breakpoint.
    Int3,
    /// Undefined by definition.
    Undefined(Undefined),
    /// A descriptor table or the machine status word.
    Table(TableOp),
    /// Clears CR0.TS.
    Clts,
    /// A control register.
    MovCr {
        /// Its number.
        number: u8,
        /// Whether it is written.
        write: bool,
    },
    /// A debug register.
    MovDr {
        /// Its number.
        number: u8,
        /// Whether it is written.
        write: bool,
    },
    /// `invlpg`, `invpcid`, `invlpga`, `tlbsync` and the like.
    Invlpg,
    /// Writes back or drops the caches.
    Wbinvd,
    /// Instructions of virtual machine monitors and their guests.
    Virtualization,
    /// `rsm`, `getsec`, `encls`, `xsetbv`, `pconfig`: other instructions of ring 0 alone.
    Privileged,
    /// `rdfsbase` to `wrgsbase`, `rdpkru`, `wrpkru`, `xgetbv`: user state by CR4.
    UserState,
    /// Loads a segment register.
    LoadSegment,
    /// Far transfer.
    Far(Far),
    /// Near call.
    Call(Target),
    /// Near jump, unconditional.
    Jump(Target),
    /// Near return.
    Return,
    /// x87, MMX, SSE, AVX, AVX-512, mask and tile registers.
    FpuOrVector,
    /// Integer division, which can fault by its operands.
    Divide,
    /// An ordinary instruction that reads or writes memory: see `accesses`.
    Memory,
    /// Anything else.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Kind::Cli => "cli",
            Kind::Sti => "sti",
            Kind::Pushf { .. } => "pushf",
            Kind::Popf { .. } => "popf",
            Kind::In { .. } => "in",
            Kind::Out { .. } => "out",
            Kind::Ins { .. } => "ins",
            Kind::Outs { .. } => "outs",
            Kind::Rdtsc => "rdtsc",
            Kind::Rdtscp => "rdtscp",
            Kind::Rdpmc => "rdpmc",
            Kind::Rdpid => "rdpid",
            Kind::Rdmsr => "rdmsr",
            Kind::Wrmsr => "wrmsr",
            Kind::Cpuid => "cpuid",
            Kind::Hlt => "hlt",
            Kind::Mwait => "mwait",
            Kind::Clac => "clac",
            Kind::Stac => "stac",
            Kind::Swapgs => "swapgs",
            Kind::Iret => "iret",
            Kind::Sysret => "sysret",
            Kind::Sysexit => "sysexit",
            Kind::Syscall => "syscall",
            Kind::Sysenter => "sysenter",
            Kind::Int(vector) => return write!(f, "int {vector:#x}"),
            Kind::Int1 => "int1",
            Kind::Int3 => "int3",
            Kind::Undefined(Undefined::Ud0) => "ud0",
            Kind::Undefined(Undefined::Ud1) => "ud1",
            Kind::Undefined(Undefined::Ud2) => "ud2",
            Kind::Undefined(Undefined::Udb) => "udb",
            Kind::Table(TableOp::Sgdt) => "sgdt",
            Kind::Table(TableOp::Sidt) => "sidt",
            Kind::Table(TableOp::Lgdt) => "lgdt",
            Kind::Table(TableOp::Lidt) => "lidt",
            Kind::Table(TableOp::Sldt) => "sldt",
            Kind::Table(TableOp::Str) => "str",
            Kind::Table(TableOp::Lldt) => "lldt",
            Kind::Table(TableOp::Ltr) => "ltr",
            Kind::Table(TableOp::Smsw) => "smsw",
            Kind::Table(TableOp::Lmsw) => "lmsw",
            Kind::Clts => "clts",
            Kind::MovCr {
                number,
                write: true,
            } => return write!(f, "mov to cr{number}"),
            Kind::MovCr { number, .. } => return write!(f, "mov from cr{number}"),
            Kind::MovDr {
                number,
                write: true,
            } => return write!(f, "mov to dr{number}"),
            Kind::MovDr { number, .. } => return write!(f, "mov from dr{number}"),
            Kind::Invlpg => "invlpg",
            Kind::Wbinvd => "wbinvd",
            Kind::Virtualization => "a virtualization instruction",
            Kind::Privileged => "an instruction of ring 0",
            Kind::UserState => "an instruction on per-task state",
            Kind::LoadSegment => "a segment load",
            Kind::Far(Far::Jump) => "far jump",
            Kind::Far(Far::Call) => "far call",
            Kind::Far(Far::Return) => "far return",
            Kind::Call(_) => "call",
            Kind::Jump(_) => "jump",
            Kind::Return => "return",
            Kind::FpuOrVector => "a floating-point or vector instruction",
            Kind::Divide => "division",
            Kind::Memory => "a memory access",
            Kind::Other => "an instruction",
        };
        f.write_str(name)
    }
}

/// What `insn` is. Its accesses are known already.
pub(super) fn kind(insn: &Insn) -> Kind {
    let special = match insn.encoding {
        Encoding::Legacy => match insn.map {
            Map::One => one(insn),
            Map::Two => two(insn),
            Map::Three38 => three38(insn),
            Map::Three3a => match insn.opcode {
                0xf0 => Some(Kind::Privileged), // hreset
                _ => Some(Kind::FpuOrVector),
            },
            Map::Other(_) => None,
        },
        Encoding::Vex => vex(insn),
        Encoding::Evex => Some(Kind::FpuOrVector),
        // The integer instructions of XOP are BEXTR, TBM and LWP.
        Encoding::Xop => match (insn.map, insn.opcode) {
            (Map::Other(9), 0x01 | 0x02 | 0x12) | (Map::Other(10), _) => None,
            _ => Some(Kind::FpuOrVector),
        },
    };
    match special {
        Some(kind) => kind,
        None if insn.accesses[0].is_some() => Kind::Memory,
        None => Kind::Other,
    }
}

fn group(insn: &Insn) -> (u8, u8, bool) {
    insn.modrm
        .map_or((0, 0, false), |m| (m.reg, m.rm, m.is_register()))
}

fn near(insn: &Insn) -> Target {
    if insn.operand.is_some() {
        Target::Memory
    } else {
        Target::Register(insn.rm())
    }
}

fn one(insn: &Insn) -> Option<Kind> {
    let (reg, _, register) = group(insn);
    // Ports are at most 32 bits wide: REX.W changes nothing.
    let port_size = match (insn.opcode & 1, insn.prefixes.operand_size) {
        (0, _) => 1,
        (_, true) => 2,
        (_, false) => 4,
    };
    let flags_size = if insn.prefixes.operand() == 2 { 2 } else { 8 };
    let rep = insn.prefixes.repeat.is_some();
    Some(match insn.opcode {
        0x6c | 0x6d => Kind::Ins {
            size: port_size,
            rep,
        },
        0x6e | 0x6f => Kind::Outs {
            size: port_size,
            rep,
        },
        0x8e => Kind::LoadSegment,
        0x9b | 0xd8..=0xdf => Kind::FpuOrVector,
        0x9c => Kind::Pushf { size: flags_size },
        0x9d => Kind::Popf { size: flags_size },
        0xc2 | 0xc3 => Kind::Return,
        0xca | 0xcb => Kind::Far(Far::Return),
        0xcc => Kind::Int3,
        0xcd => Kind::Int(insn.immediate as u8),
        0xcf => Kind::Iret,
        0xd6 => Kind::Undefined(Undefined::Udb),
        0xe4 | 0xe5 => Kind::In {
            size: port_size,
            port: Port::Immediate(insn.immediate as u8),
        },
        0xe6 | 0xe7 => Kind::Out {
            size: port_size,
            port: Port::Immediate(insn.immediate as u8),
        },
        0xec | 0xed => Kind::In {
            size: port_size,
            port: Port::Dx,
        },
        0xee | 0xef => Kind::Out {
            size: port_size,
            port: Port::Dx,
        },
        0xe8 => Kind::Call(Target::Relative(insn.immediate)),
        0xe9 | 0xeb => Kind::Jump(Target::Relative(insn.immediate)),
        0xf1 => Kind::Int1,
        0xf4 => Kind::Hlt,
        0xf6 | 0xf7 if reg >= 6 => Kind::Divide,
        0xfa => Kind::Cli,
        0xfb => Kind::Sti,
        0xff => match (reg, register) {
            (2, _) => Kind::Call(near(insn)),
            (3, false) => Kind::Far(Far::Call),
            (4, _) => Kind::Jump(near(insn)),
            (5, false) => Kind::Far(Far::Jump),
            _ => return None,
        },
        _ => return None,
    })
}

fn two(insn: &Insn) -> Option<Kind> {
    let (reg, rm, register) = group(insn);
    let repeat = insn.prefixes.repeat;
    Some(match insn.opcode {
        0x00 => match reg {
            0 => Kind::Table(TableOp::Sldt),
            1 => Kind::Table(TableOp::Str),
            2 => Kind::Table(TableOp::Lldt),
            3 => Kind::Table(TableOp::Ltr),
            6 => Kind::Privileged, // lkgs
            _ => return None,
        },
        0x01 if register => return group_01(reg, rm, repeat, insn.prefixes.operand_size),
        0x01 => match reg {
            0 => Kind::Table(TableOp::Sgdt),
            1 => Kind::Table(TableOp::Sidt),
            2 => Kind::Table(TableOp::Lgdt),
            3 => Kind::Table(TableOp::Lidt),
            4 => Kind::Table(TableOp::Smsw),
            6 => Kind::Table(TableOp::Lmsw),
            7 => Kind::Invlpg,
            _ => return None, // rstorssp
        },
        0x05 => Kind::Syscall,
        0x06 => Kind::Clts,
        0x07 => Kind::Sysret,
        0x08 | 0x09 => Kind::Wbinvd,
        0x0b => Kind::Undefined(Undefined::Ud2),
        0x0e | 0x0f | 0x77 => Kind::FpuOrVector,
        0x10..=0x17 | 0x28..=0x2f | 0x50..=0x76 | 0x7c..=0x7f => Kind::FpuOrVector,
        0x20 | 0x22 => Kind::MovCr {
            number: insn.reg(),
            write: insn.opcode == 0x22,
        },
        0x21 | 0x23 => Kind::MovDr {
            number: insn.reg(),
            write: insn.opcode == 0x23,
        },
        0x30 => Kind::Wrmsr,
        0x31 => Kind::Rdtsc,
        0x32 => Kind::Rdmsr,
        0x33 => Kind::Rdpmc,
        0x34 => Kind::Sysenter,
        0x35 => Kind::Sysexit,
        0x37 | 0xaa => Kind::Privileged,
        0x78 | 0x79 if repeat.is_none() && !insn.prefixes.operand_size => Kind::Virtualization,
        0x78 | 0x79 => Kind::FpuOrVector,
        0xa1 | 0xa9 | 0xb2 | 0xb4 | 0xb5 => Kind::LoadSegment,
        0xa2 => Kind::Cpuid,
        0xae => match (register, reg, repeat) {
            (true, 0..=3, Some(Repeat::Equal)) => Kind::UserState,
            (false, 0..=3, None) => Kind::FpuOrVector,
            // xsave, xrstor, xsaveopt; 66 makes the last `clwb`.
            (false, 4..=6, None) if !insn.prefixes.operand_size => Kind::FpuOrVector,
            _ => return None,
        },
        0xb9 => Kind::Undefined(Undefined::Ud1),
        0xc2 | 0xc4..=0xc6 => Kind::FpuOrVector,
        0xc7 => match (register, reg) {
            (true, 7) if repeat == Some(Repeat::Equal) => Kind::Rdpid,
            (false, 3..=5) => Kind::FpuOrVector, // xrstors, xsavec, xsaves
            (false, 6 | 7) => Kind::Virtualization,
            _ => return None,
        },
        0xff => Kind::Undefined(Undefined::Ud0),
        0xd0..=0xfe => Kind::FpuOrVector,
        _ => return None,
    })
}

/// 0F 01 with a register form: many instructions without operands.
fn group_01(reg: u8, rm: u8, repeat: Option<Repeat>, operand_size: bool) -> Option<Kind> {
    Some(match (reg, rm) {
        (0, 6) => Kind::Privileged, // wrmsrns, rdmsrlist, wrmsrlist
        (0, _) => Kind::Virtualization,
        (1, 0 | 1) => Kind::Mwait,
        (1, 2) if repeat.is_some() => Kind::Iret, // erets, eretu
        (1, 2) => Kind::Clac,
        (1, 3) => Kind::Stac,
        (1, 4..=7) if operand_size => Kind::Virtualization, // tdcall, seamcall, ...
        (1, _) => Kind::Privileged,                         // encls
        (2, 0) => Kind::UserState,                          // xgetbv
        (2, 1) => Kind::Privileged,                         // xsetbv
        (2, 4) => Kind::Virtualization,
        (2, _) => Kind::Other,  // xend, xtest, enclu
        (3, 7) => Kind::Invlpg, // invlpga
        (3, _) => Kind::Virtualization,
        (4, _) => Kind::Table(TableOp::Smsw),
        (5, 6 | 7) if repeat.is_none() => Kind::UserState, // rdpkru, wrpkru
        (5, _) => Kind::Other,                             // serialize, stui, setssbsy
        (6, _) => Kind::Table(TableOp::Lmsw),
        (7, 0) => Kind::Swapgs,
        (7, 1) => Kind::Rdtscp,
        (7, 2 | 3) => Kind::Mwait,
        (7, 6 | 7) => Kind::Invlpg, // invlpgb, tlbsync and the RMP instructions
        (7, _) => Kind::Other,      // clzero, rdpru
        _ => return None,
    })
}

fn three38(insn: &Insn) -> Option<Kind> {
    match insn.opcode {
        0x80 | 0x81 => Some(Kind::Virtualization), // invept, invvpid
        0x82 => Some(Kind::Invlpg),                // invpcid
        // movbe, crc32, wrss, adcx, movdiri, enqcmd.
        0xf0..=0xf9 => match (insn.opcode, insn.prefixes.repeat) {
            (0xf8, Some(Repeat::Equal)) => Some(Kind::Privileged), // enqcmds
            _ => None,
        },
        _ => Some(Kind::FpuOrVector),
    }
}

fn vex(insn: &Insn) -> Option<Kind> {
    match (insn.map, insn.opcode) {
        // andn, blsr, bzhi, pext, mulx, bextr, rorx; cmpccxadd.
        (Map::Three38, 0xf2 | 0xf3 | 0xf5 | 0xf6 | 0xf7 | 0xe0..=0xef) => None,
        (Map::Three3a, 0xf0) => None,
        (Map::Other(7), _) => Some(Kind::Privileged),
        _ => Some(Kind::FpuOrVector),
    }
}
