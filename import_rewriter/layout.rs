// SPDX-License-Identifier: GPL-2.0

//! Gives each section that run time needs its place in the image.
//!
//! The image is three runs of whole pages, in this order: code (read, execute), constants
//! (read), data (read, write). A page belongs to one of them only, and no section may ask to be
//! writable and executable. `.init.*` sections stay for the life of the domain: a recovered
//! driver runs its init code again.
//!
//! The tables that only the kernel's own loader, tracer or unwinder reads are left out, unless
//! something that stays points into one.

use super::bytes::align_up;
use super::elf::{
    reloc, Elf, Place, Section, SymbolKind, SHF_COMPRESSED, SHF_EXECINSTR, SHF_TLS, SHF_WRITE,
};
use super::error::{BadImage, Name, Part};
use core::ops::Range;

/// The granule of permissions.
pub const PAGE: usize = 4096;

/// Exclusive upper bound of every address of an image: a module's code holds absolute addresses
/// in sign-extended 32-bit fields.
pub const ADDRESS_LIMIT: u64 = 1 << 31;

/// How many times in a row left-out tables may refer to further left-out tables.
const MAX_CHAIN: usize = 4;

/// The permissions that a section is mapped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Read and execute.
    Text,
    /// Read.
    RoData,
    /// Read and write.
    Data,
}

/// Where a section lies in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The group that it belongs to.
    pub group: Group,
    /// Offset from the image's start.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

impl Placement {
    /// The section's bytes within the image.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.size
    }
}

/// What the caller is willing to load.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest image, in bytes.
    pub image: usize,
    /// Bytes to reserve, at the end of the data, for string parameters.
    pub strings: usize,
}

/// The image's shape; ranges are offsets from its start, whole pages, and may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Pages to be mapped read and execute.
    pub text: Range<usize>,
    /// Pages to be mapped read-only.
    pub rodata: Range<usize>,
    /// Pages to be mapped read and write.
    pub data: Range<usize>,
    /// The bytes, within `data`, that string parameters are stored in.
    pub strings: Range<usize>,
}

impl Layout {
    /// Size of the image: a whole number of pages.
    pub fn size(&self) -> usize {
        self.data.end
    }

    /// The permissions of the page that holds `offset`.
    pub fn group(&self, offset: usize) -> Option<Group> {
        [
            (&self.text, Group::Text),
            (&self.rodata, Group::RoData),
            (&self.data, Group::Data),
        ]
        .into_iter()
        .find_map(|(range, group)| range.contains(&offset).then_some(group))
    }
}

/// Sections that are loaded in the kernel for the sake of the kernel alone.
const LEFT_OUT: [&[u8]; 27] = [
    b".orc_header",
    b".orc_unwind",
    b".orc_unwind_ip",
    b".BTF",
    b".BTF.base",
    b".BTF_ids",
    b".modinfo",
    b"__versions",
    b"__mcount_loc",
    b"__patchable_function_entries",
    b".retpoline_sites",
    b".return_sites",
    b".call_sites",
    b".cfi_sites",
    b".ibt_endbr_seal",
    b".static_call_sites",
    b".smp_locks",
    b".parainstructions",
    b"__jump_table",
    b"__ksymtab",
    b"__ksymtab_gpl",
    b"__ksymtab_strings",
    b"__kflagstab",
    b"__kcrctab",
    b"__tracepoints_ptrs",
    b"__bpf_raw_tp_map",
    b"_ftrace_events",
];

fn may_leave_out(section: &Section<'_>) -> bool {
    LEFT_OUT.contains(&section.name) || section.name.starts_with(b".note")
}

/// Decides the permissions of a section, or refuses it.
fn group_of(section: &Section<'_>) -> Result<Group, BadImage> {
    let name = Name::new(section.name);
    if section.flags & SHF_TLS != 0 {
        return Err(BadImage::UnsupportedSection(
            name,
            "thread-local data is not supported",
        ));
    }
    if section.flags & SHF_COMPRESSED != 0 {
        return Err(BadImage::UnsupportedSection(
            name,
            "a loaded section is compressed",
        ));
    }
    if section.name == b".data..percpu" && section.size != 0 {
        return Err(BadImage::UnsupportedSection(
            name,
            "per-CPU data is not supported",
        ));
    }
    let write = section.flags & SHF_WRITE != 0;
    if section.flags & SHF_EXECINSTR != 0 {
        return if write {
            Err(BadImage::WritableCode(name))
        } else {
            Ok(Group::Text)
        };
    }
    // The kernel marks WARN_ONCE entries in its bug table, and so asks for a writable section.
    // Here the fault handler alone keeps such marks, and the driver has no business in the table.
    match section.name {
        b"__bug_table" | b"__ex_table" => Ok(Group::RoData),
        _ if write => Ok(Group::Data),
        _ => Ok(Group::RoData),
    }
}

