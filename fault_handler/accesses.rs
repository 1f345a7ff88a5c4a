// SPDX-License-Identifier: GPL-2.0

//! Which memory an instruction reaches, and whether it reads or writes it.
//!
//! The fault handler needs this where the processor gives no address: a #GP by a non-canonical
//! address or, with LASS, by a kernel address.

use super::decode::{Access, Encoding, Insn, Map, Operand, Repeat};

const RSP: u8 = 4;
const RBP: u8 = 5;
const RSI: u8 = 6;
const RDI: u8 = 7;

/// What `insn` reads and writes, the operand of ModRM first.
pub(super) fn of(insn: &Insn) -> [Option<Access>; 2] {
    let at = |operand: Option<Operand>, size: u8, read: bool, write: bool| {
        operand.map(|operand| Access {
            operand,
            size,
            read,
            write,
            bits: None,
        })
    };
    let read = |size| [at(insn.operand, size, true, false), None];
    let write = |size| [at(insn.operand, size, false, true), None];
    let both = |size| [at(insn.operand, size, true, true), None];
    let size = insn.prefixes.operand();
    // Byte instructions have an even opcode.
    let by_bit = if insn.opcode & 1 == 0 { 1 } else { size };
    let reg = insn.modrm.map_or(0, |m| m.reg);
    let push = at(Some(Operand::register(RSP, -8)), 8, false, true);
    let pop = at(Some(Operand::register(RSP, 0)), 8, true, false);
    // String instructions: only the source takes the segment.
    let source = Some(Operand {
        segment: insn.prefixes.segment,
        narrow: insn.prefixes.address_size,
        ..Operand::register(RSI, 0)
    });
    let destination = Some(Operand {
        narrow: insn.prefixes.address_size,
        ..Operand::register(RDI, 0)
    });
    if insn.encoding != Encoding::Legacy {
        return vector_accesses(insn);
    }
    match insn.map {
        Map::One => match insn.opcode {
            0x38 | 0x39 => read(by_bit),
            0x00..=0x3f => match insn.opcode & 7 {
                0 | 1 => both(by_bit),
                _ => read(by_bit),
            },
            0x50..=0x57 | 0x68 | 0x6a | 0x9c | 0xc8 | 0xe8 => [push, None],
            0x58..=0x5f | 0x9d | 0xc2 | 0xc3 | 0xca | 0xcb | 0xcf => [pop, None],
            0x63 => read(4),
            0x69 | 0x6b => read(size),
            0x6c | 0x6d => [at(destination, by_bit.min(4), false, true), None],
            0x6e | 0x6f => [at(source, by_bit.min(4), true, false), None],
            0x80..=0x83 if reg == 7 => read(by_bit_or(insn.opcode == 0x80, size)),
            0x80..=0x83 => both(by_bit_or(insn.opcode == 0x80, size)),
            0x84 | 0x85 => read(by_bit),
            0x86 | 0x87 => both(by_bit),
            0x88 | 0x89 => write(by_bit),
            0x8a | 0x8b => read(by_bit),
            0x8c => write(2),
            0x8e => read(2),
            0x8f => [
                at(insn.operand, 8, false, true).or(pop),
                insn.operand.and(pop),
            ],
            0xa0 | 0xa1 => read(by_bit),
            0xa2 | 0xa3 => write(by_bit),
            0xa4 | 0xa5 => [
                at(source, by_bit, true, false),
                at(destination, by_bit, false, true),
            ],
            0xa6 | 0xa7 => [
                at(source, by_bit, true, false),
                at(destination, by_bit, true, false),
            ],
            0xaa | 0xab => [at(destination, by_bit, false, true), None],
            0xac | 0xad => [at(source, by_bit, true, false), None],
            0xae | 0xaf => [at(destination, by_bit, true, false), None],
            0xc0 | 0xc1 | 0xd0..=0xd3 => both(by_bit),
            0xc6 | 0xc7 => write(by_bit),
            0xc9 => [at(Some(Operand::register(RBP, 0)), 8, true, false), None],
            // XLAT reads DS:RBX+AL; the segment rarely matters and AL is not a whole register.
            0xd8..=0xdf => x87(insn),
            0xf6 | 0xf7 => match reg {
                2 | 3 => both(by_bit),
                _ => read(by_bit),
            },
            0xfe => both(1),
            0xff => match reg {
                0 | 1 => both(size),
                2 | 6 if insn.operand.is_none() => [push, None],
                2 | 6 => [at(insn.operand, 8, true, false), push],
                4 => read(8),
                3 | 5 => read(size.saturating_add(2)),
                _ => [None; 2],
            },
            _ => [None; 2],
        },
        Map::Two => two_accesses(insn, size),
        Map::Three38 => match (insn.opcode, insn.prefixes.repeat) {
            (0xf0, Some(Repeat::NotEqual)) => read(1),
            (0xf1, Some(Repeat::NotEqual)) => read(size),
            (0xf0, _) => read(size),
            (0xf1 | 0xf9, _) => write(size),
            (0xf6, None) if !insn.prefixes.operand_size => write(size),
            (0xf6, _) => read(size),
            (0x80..=0x82, _) => read(16),
            _ => read(16),
        },
        Map::Three3a => match insn.opcode {
            0x14..=0x17 => write(if insn.prefixes.wide() { 8 } else { 4 }),
            _ => read(16),
        },
        Map::Other(_) => [None; 2],
    }
}

