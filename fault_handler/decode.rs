// SPDX-License-Identifier: GPL-2.0

//! The instruction decoder: what stands at the address where a domain faulted.
//!
//! It finds the length of every 64-bit instruction that a compiler or the kernel's assembly
//! produces (legacy, VEX, EVEX and XOP maps), what kind it is as far as a fault or an emulation
//! depends on it, and which memory it reaches. The last is needed because the processor does not
//! always tell the address: a non-canonical access, and with LASS any access to a kernel address,
//! is a #GP that leaves CR2 alone.
//!
//! The bytes come from the domain and prove nothing. So no byte sequence makes the decoder panic
//! or read beyond the slice, and `emulate` checks every effect again.
//!
//! [`opcodes`](super::opcodes) holds the tables of lengths, [`kinds`](super::kinds) names what an
//! instruction is.

use super::accesses;
use super::frame::Frame;
use super::kinds::{self, Kind};
use super::opcodes::{self, Immediate};

/// The longest instruction that the processor accepts.
pub const MAX_LENGTH: usize = 15;

/// Why bytes are not an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The slice ends before the instruction does.
    Truncated,
    /// More than 15 bytes.
    TooLong,
    /// No such opcode in 64-bit mode.
    Undefined,
}

/// How the opcode is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One byte, 0F, 0F38 or 0F3A.
    Legacy,
    /// Two- or three-byte VEX.
    Vex,
    /// EVEX, always vector or mask registers.
    Evex,
    /// AMD's XOP.
    Xop,
}

/// The opcode map within an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// One-byte opcodes.
    One,
    /// 0F.
    Two,
    /// 0F38.
    Three38,
    /// 0F3A.
    Three3a,
    /// Any other map of VEX, EVEX or XOP, by its number.
    Other(u8),
}

/// A segment whose base counts in 64-bit mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// FS.
    Fs,
    /// GS.
    Gs,
}

/// The last of the F2 and F3 prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// F3: `rep`, `repe`.
    Equal,
    /// F2: `repne`.
    NotEqual,
}

/// The prefixes before the opcode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// 66.
    pub operand_size: bool,
    /// 67.
    pub address_size: bool,
    /// F0.
    pub lock: bool,
    /// F2 or F3.
    pub repeat: Option<Repeat>,
    /// 64 or 65; the other segment prefixes mean nothing in 64-bit mode.
    pub segment: Option<Segment>,
    /// The REX byte, or the same bits out of VEX, EVEX and XOP; 0 without one.
    pub rex: u8,
}

impl Prefixes {
    /// REX.W: 64-bit operands.
    pub fn wide(&self) -> bool {
        self.rex & 8 != 0
    }

    /// The operand size in bytes of an instruction that follows the prefixes.
    pub fn operand(&self) -> u8 {
        match (self.wide(), self.operand_size) {
            (true, _) => 8,
            (false, true) => 2,
            (false, false) => 4,
        }
    }
}

/// The ModRM byte, in its parts and without the extensions by REX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModRm {
    /// Addressing form; 3 is a register.
    pub mode: u8,
    /// Register operand or opcode extension.
    pub reg: u8,
    /// Register or base.
    pub rm: u8,
}

impl ModRm {
    /// Whether the operand is a register.
    pub fn is_register(&self) -> bool {
        self.mode == 3
    }
}

/// What an address is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing: an absolute address.
    None,
    /// A general register by its number.
    Register(u8),
    /// The next instruction.
    Next,
}

/// The parts of an effective address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The segment whose base is added.
    pub segment: Option<Segment>,
    /// The base.
    pub base: Base,
    /// Index register and the shift of its value.
    pub index: Option<(u8, u8)>,
    /// Displacement.
    pub displacement: i64,
    /// 32-bit addressing: the sum is cut to 32 bits.
    pub narrow: bool,
}

/// Segment bases that the domain runs with.
#[derive(Clone, Copy, Debug, Default)]
pub struct SegmentBases {
    /// FS base.
    pub fs: u64,
    /// GS base.
    pub gs: u64,
}

