// SPDX-License-Identifier: GPL-2.0

//! Rewrites the instruction sites of a relocated image that the kernel would have patched.
//!
//! | site | in ring 3 |
//! |---|---|
//! | `call __fentry__` | a five-byte NOP: there is no tracer in a domain |
//! | `jmp __x86_return_thunk` | `ret`, then `int3` against straight-line speculation |
//! | call or jump to `__x86_indirect_thunk_*` | stays; the import resolves to a thunk in ring 3 |
//! | call or jump to `__SCT__*` | stays; the import resolves to the stub of the default target |
//! | jump labels | stay at their compiled default: no static key of a domain is ever switched |
//! | alternatives | stay at the original instructions, see [`default_policy`] |
//! | `call *pv_ops+x(%rip)` | stays; the import `pv_ops` is a table of ring-3 stubs |
//! | `%gs:variable(%rip)` | stays; the import is the shadow per-CPU variable, the base is 0 |
//!
//! A branch that is not in the compiler's form is left as it is: its import still resolves to a
//! stub that does the same. So nothing here is needed for correctness but [`default_policy`]'s
//! one rule; the rest saves the way through a stub.

use super::bugtable::relative;
use super::bytes::{put, slice, u16_at};
use super::elf::{reloc, Relocation, Section, SHF_EXECINSTR};
use super::error::BadImage;
use super::layout::{Group, Placed, Placement};

const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];
const RETURN: [u8; 5] = [0xc3, 0xcc, 0xcc, 0xcc, 0xcc];
const NOP: u8 = 0x90;

const ALT_ENTRY_SIZE: usize = 14;
const JUMP_ENTRY_SIZE: usize = 16;

/// Relocations and sections that checking and moving replacements may look at, a bound on the work that a hostile
/// table can cause: far more than any module needs.
const MAX_WORK: usize = 1 << 24;

/// `X86_FEATURE_ALWAYS` of arch/x86/include/asm/cpufeatures.h.
pub const FEATURE_ALWAYS: u16 = 3 * 32 + 21;
/// Replace if the CPU does not have the feature.
pub const ALT_NOT: u16 = 1 << 0;
/// The site is an indirect call that is to become a direct one.
pub const ALT_DIRECT_CALL: u16 = 1 << 1;

/// An entry of `.altinstructions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// Offset in the image of the original instructions.
    pub site: usize,
    /// Their length.
    pub length: usize,
    /// Offset in the image of the replacement.
    pub replacement: usize,
    /// Its length, at most `length`.
    pub replacement_length: usize,
    /// `X86_FEATURE_*` that decides.
    pub feature: u16,
    /// [`ALT_NOT`], [`ALT_DIRECT_CALL`].
    pub flags: u16,
}

/// Which alternatives to apply when the caller has no wish of its own: those that the kernel
/// applies on every CPU, as `_static_cpu_has` needs to leave its slow path.
///
/// All others keep the original, which runs on every CPU. Those marked "not" must: they hold the
/// bare `cli`, `sti` or `pushf` that take the place of a paravirt call where there is no
/// hypervisor, and in ring 3 the call is the one that works. The direct-call form is left
/// indirect, so that it reads the domain's `pv_ops` at each call.
pub fn default_policy(entry: &Alternative) -> bool {
    entry.feature == FEATURE_ALWAYS && entry.flags == 0
}

/// What was found and done, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// `call __fentry__` turned into NOPs.
    pub fentry: u32,
    /// `jmp __x86_return_thunk` turned into `ret`.
    pub returns: u32,
    /// Branches to retpoline thunks.
    pub retpolines: u32,
    /// Branches to static-call trampolines.
    pub static_calls: u32,
    /// Jump labels, all left at their default.
    pub jump_labels: u32,
    /// Alternatives that were applied.
    pub alternatives_applied: u32,
    /// Alternatives that keep the original instructions.
    pub alternatives_kept: u32,
    /// References to `pv_ops`.
    pub paravirt: u32,
    /// Sites in `__ex_table`.
    pub fixups: u32,
}

/// Patches `image`, the relocated image of `placed`; `policy` decides about each alternative.
pub fn apply(
    placed: &Placed<'_>,
    image: &mut [u8],
    policy: &dyn Fn(&Alternative) -> bool,
) -> Result<Summary, BadImage> {
    let mut summary = Summary::default();
    for table in placed.elf.relocation_tables() {
        let (Some(section), Some(placement)) = (
            placed.elf.section(table.target),
            placed.placement(table.target),
        ) else {
            continue;
        };
        if section.flags & SHF_EXECINSTR == 0 {
            continue;
        }
        for entry in table.iter() {
            patch_branch(placed, image, &placement, &entry, &mut summary)?;
        }
    }
    summary.jump_labels = count(placed.elf.section_named(b"__jump_table"), JUMP_ENTRY_SIZE);
    summary.fixups = count(placed.elf.section_named(b"__ex_table"), 12);
    apply_alternatives(placed, image, policy, &mut summary)?;
    Ok(summary)
}

fn count(section: Option<Section<'_>>, entry: usize) -> u32 {
    section.map_or(0, |section| (section.data.len() / entry) as u32)
}