fn by_bit_or(byte: bool, size: u8) -> u8 {
    if byte {
        1
    } else {
        size
    }
}

fn two_accesses(insn: &Insn, size: u8) -> [Option<Access>; 2] {
    let with = |size, read, write| {
        [
            insn.operand.map(|operand| Access {
                operand,
                size,
                read,
                write,
                bits: None,
            }),
            None,
        ]
    };
    let bits = |write| {
        let operand = insn.operand;
        let bits = Some((insn.reg(), size));
        [
            operand.map(|operand| Access {
                operand,
                size,
                read: true,
                write,
                bits,
            }),
            None,
        ]
    };
    let stack = |displacement, write: bool| {
        let operand = Operand::register(RSP, displacement);
        [
            Some(Access {
                operand,
                size: 8,
                read: !write,
                write,
                bits: None,
            }),
            None,
        ]
    };
    let (reg, repeat) = (insn.modrm.map_or(0, |m| m.reg), insn.prefixes.repeat);
    match insn.opcode {
        0x00 if reg < 2 => with(2, false, true),
        0x00 | 0x02 | 0x03 => with(2, true, false),
        0x01 => match reg {
            0 | 1 => with(10, false, true),
            2 | 3 => with(10, true, false),
            4 => with(2, false, true),
            6 => with(2, true, false),
            5 => with(8, true, true),
            _ => [None; 2],
        },
        // Prefetches, long NOPs, and control and debug registers reach no memory.
        0x0d | 0x18..=0x23 => [None; 2],
        0x11 | 0x13 | 0x17 | 0x29 | 0x2b => with(16, false, true),
        0x40..=0x4f | 0xaf => with(size, true, false),
        0x7f | 0xe7 | 0xd6 => with(16, false, true),
        0x7e if repeat != Some(Repeat::Equal) => with(size.max(4), false, true),
        0x90..=0x9f => with(1, false, true),
        0xa0 | 0xa8 => stack(-8, true),
        0xa1 | 0xa9 => stack(0, false),
        0xa3 => bits(false),
        0xab | 0xb3 | 0xbb => bits(true),
        0xa4 | 0xa5 | 0xac | 0xad => with(size, true, true),
        0xae => match (reg, insn.prefixes.operand_size) {
            (0, _) => with(0, false, true),
            (3, _) => with(4, false, true),
            (2, _) => with(4, true, false),
            (4, false) => with(0, false, true),
            (1 | 5, false) => with(0, true, false),
            (6, false) if repeat == Some(Repeat::Equal) => with(8, true, true), // clrssbsy
            (6, false) => with(0, false, true),
            // clwb, clflush, clflushopt count as reads of one byte.
            _ => with(1, true, false),
        },
        0xb0 | 0xc0 => with(1, true, true),
        0xb1 | 0xc1 => with(size, true, true),
        0xb2 | 0xb4 | 0xb5 => with(size.saturating_add(2), true, false),
        0xb6 | 0xbe => with(1, true, false),
        0xb7 | 0xbf => with(2, true, false),
        0xb8 | 0xbc | 0xbd => with(size, true, false),
        0xba if reg == 4 => with(size, true, false),
        0xba => with(size, true, true),
        0xc3 => with(size, false, true),
        0xc7 => match reg {
            1 => with(if insn.prefixes.wide() { 16 } else { 8 }, true, true),
            3 => with(0, true, false),
            4 | 5 => with(0, false, true),
            7 => with(8, false, true),
            _ => with(8, true, false),
        },
        // UD1 and UD0 have a ModRM but are never carried out.
        0xb9 | 0xff => [None; 2],
        0x78 => with(8, false, true),
        _ => with(16, true, false),
    }
}