impl Operand {
    pub(super) fn register(number: u8, displacement: i64) -> Self {
        Operand {
            segment: None,
            base: Base::Register(number),
            index: None,
            displacement,
            narrow: false,
        }
    }

    /// The linear address. `next` is the address of the next instruction.
    pub fn address(&self, frame: &Frame, next: u64, bases: &SegmentBases) -> u64 {
        let mut sum = match self.base {
            Base::None => 0,
            Base::Register(number) => frame.register(number),
            Base::Next => next,
        };
        if let Some((number, shift)) = self.index {
            sum = sum.wrapping_add(frame.register(number).wrapping_shl(u32::from(shift)));
        }
        sum = sum.wrapping_add(self.displacement as u64);
        if self.narrow {
            sum &= 0xffff_ffff;
        }
        match self.segment {
            None => sum,
            Some(Segment::Fs) => sum.wrapping_add(bases.fs),
            Some(Segment::Gs) => sum.wrapping_add(bases.gs),
        }
    }
}

/// One access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where.
    pub operand: Operand,
    /// Size in bytes, 0 where it depends on the processor's state (`xsave`).
    pub size: u8,
    /// Whether it reads.
    pub read: bool,
    /// Whether it writes.
    pub write: bool,
    /// Bit tests with a register: its number and the size of the words that it counts over.
    pub bits: Option<(u8, u8)>,
}

impl Access {
    /// The linear address, with the bit offset of a bit test counted in.
    pub fn address(&self, frame: &Frame, next: u64, bases: &SegmentBases) -> u64 {
        let address = self.operand.address(frame, next, bases);
        let Some((number, size)) = self.bits else {
            return address;
        };
        let value = frame.register(number);
        let words = match size {
            2 => i64::from(value as i16) >> 4,
            4 => i64::from(value as i32) >> 5,
            _ => (value as i64) >> 6,
        };
        address.wrapping_add(words.wrapping_mul(i64::from(size)) as u64)
    }
}

/// A decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Length in bytes, 1 to 15.
    pub length: u8,
    /// Prefixes.
    pub prefixes: Prefixes,
    /// Encoding.
    pub encoding: Encoding,
    /// Opcode map.
    pub map: Map,
    /// The opcode byte.
    pub opcode: u8,
    /// ModRM, if the opcode has one.
    pub modrm: Option<ModRm>,
    /// The address form of ModRM or of `mov` with an absolute address, also where the instruction
    /// only computes it (`lea`, long `nop`).
    pub operand: Option<Operand>,
    /// The immediate or relative displacement, sign-extended; `enter` keeps its first.
    pub immediate: i64,
    /// What it is.
    pub kind: Kind,
    /// What it reads and writes; `movs` and `push` of memory have two.
    pub accesses: [Option<Access>; 2],
}

impl Insn {
    /// The register number in ModRM.reg with its extension.
    pub fn reg(&self) -> u8 {
        self.modrm.map_or(0, |m| m.reg) | ((self.prefixes.rex & 4) << 1)
    }

    /// The register number in ModRM.rm with its extension, for register forms.
    pub fn rm(&self) -> u8 {
        self.modrm.map_or(0, |m| m.rm) | ((self.prefixes.rex & 1) << 3)
    }
}

/// Reads the slice forward, never beyond 15 bytes.
struct Cursor<'a> {
    code: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Result<u8, DecodeError> {
        if self.at >= MAX_LENGTH {
            return Err(DecodeError::TooLong);
        }
        self.code
            .get(self.at)
            .copied()
            .ok_or(DecodeError::Truncated)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// A little-endian number of `size` bytes, sign-extended.
    fn number(&mut self, size: u8) -> Result<i64, DecodeError> {
        let mut value = 0u64;
        for place in 0..u32::from(size) {
            value |= u64::from(self.byte()?) << (8 * place);
        }
        Ok(match size {
            0 => 0,
            1 => i64::from(value as i8),
            2 => i64::from(value as i16),
            4 => i64::from(value as i32),
            _ => value as i64,
        })
    }
}

