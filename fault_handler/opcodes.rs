// SPDX-License-Identifier: GPL-2.0

//! The opcode maps of 64-bit mode as far as an instruction's length depends on them.
//!
//! A match on opcode ranges is kept rather than a table of 256 entries a map: a reader can hold
//! it beside the manual's map and see that they agree.

use super::decode::{Encoding, Map, Prefixes, Repeat};

/// What follows ModRM.
#[derive(Clone, Copy)]
pub(super) enum Immediate {
    /// That many bytes, possibly none.
    Bytes(u8),
    /// Two immediates: `enter` and `extrq`.
    Two(u8, u8),
    /// That many bytes for the first two of the group, none for the others.
    Test(u8),
    /// An absolute address: `mov` of the accumulator.
    Address,
}

/// What follows an opcode.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// A ModRM byte.
    pub(super) modrm: bool,
    /// The immediate.
    pub(super) immediate: Immediate,
}

const PLAIN: Option<Shape> = Some(Shape {
    modrm: false,
    immediate: Immediate::Bytes(0),
});
const MODRM: Option<Shape> = Some(Shape {
    modrm: true,
    immediate: Immediate::Bytes(0),
});

fn immediate(size: u8) -> Option<Shape> {
    Some(Shape {
        modrm: false,
        immediate: Immediate::Bytes(size),
    })
}

fn modrm_immediate(size: u8) -> Option<Shape> {
    Some(Shape {
        modrm: true,
        immediate: Immediate::Bytes(size),
    })
}

/// What follows `opcode`, or `None` if it is undefined in 64-bit mode.
pub(super) fn shape(
    encoding: Encoding,
    map: Map,
    opcode: u8,
    prefixes: &Prefixes,
) -> Option<Shape> {
    match encoding {
        Encoding::Legacy => match map {
            Map::One => one(opcode, prefixes),
            Map::Two => two(opcode, prefixes),
            Map::Three38 => MODRM,
            Map::Three3a => modrm_immediate(1),
            Map::Other(_) => None,
        },
        Encoding::Vex | Encoding::Evex => match (map, encoding) {
            (Map::Two, Encoding::Vex) if opcode == 0x77 => PLAIN,
            (Map::Two, _) => match opcode {
                0x70..=0x73 | 0xc2 | 0xc4..=0xc6 => modrm_immediate(1),
                _ => MODRM,
            },
            (Map::Three38, _) => MODRM,
            (Map::Three3a, _) => modrm_immediate(1),
            // Half precision.
            (Map::Other(5 | 6), Encoding::Evex) => MODRM,
            // User-mode access to model-specific registers.
            (Map::Other(7), Encoding::Vex) => modrm_immediate(4),
            _ => None,
        },
        Encoding::Xop => match map {
            Map::Other(8) => modrm_immediate(1),
            Map::Other(9) => MODRM,
            Map::Other(10) => modrm_immediate(4),
            _ => None,
        },
    }
}

/// Moves to and from control and debug registers: the processor takes ModRM as a register form
/// whatever its mode says.
pub(super) fn register_only(encoding: Encoding, map: Map, opcode: u8) -> bool {
    encoding == Encoding::Legacy && map == Map::Two && matches!(opcode, 0x20..=0x23)
}

fn one(opcode: u8, prefixes: &Prefixes) -> Option<Shape> {
    // Immediates are 2 or 4 bytes; only `mov` to a register takes 8.
    let narrow = if prefixes.operand_size && !prefixes.wide() {
        2
    } else {
        4
    };
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => MODRM,
            4 => immediate(1),
            5 => immediate(narrow),
            _ => None,
        },
        0x50..=0x5f => PLAIN,
        0x63 => MODRM,
        0x68 => immediate(narrow),
        0x69 => modrm_immediate(narrow),
        0x6a => immediate(1),
        0x6b => modrm_immediate(1),
        0x6c..=0x6f => PLAIN,
        0x70..=0x7f => immediate(1),
        0x80 | 0x83 => modrm_immediate(1),
        0x81 => modrm_immediate(narrow),
        0x84..=0x8f => MODRM,
        0x90..=0x99 | 0x9b..=0x9f => PLAIN,
        0xa0..=0xa3 => Some(Shape {
            modrm: false,
            immediate: Immediate::Address,
        }),
        0xa4..=0xa7 | 0xaa..=0xaf => PLAIN,
        0xa8 => immediate(1),
        0xa9 => immediate(narrow),
        0xb0..=0xb7 => immediate(1),
        0xb8..=0xbf => immediate(prefixes.operand()),
        0xc0 | 0xc1 | 0xc6 => modrm_immediate(1),
        0xc2 | 0xca => immediate(2),
        0xc7 => modrm_immediate(narrow),
        0xc8 => Some(Shape {
            modrm: false,
            immediate: Immediate::Two(2, 1),
        }),
        0xc3 | 0xc9 | 0xcb | 0xcc | 0xcf => PLAIN,
        0xcd => immediate(1),
        0xd0..=0xd3 => MODRM,
        // UDB, which the kernel uses for control-flow checks.
        0xd6 | 0xd7 => PLAIN,
        0xd8..=0xdf => MODRM,
        0xe0..=0xe7 | 0xeb => immediate(1),
        // Near branches take 4 bytes whatever the operand size says. Some AMD processors differ
        // on a 66 prefix; no compiler emits that form.
        0xe8 | 0xe9 => immediate(4),
        0xec..=0xef => PLAIN,
        0xf1 | 0xf4 | 0xf5 | 0xf8..=0xfd => PLAIN,
        0xf6 => Some(Shape {
            modrm: true,
            immediate: Immediate::Test(1),
        }),
        0xf7 => Some(Shape {
            modrm: true,
            immediate: Immediate::Test(narrow),
        }),
        0xfe | 0xff => MODRM,
        _ => None,
    }
}

fn two(opcode: u8, prefixes: &Prefixes) -> Option<Shape> {
    match opcode {
        0x00..=0x03 | 0x0d | 0x10..=0x23 | 0x28..=0x2f => MODRM,
        0x05..=0x09 | 0x0b | 0x0e | 0x30..=0x35 | 0x37 | 0x77 | 0xa0..=0xa2 => PLAIN,
        0x0f => modrm_immediate(1),
        0x40..=0x6f | 0x74..=0x76 | 0x7c..=0x7f | 0x90..=0x9f => MODRM,
        0x70..=0x73 => modrm_immediate(1),
        0x78 if prefixes.operand_size || prefixes.repeat == Some(Repeat::NotEqual) => Some(Shape {
            modrm: true,
            immediate: Immediate::Two(1, 1),
        }),
        0x78 | 0x79 => MODRM,
        0x80..=0x8f => immediate(4),
        0xa3 | 0xa5..=0xa7 | 0xab | 0xad..=0xb7 => MODRM,
        0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => modrm_immediate(1),
        0xa8..=0xaa => PLAIN,
        // Only POPCNT is left of this opcode.
        0xb8 if prefixes.repeat == Some(Repeat::Equal) => MODRM,
        0xb9 | 0xbb..=0xc1 | 0xc3 | 0xc7 => MODRM,
        0xc8..=0xcf => PLAIN,
        0xd0..=0xff => MODRM,
        _ => None,
    }
}