fn x87(insn: &Insn) -> [Option<Access>; 2] {
    let Some(operand) = insn.operand else {
        return [None; 2];
    };
    let reg = insn.modrm.map_or(0, |m| m.reg);
    let (size, write) = match (insn.opcode, reg) {
        (0xd9, 2 | 3) => (4, true),
        (0xd9, 4) => (28, false),
        (0xd9, 5) => (2, false),
        (0xd9, 6) => (28, true),
        (0xd9, 7) => (2, true),
        (0xdb, 1..=3) => (4, true),
        (0xdb, 5) => (10, false),
        (0xdb, 7) => (10, true),
        (0xdd, 1..=3) => (8, true),
        (0xdd, 4) => (108, false),
        (0xdd, 6) => (108, true),
        (0xdd, 7) => (2, true),
        (0xdf, 1..=3) => (2, true),
        (0xdf, 4) => (10, false),
        (0xdf, 5) => (8, false),
        (0xdf, 6) => (10, true),
        (0xdf, 7) => (8, true),
        (0xdc | 0xdd, _) => (8, false),
        (0xde | 0xdf, _) => (2, false),
        _ => (4, false),
    };
    [
        Some(Access {
            operand,
            size,
            read: !write,
            write,
            bits: None,
        }),
        None,
    ]
}

/// Vector memory operands. The direction follows the opcode; the size is the largest of the form,
/// since a domain never gets to execute one (its FPU is disabled).
fn vector_accesses(insn: &Insn) -> [Option<Access>; 2] {
    let Some(operand) = insn.operand else {
        return [None; 2];
    };
    let write = match (insn.map, insn.opcode) {
        (Map::Two, 0x11 | 0x13 | 0x17 | 0x29 | 0x2b | 0x7f | 0x91 | 0xd6 | 0xe7) => true,
        (Map::Two, 0x7e) => insn.prefixes.repeat != Some(Repeat::Equal),
        (Map::Three38, 0x2e | 0x2f | 0x8e | 0xa0..=0xa3 | 0x8a | 0x8b | 0x63) => true,
        (Map::Three3a, 0x14..=0x17 | 0x19 | 0x1d | 0x39) => true,
        _ => false,
    };
    let size = match insn.encoding {
        Encoding::Evex => 64,
        _ => 32,
    };
    let integer = insn.encoding == Encoding::Vex
        && matches!(
            (insn.map, insn.opcode),
            (Map::Three38, 0xf2..=0xf7) | (Map::Three3a, 0xf0)
        );
    let size = if integer {
        insn.prefixes.operand()
    } else {
        size
    };
    [
        Some(Access {
            operand,
            size,
            read: !write,
            write,
            bits: None,
        }),
        None,
    ]
}