/// Decodes the instruction at the start of `code` for 64-bit mode.
pub fn decode(code: &[u8]) -> Result<Insn, DecodeError> {
    let mut cursor = Cursor { code, at: 0 };
    let mut prefixes = read_prefixes(&mut cursor)?;
    let (encoding, map, opcode) = read_opcode(&mut cursor, &mut prefixes)?;
    let shape = opcodes::shape(encoding, map, opcode, &prefixes).ok_or(DecodeError::Undefined)?;
    let (modrm, mut operand) = if shape.modrm {
        read_modrm(
            &mut cursor,
            &prefixes,
            opcodes::register_only(encoding, map, opcode),
        )?
    } else {
        (None, None)
    };
    let reg = modrm.map_or(0, |m| m.reg);
    let immediate = match shape.immediate {
        // TEST is the only one of its group with an immediate.
        Immediate::Test(size) if reg < 2 => cursor.number(size)?,
        Immediate::Test(_) => 0,
        Immediate::Bytes(size) => cursor.number(size)?,
        Immediate::Two(first, second) => {
            let value = cursor.number(first)?;
            cursor.number(second)?;
            value
        }
        Immediate::Address => {
            let displacement = cursor.number(if prefixes.address_size { 4 } else { 8 })?;
            let displacement = if prefixes.address_size {
                displacement & 0xffff_ffff
            } else {
                displacement
            };
            operand = Some(Operand {
                segment: prefixes.segment,
                base: Base::None,
                index: None,
                displacement,
                narrow: false,
            });
            0
        }
    };
    let mut insn = Insn {
        length: cursor.at as u8,
        prefixes,
        encoding,
        map,
        opcode,
        modrm,
        operand,
        immediate,
        kind: Kind::Other,
        accesses: [None; 2],
    };
    insn.accesses = accesses::of(&insn);
    insn.kind = kinds::kind(&insn);
    Ok(insn)
}

/// Whether a `call` ends where `before` ends: the test for a return address on a stack.
pub fn ends_with_call(before: &[u8]) -> bool {
    // A call is 2 to 7 bytes without superfluous prefixes, 8 with a segment and REX.
    (2..=8usize).any(|length| {
        before
            .len()
            .checked_sub(length)
            .and_then(|start| before.get(start..))
            .is_some_and(|code| {
                decode(code).is_ok_and(|insn| {
                    usize::from(insn.length) == length && matches!(insn.kind, Kind::Call(_))
                })
            })
    })
}

fn read_prefixes(cursor: &mut Cursor<'_>) -> Result<Prefixes, DecodeError> {
    let mut prefixes = Prefixes::default();
    loop {
        let byte = cursor.peek()?;
        // A REX byte counts only directly before the opcode.
        let mut rex = 0;
        match byte {
            0x26 | 0x2e | 0x36 | 0x3e => {}
            0x64 => prefixes.segment = Some(Segment::Fs),
            0x65 => prefixes.segment = Some(Segment::Gs),
            0x66 => prefixes.operand_size = true,
            0x67 => prefixes.address_size = true,
            0xf0 => prefixes.lock = true,
            0xf2 => prefixes.repeat = Some(Repeat::NotEqual),
            0xf3 => prefixes.repeat = Some(Repeat::Equal),
            0x40..=0x4f => rex = byte,
            _ => return Ok(prefixes),
        }
        prefixes.rex = rex;
        cursor.at += 1;
    }
}