/// Plans the image of `elf`: fills `placements`, one slot a section, and returns the shape.
///
/// `placements` must have at least as many slots as the file has sections.
pub fn plan(
    elf: &Elf<'_>,
    limits: &Limits,
    placements: &mut [Option<Placement>],
) -> Result<Layout, BadImage> {
    let room = placements.len();
    if elf.section_count() > room {
        let have = elf.section_count() as u32;
        return Err(BadImage::TooManySections {
            have,
            room: room as u32,
        });
    }
    refuse_common_symbols(elf)?;
    placements.fill(None);
    choose(elf, placements)?;

    let text = place_group(elf, Group::Text, 0, limits, placements)?;
    let text_end = page_end(text, limits)?;
    let rodata = place_group(elf, Group::RoData, text_end, limits, placements)?;
    let rodata_end = page_end(rodata, limits)?;
    let strings = place_group(elf, Group::Data, rodata_end, limits, placements)?;
    let strings_end = advance(strings, limits.strings, limits)?;
    let data_end = page_end(strings_end, limits)?;
    Ok(Layout {
        text: 0..text_end,
        rodata: text_end..rodata_end,
        data: rodata_end..data_end,
        strings: strings..strings_end,
    })
}

fn refuse_common_symbols(elf: &Elf<'_>) -> Result<(), BadImage> {
    match elf.symbols().find(|symbol| symbol.place == Place::Common) {
        Some(symbol) => Err(BadImage::CommonSymbol(Name::new(symbol.name))),
        None => Ok(()),
    }
}

/// Marks the sections to be loaded with their group and size; their offset is still 0.
fn choose(elf: &Elf<'_>, placements: &mut [Option<Placement>]) -> Result<(), BadImage> {
    for section in elf.sections().filter(|section| section.is_alloc()) {
        let group = group_of(&section)?;
        if !may_leave_out(&section) {
            choose_one(&section, group, placements);
        }
    }
    // A table that was left out although loaded code or data points into it comes back in. It
    // may itself point into another one, hence the repetition.
    for _ in 0..MAX_CHAIN {
        if !bring_back(elf, placements)? {
            return Ok(());
        }
    }
    Err(BadImage::PatchTable(
        "too long a chain of tables that are not loaded",
    ))
}

/// Chooses the sections that chosen ones refer to; says whether there were any.
fn bring_back(elf: &Elf<'_>, placements: &mut [Option<Placement>]) -> Result<bool, BadImage> {
    let chosen = |placements: &[Option<Placement>], index: usize| {
        placements.get(index).is_some_and(|slot| slot.is_some())
    };
    let mut added = false;
    for table in elf.relocation_tables() {
        if !chosen(placements, table.target) {
            continue;
        }
        for entry in table.iter().filter(|entry| entry.kind != reloc::NONE) {
            let Some((Place::Section(index), _)) = elf.place(entry.symbol) else {
                continue;
            };
            if chosen(placements, index) {
                continue;
            }
            let Some(section) = elf.section(index) else {
                continue;
            };
            if !section.is_alloc() {
                return Err(BadImage::NotLoaded(Name::new(section.name)));
            }
            choose_one(&section, group_of(&section)?, placements);
            added = true;
        }
    }
    Ok(added)
}

fn choose_one(section: &Section<'_>, group: Group, placements: &mut [Option<Placement>]) {
    if let Some(slot) = placements.get_mut(section.index) {
        *slot = Some(Placement {
            group,
            offset: 0,
            size: section.size,
        });
    }
}

/// Places the sections of one group from `start` on and returns where they end.
fn place_group(
    elf: &Elf<'_>,
    group: Group,
    start: usize,
    limits: &Limits,
    placements: &mut [Option<Placement>],
) -> Result<usize, BadImage> {
    let mut end = start;
    for (section, slot) in elf.sections().zip(placements.iter_mut()) {
        let Some(placement) = slot.as_mut().filter(|placement| placement.group == group) else {
            continue;
        };
        let align = usize::try_from(section.align)
            .ok()
            .filter(|&align| align <= PAGE);
        let Some(align) = align else {
            let name = Name::new(section.name);
            return Err(BadImage::Alignment {
                section: name,
                align: section.align,
            });
        };
        placement.offset = align_up(end, align).ok_or(too_large(limits))?;
        end = advance(placement.offset, placement.size, limits)?;
    }
    Ok(end)
}