/// Patches or counts one branch by the symbol that its relocation names.
fn patch_branch(
    placed: &Placed<'_>,
    image: &mut [u8],
    placement: &Placement,
    entry: &Relocation,
    summary: &mut Summary,
) -> Result<(), BadImage> {
    let Some(symbol) = placed.elf.symbol(entry.symbol) else {
        return Ok(());
    };
    if symbol.name == b"pv_ops" {
        summary.paravirt += 1;
    }
    if !matches!(entry.kind, reloc::PC32 | reloc::PLT32) {
        return Ok(());
    }
    let code = image.get_mut(placement.range()).ok_or(SHORT)?;
    let opcode = entry.offset.checked_sub(1);
    let (before, site) = match opcode.and_then(|at| Some((*code.get(at)?, at))) {
        Some(found) => found,
        None => return Ok(()),
    };
    match (before, symbol.name) {
        (0xe8, b"__fentry__") => {
            put(code, site, &NOP5).ok_or(SHORT)?;
            summary.fentry += 1;
        }
        (0xe9, b"__x86_return_thunk") => {
            put(code, site, &RETURN).ok_or(SHORT)?;
            summary.returns += 1;
        }
        (_, name) if name.starts_with(b"__x86_indirect_thunk_") => summary.retpolines += 1,
        (_, name) if name.starts_with(b"__SCT__") => summary.static_calls += 1,
        _ => {}
    }
    Ok(())
}

const SHORT: BadImage = BadImage::WrongImage("image is shorter than its layout");

/// The alternatives of the relocated `image`, each checked: site and replacement lie in one
/// section of code each.
pub fn alternatives<'a>(
    placed: &Placed<'a>,
    image: &'a [u8],
) -> impl Iterator<Item = Result<Alternative, BadImage>> + 'a {
    let placed = *placed;
    let (start, count) = alternatives_table(&placed);
    (0..count).map(move |index| alternative(&placed, image, start + index * ALT_ENTRY_SIZE))
}

fn alternatives_table(placed: &Placed<'_>) -> (usize, usize) {
    placed
        .placement_named(b".altinstructions")
        .map_or((0, 0), |table| (table.offset, table.size / ALT_ENTRY_SIZE))
}

fn alternative(placed: &Placed<'_>, image: &[u8], at: usize) -> Result<Alternative, BadImage> {
    let read = || {
        Some(Alternative {
            site: placed.offset(relative(placed, image, at)?)?,
            replacement: placed.offset(relative(placed, image, at + 4)?)?,
            feature: u16_at(image, at + 8)?,
            flags: u16_at(image, at + 10)?,
            length: usize::from(*image.get(at + 12)?),
            replacement_length: usize::from(*image.get(at + 13)?),
        })
    };
    let bad = BadImage::PatchTable("alternative points outside the image");
    let entry = read().ok_or(bad)?;
    if entry.replacement_length > entry.length {
        return Err(BadImage::PatchTable(
            "alternative is longer than the original",
        ));
    }
    let in_code = |start: usize, len: usize| {
        start.checked_add(len).is_some_and(|end| {
            placed.placements.iter().flatten().any(|section| {
                section.group == Group::Text
                    && section.range().start <= start
                    && end <= section.range().end
            })
        })
    };
    if in_code(entry.site, entry.length) && in_code(entry.replacement, entry.replacement_length) {
        Ok(entry)
    } else {
        Err(BadImage::PatchTable("alternative points outside the code"))
    }
}

fn apply_alternatives(
    placed: &Placed<'_>,
    image: &mut [u8],
    policy: &dyn Fn(&Alternative) -> bool,
    summary: &mut Summary,
) -> Result<(), BadImage> {
    let (start, count) = alternatives_table(placed);
    let mut work = 0;
    for index in 0..count {
        let entry = alternative(placed, image, start + index * ALT_ENTRY_SIZE)?;
        work += placed.placements.len();
        if policy(&entry) {
            work += replace(placed, image, &entry)?;
            summary.alternatives_applied += 1;
        } else {
            summary.alternatives_kept += 1;
        }
        if work > MAX_WORK {
            return Err(BadImage::PatchTable("too many alternatives"));
        }
    }
    Ok(())
}

/// Copies a replacement over its site. Whatever in it is relative to its own address moves with
/// it; the relocations of the replacement's section say exactly which fields those are. Returns
/// how many of them it looked at.
fn replace(placed: &Placed<'_>, image: &mut [u8], entry: &Alternative) -> Result<usize, BadImage> {
    let mut buffer = [NOP; u8::MAX as usize];
    let code = buffer.get_mut(..entry.length).ok_or(SHORT)?;
    let source = slice(image, entry.replacement, entry.replacement_length).ok_or(SHORT)?;
    put(code, 0, source).ok_or(SHORT)?;

    let moved = (entry.replacement as i64).wrapping_sub(entry.site as i64);
    let home = placed.section_at(entry.replacement);
    let tables = placed.elf.relocation_tables();
    let mut work = 1;
    for table in tables.filter(|table| home.is_some_and(|(index, _)| table.target == index)) {
        let first = home.map_or(0, |(_, offset)| offset);
        work += table.len();
        for field in table.iter() {
            let Some(at) = field.offset.checked_sub(first) else {
                continue;
            };
            if at >= entry.replacement_length || field.kind == reloc::NONE {
                continue;
            }
            if !matches!(field.kind, reloc::PC32 | reloc::PLT32) {
                continue;
            }
            let bad = BadImage::PatchTable("alternative cannot be moved to its site");
            let distance = super::bytes::i32_at(code, at).ok_or(bad)?;
            let distance = i32::try_from(i64::from(distance) + moved).map_err(|_| bad)?;
            put(code, at, &distance.to_le_bytes()).ok_or(bad)?;
        }
    }
    put(image, entry.site, code).ok_or(SHORT)?;
    Ok(work)
}