fn read_opcode(
    cursor: &mut Cursor<'_>,
    prefixes: &mut Prefixes,
) -> Result<(Encoding, Map, u8), DecodeError> {
    let byte = cursor.byte()?;
    match byte {
        0x0f => match cursor.byte()? {
            0x38 => Ok((Encoding::Legacy, Map::Three38, cursor.byte()?)),
            0x3a => Ok((Encoding::Legacy, Map::Three3a, cursor.byte()?)),
            opcode => Ok((Encoding::Legacy, Map::Two, opcode)),
        },
        0xc5 => {
            refuse_before_vector(prefixes)?;
            let first = cursor.byte()?;
            // R is stored inverted; so in all forms below.
            set_vector(prefixes, (!first >> 5) & 4, first & 3);
            Ok((Encoding::Vex, Map::Two, cursor.byte()?))
        }
        0xc4 => {
            refuse_before_vector(prefixes)?;
            let (map, rex) = three_byte(cursor, prefixes)?;
            prefixes.rex = rex;
            Ok((Encoding::Vex, vector_map(map), cursor.byte()?))
        }
        0x8f if cursor.peek()? & 0x1f >= 8 => {
            refuse_before_vector(prefixes)?;
            let (map, rex) = three_byte(cursor, prefixes)?;
            prefixes.rex = rex;
            Ok((Encoding::Xop, Map::Other(map), cursor.byte()?))
        }
        0x62 => {
            refuse_before_vector(prefixes)?;
            let first = cursor.byte()?;
            let second = cursor.byte()?;
            cursor.byte()?;
            // Both are fixed bits until APX uses them; APX is refused as a whole.
            if first & 8 != 0 || second & 4 == 0 {
                return Err(DecodeError::Undefined);
            }
            set_vector(
                prefixes,
                ((!first >> 5) & 7) | ((second >> 4) & 8),
                second & 3,
            );
            Ok((Encoding::Evex, vector_map(first & 7), cursor.byte()?))
        }
        opcode => Ok((Encoding::Legacy, Map::One, opcode)),
    }
}

/// VEX, EVEX and XOP carry what these prefixes say and are undefined after them.
fn refuse_before_vector(prefixes: &Prefixes) -> Result<(), DecodeError> {
    if prefixes.operand_size || prefixes.lock || prefixes.repeat.is_some() || prefixes.rex != 0 {
        return Err(DecodeError::Undefined);
    }
    Ok(())
}

/// The two bytes that follow C4 and 8F: the map and the REX bits.
fn three_byte(cursor: &mut Cursor<'_>, prefixes: &mut Prefixes) -> Result<(u8, u8), DecodeError> {
    let first = cursor.byte()?;
    let second = cursor.byte()?;
    set_vector(prefixes, 0, second & 3);
    Ok((
        first & 0x1f,
        0x40 | ((!first >> 5) & 7) | ((second >> 4) & 8),
    ))
}

fn set_vector(prefixes: &mut Prefixes, rex: u8, implied: u8) {
    prefixes.rex = 0x40 | rex;
    match implied {
        1 => prefixes.operand_size = true,
        2 => prefixes.repeat = Some(Repeat::Equal),
        3 => prefixes.repeat = Some(Repeat::NotEqual),
        _ => {}
    }
}

fn vector_map(number: u8) -> Map {
    match number {
        1 => Map::Two,
        2 => Map::Three38,
        3 => Map::Three3a,
        other => Map::Other(other),
    }
}

fn read_modrm(
    cursor: &mut Cursor<'_>,
    prefixes: &Prefixes,
    register_only: bool,
) -> Result<(Option<ModRm>, Option<Operand>), DecodeError> {
    let byte = cursor.byte()?;
    let mut modrm = ModRm {
        mode: byte >> 6,
        reg: (byte >> 3) & 7,
        rm: byte & 7,
    };
    if register_only {
        modrm.mode = 3;
    }
    if modrm.is_register() {
        return Ok((Some(modrm), None));
    }
    let extend_base = (prefixes.rex & 1) << 3;
    let mut index = None;
    let mut base = Base::Register(modrm.rm | extend_base);
    let mut displacement_size = match modrm.mode {
        1 => 1,
        2 => 4,
        _ => 0,
    };
    if modrm.rm == 4 {
        let sib = cursor.byte()?;
        let number = ((sib >> 3) & 7) | ((prefixes.rex & 2) << 2);
        if number != 4 {
            index = Some((number, sib >> 6));
        }
        base = Base::Register(sib & 7 | extend_base);
        if sib & 7 == 5 && modrm.mode == 0 {
            base = Base::None;
            displacement_size = 4;
        }
    } else if modrm.rm == 5 && modrm.mode == 0 {
        base = Base::Next;
        displacement_size = 4;
    }
    let displacement = cursor.number(displacement_size)?;
    let operand = Operand {
        segment: prefixes.segment,
        base,
        index,
        displacement,
        narrow: prefixes.address_size,
    };
    Ok((Some(modrm), Some(operand)))
}