fn too_large(limits: &Limits) -> BadImage {
    BadImage::TooLarge {
        limit: limits.image as u64,
    }
}

fn advance(offset: usize, by: usize, limits: &Limits) -> Result<usize, BadImage> {
    offset
        .checked_add(by)
        .filter(|&end| end <= limits.image)
        .ok_or(too_large(limits))
}

fn page_end(end: usize, limits: &Limits) -> Result<usize, BadImage> {
    align_up(end, PAGE)
        .filter(|&end| end <= limits.image)
        .ok_or(too_large(limits))
}

/// A planned module together with the address that its image has in the domain.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    /// The file.
    pub elf: Elf<'a>,
    /// Where its sections lie, from [`plan`].
    pub placements: &'a [Option<Placement>],
    /// Domain address of the image's first byte.
    pub base: u64,
}

impl<'a> Placed<'a> {
    /// Joins a plan with a base address; the image must be page-aligned and end below 2 GiB.
    pub fn new(
        elf: Elf<'a>,
        placements: &'a [Option<Placement>],
        layout: &Layout,
        base: u64,
    ) -> Result<Placed<'a>, BadImage> {
        if base % PAGE as u64 != 0 {
            return Err(BadImage::WrongImage("base address is not page-aligned"));
        }
        match base.checked_add(layout.size() as u64) {
            Some(end) if end <= ADDRESS_LIMIT => Ok(Placed {
                elf,
                placements,
                base,
            }),
            _ => Err(BadImage::WrongImage("image does not end below 2 GiB")),
        }
    }

    /// Where section `index` lies, if it is loaded.
    pub fn placement(&self, index: usize) -> Option<Placement> {
        self.placements.get(index).copied().flatten()
    }

    /// Where the section called `name` lies, if it is loaded.
    pub fn placement_named(&self, name: &[u8]) -> Option<Placement> {
        self.placement(self.elf.section_named(name)?.index)
    }

    /// Domain address of an offset of the image.
    pub fn address(&self, offset: usize) -> u64 {
        self.base.wrapping_add(offset as u64)
    }

    /// Offset in the image of a domain address. The caller bounds it by the image it reads.
    pub fn offset(&self, address: u64) -> Option<usize> {
        usize::try_from(address.checked_sub(self.base)?).ok()
    }

    /// Domain address of a symbol that the module itself defines.
    pub fn symbol_address(&self, index: u32) -> Option<u64> {
        let (Place::Section(section), value) = self.elf.place(index)? else {
            return None;
        };
        let offset = self.placement(section)?.offset;
        Some(self.address(offset).wrapping_add(value))
    }

    /// Domain address of the function or variable called `name` that the module defines.
    pub fn address_of(&self, name: &[u8]) -> Option<u64> {
        let found = self.elf.symbols().find(|symbol| {
            symbol.name == name
                && symbol.kind != SymbolKind::File
                && matches!(symbol.place, Place::Section(_))
        })?;
        self.symbol_address(found.index)
    }

    /// The loaded section that holds the image's byte at `offset`, and the offset within it.
    pub fn section_at(&self, offset: usize) -> Option<(usize, usize)> {
        self.placements
            .iter()
            .enumerate()
            .find_map(|(index, slot)| {
                let range = slot.as_ref()?.range();
                range
                    .contains(&offset)
                    .then(|| (index, offset - range.start))
            })
    }

    pub(super) fn section_name(&self, index: usize) -> Name {
        Name::new(
            self.elf
                .section(index)
                .map_or(&b"?"[..], |section| section.name),
        )
    }

    pub(super) fn symbol_name(&self, index: u32) -> Name {
        match self.elf.symbol(index) {
            Some(symbol) if symbol.kind == SymbolKind::Section => match symbol.place {
                Place::Section(section) => self.section_name(section),
                _ => Name::new(b"?"),
            },
            Some(symbol) => Name::new(symbol.name),
            None => Name::new(b"?"),
        }
    }
}

/// The error for a file whose symbol table does not hold the symbol that a relocation names.
pub(super) fn no_symbol(index: u32) -> BadImage {
    BadImage::OutOfBounds(Part::Symbol, index)
}
