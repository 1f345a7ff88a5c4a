// SPDX-License-Identifier: GPL-2.0

//! A zero-copy reader of relocatable x86-64 objects.
//!
//! [`Elf::parse`] checks the whole file once: every header, section, symbol, string and
//! relocation lies where it says it does. What the iterators hand out afterwards has passed that
//! check, so their users need no second one. Data after the tables, such as the signature that
//! signed modules carry, is ignored.

use super::bytes::{short_c_str, slice, u16_at, u32_at, u64_at};
use super::error::{BadImage, Name, Part};

const EHDR_SIZE: usize = 64;
const SHDR_SIZE: usize = 64;
const SYM_SIZE: usize = 24;
const RELA_SIZE: usize = 24;

/// The longest name of a symbol or section, as in the kernel.
const NAME_MAX: usize = 511;

/// Sections of a file: the largest packaged module has a quarter of that.
pub const MAX_SECTIONS: usize = 1 << 10;
/// Symbols of a file, and those of them that it does not define: four times what the largest packaged module has.
pub const MAX_SYMBOLS: u32 = 1 << 18;
/// See [`MAX_SYMBOLS`].
pub const MAX_IMPORTS: u32 = 1 << 12;

const ET_REL: u16 = 1;
const EM_X86_64: u16 = 62;

/// Section holds bytes of the file.
pub const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const SHT_RELA: u32 = 4;
/// Section occupies memory but no bytes of the file.
pub const SHT_NOBITS: u32 = 8;
const SHT_REL: u32 = 9;

/// Section is writable at run time.
pub const SHF_WRITE: u64 = 1;
/// Section is loaded.
pub const SHF_ALLOC: u64 = 2;
/// Section holds instructions.
pub const SHF_EXECINSTR: u64 = 4;
/// Section is thread-local.
pub const SHF_TLS: u64 = 1 << 10;
/// Section is compressed.
pub const SHF_COMPRESSED: u64 = 1 << 11;

const SHN_UNDEF: u16 = 0;
const SHN_LORESERVE: u16 = 0xff00;
const SHN_ABS: u16 = 0xfff1;
const SHN_COMMON: u16 = 0xfff2;

const STB_WEAK: u8 = 2;

/// Relocation types that a kernel module may use, by their number in the file.
pub mod reloc {
    /// Nothing to do.
    pub const NONE: u32 = 0;
    /// 64 bits, absolute.
    pub const ABS64: u32 = 1;
    /// 32 bits, relative to the field.
    pub const PC32: u32 = 2;
    /// 32 bits, relative to the field, of a call or jump.
    pub const PLT32: u32 = 4;
    /// 32 bits, absolute, zero-extended.
    pub const ABS32: u32 = 10;
    /// 32 bits, absolute, sign-extended.
    pub const ABS32S: u32 = 11;
    /// 64 bits, relative to the field.
    pub const PC64: u32 = 24;
}

/// Bytes that a relocation of type `kind` writes, or `None` for a type that is not supported.
pub fn reloc_width(kind: u32) -> Option<usize> {
    match kind {
        reloc::NONE => Some(0),
        reloc::ABS64 | reloc::PC64 => Some(8),
        reloc::PC32 | reloc::PLT32 | reloc::ABS32 | reloc::ABS32S => Some(4),
        _ => None,
    }
}

/// A section of the file.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    /// Index in the section table.
    pub index: usize,
    /// Name.
    pub name: &'a [u8],
    /// `SHT_*`.
    pub kind: u32,
    /// `SHF_*`.
    pub flags: u64,
    /// Size in memory.
    pub size: usize,
    /// Alignment in memory, a power of two, at least 1.
    pub align: u64,
    /// Contents; empty for `SHT_NOBITS`.
    pub data: &'a [u8],
    /// `sh_link`.
    pub link: u32,
    /// `sh_info`.
    pub info: u32,
}

impl Section<'_> {
    /// Whether the section wants a place in memory.
    pub fn is_alloc(&self) -> bool {
        self.flags & SHF_ALLOC != 0
    }
}

/// Where a symbol lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Another module or the kernel provides it.
    Undefined,
    /// Its value is the address.
    Absolute,
    /// The linker is to place it.
    Common,
    /// Its value is an offset into this section.
    Section(usize),
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// Unspecified; labels in assembly and undefined symbols.
    NoType,
    /// A variable.
    Object,
    /// A function.
    Function,
    /// A section.
    Section,
    /// A source file.
    File,
    /// Anything else.
    Other,
}

/// A symbol of the file.
#[derive(Clone, Copy)]
pub struct Symbol<'a> {
    /// Index in the symbol table.
    pub index: u32,
    /// Name; empty for section symbols.
    pub name: &'a [u8],
    /// What it names.
    pub kind: SymbolKind,
    /// Whether an undefined symbol may stay without a provider.
    pub weak: bool,
    /// Where it lives.
    pub place: Place,
    /// Offset or address.
    pub value: u64,
    /// Size in bytes, 0 if unknown.
    pub size: u64,
}

/// A relocation of a section.
#[derive(Clone, Copy)]
pub struct Relocation {
    /// Offset of the field in the section.
    pub offset: usize,
    /// Symbol index.
    pub symbol: u32,
    /// Type, see [`reloc`].
    pub kind: u32,
    /// Addend.
    pub addend: i64,
}

/// A section that holds the relocations of another one.
#[derive(Clone, Copy)]
pub struct RelocationTable<'a> {
    /// Index of the section that the relocations are applied to.
    pub target: usize,
    data: &'a [u8],
}

impl<'a> RelocationTable<'a> {
    /// The table's entries, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = Relocation> + 'a {
        self.data.chunks_exact(RELA_SIZE).filter_map(relocation)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.data.len() / RELA_SIZE
    }

    /// Whether the table has no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn relocation(entry: &[u8]) -> Option<Relocation> {
    let info = u64_at(entry, 8)?;
    Some(Relocation {
        offset: usize::try_from(u64_at(entry, 0)?).ok()?,
        symbol: u32::try_from(info >> 32).ok()?,
        kind: u32::try_from(info & 0xffff_ffff).ok()?,
        addend: u64_at(entry, 16)? as i64,
    })
}

/// A checked relocatable object, borrowed from the bytes of its file.
#[derive(Clone, Copy)]
pub struct Elf<'a> {
    file: &'a [u8],
    headers: &'a [u8],
    section_names: &'a [u8],
    symbols: &'a [u8],
    symbol_names: &'a [u8],
}

impl<'a> Elf<'a> {
    /// Checks `file` from end to end and returns a reader of it.
    pub fn parse(file: &'a [u8]) -> Result<Elf<'a>, BadImage> {
        let elf = Elf::reopen(file)?;
        for index in 0..elf.section_count() {
            elf.read_section(index)?;
        }
        let too_many = |what, room| Err(BadImage::TooMany { what, room });
        if elf.symbol_count() > MAX_SYMBOLS {
            return too_many("symbols", MAX_SYMBOLS);
        }
        let mut imports = 0;
        for index in 0..elf.symbol_count() {
            imports += u32::from(elf.read_symbol(index)?.place == Place::Undefined);
        }
        // The null symbol is none.
        if imports > MAX_IMPORTS + 1 {
            return too_many("undefined symbols", MAX_IMPORTS);
        }
        // Tables that share their bytes could have each of them checked and applied a thousand times.
        let tables = elf.relocation_tables();
        let entries: u64 = tables.map(|table| table.len() as u64).sum();
        let room = (file.len() / RELA_SIZE) as u64;
        if entries > room {
            return Err(BadImage::RelocationTables { entries, room });
        }
        for index in 0..elf.section_count() {
            elf.check_relocations(elf.read_section(index)?)?;
        }
        Ok(elf)
    }

    /// A reader of a `file` that [`Elf::parse`] has checked before. Takes a look at the sections alone; if the file
    /// was not checked its readers skip what is wrong with it.
    pub fn reopen(file: &'a [u8]) -> Result<Elf<'a>, BadImage> {
        let headers = section_headers(file)?;
        let mut elf = Elf {
            file,
            headers,
            section_names: &[],
            symbols: &[],
            symbol_names: &[],
        };

        let names = u16_at(file, 62).ok_or(BadImage::OutOfBounds(Part::Header, 0))?;
        elf.section_names = elf.string_table(u32::from(names))?;
        elf.find_symbols()?;
        Ok(elf)
    }

    /// Number of entries of the section table.
    pub fn section_count(&self) -> usize {
        self.headers.len() / SHDR_SIZE
    }

    /// Number of entries of the symbol table.
    pub fn symbol_count(&self) -> u32 {
        u32::try_from(self.symbols.len() / SYM_SIZE).unwrap_or(u32::MAX)
    }

    /// The section at `index`.
    pub fn section(&self, index: usize) -> Option<Section<'a>> {
        self.read_section(index).ok()
    }

    /// All sections, the null section at index 0 included.
    pub fn sections(&self) -> impl Iterator<Item = Section<'a>> + 'a {
        let elf = *self;
        (0..elf.section_count()).filter_map(move |index| elf.section(index))
    }

    /// The first section called `name`.
    pub fn section_named(&self, name: &[u8]) -> Option<Section<'a>> {
        self.sections().find(|section| section.name == name)
    }

    /// The symbol at `index`.
    pub fn symbol(&self, index: u32) -> Option<Symbol<'a>> {
        self.read_symbol(index).ok()
    }

    /// All symbols, the null symbol at index 0 included.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> + 'a {
        let elf = *self;
        (0..elf.symbol_count()).filter_map(move |index| elf.symbol(index))
    }

    /// All relocation tables of the file.
    pub fn relocation_tables(&self) -> impl Iterator<Item = RelocationTable<'a>> + 'a {
        self.sections().filter_map(|section| {
            (section.kind == SHT_RELA).then_some(RelocationTable {
                target: section.info as usize,
                data: section.data,
            })
        })
    }

    /// The relocation of the field at `offset` of section `target`.
    pub fn relocation_at(&self, target: usize, offset: usize) -> Option<Relocation> {
        self.relocation_tables()
            .filter(|table| table.target == target)
            .find_map(|table| table.iter().find(|entry| entry.offset == offset))
    }

    fn find_symbols(&mut self) -> Result<(), BadImage> {
        let elf = *self;
        let mut tables = elf.sections().filter(|section| section.kind == SHT_SYMTAB);
        let table = tables.next().ok_or(BadImage::Missing("symbol table"))?;
        let index = table.index as u32;
        if tables.next().is_some() {
            return Err(BadImage::Malformed(
                Part::Section,
                index,
                "second symbol table",
            ));
        }
        if table.data.len() % SYM_SIZE != 0 {
            return Err(BadImage::Malformed(
                Part::Section,
                index,
                "odd size of symbol table",
            ));
        }
        self.symbol_names = self.string_table(table.link)?;
        self.symbols = table.data;
        Ok(())
    }

    /// Returns the string table at section `index`; it ends in a NUL.
    fn string_table(&self, index: u32) -> Result<&'a [u8], BadImage> {
        let header = self.header(index as usize)?;
        let data = self.contents(index as usize, header)?;
        if u32_at(header, 4) != Some(SHT_STRTAB) {
            return Err(BadImage::Malformed(
                Part::Section,
                index,
                "not a string table",
            ));
        }
        match data.last() {
            Some(0) => Ok(data),
            _ => Err(BadImage::Malformed(
                Part::Section,
                index,
                "string table has no end",
            )),
        }
    }

    fn header(&self, index: usize) -> Result<&'a [u8], BadImage> {
        let bad = BadImage::OutOfBounds(Part::Section, index as u32);
        slice(
            self.headers,
            index.checked_mul(SHDR_SIZE).ok_or(bad)?,
            SHDR_SIZE,
        )
        .ok_or(bad)
    }

    fn contents(&self, index: usize, header: &'a [u8]) -> Result<&'a [u8], BadImage> {
        let read = || {
            if u32_at(header, 4)? == SHT_NOBITS {
                return Some(&[][..]);
            }
            let offset = usize::try_from(u64_at(header, 24)?).ok()?;
            let size = usize::try_from(u64_at(header, 32)?).ok()?;
            slice(self.file, offset, size)
        };
        read().ok_or(BadImage::OutOfBounds(Part::Section, index as u32))
    }

    fn read_section(&self, index: usize) -> Result<Section<'a>, BadImage> {
        let header = self.header(index)?;
        let number = index as u32;
        let bad = BadImage::OutOfBounds(Part::Section, number);
        if index == 0 {
            // The null section: its other fields extend the header's own and mean no section.
            let empty = Section {
                index,
                name: &[],
                kind: 0,
                flags: 0,
                size: 0,
                align: 1,
                data: &[],
                link: 0,
                info: 0,
            };
            return Ok(empty);
        }
        let name = u32_at(header, 0)
            .and_then(|offset| short_c_str(self.section_names, offset as usize, NAME_MAX))
            .ok_or(BadImage::OutOfBounds(Part::SectionName, number))?;
        let align = u64_at(header, 48).ok_or(bad)?.max(1);
        if !align.is_power_of_two() {
            return Err(BadImage::Malformed(
                Part::Section,
                number,
                "alignment is not a power of two",
            ));
        }
        Ok(Section {
            index,
            name,
            kind: u32_at(header, 4).ok_or(bad)?,
            flags: u64_at(header, 8).ok_or(bad)?,
            size: u64_at(header, 32)
                .and_then(|size| usize::try_from(size).ok())
                .ok_or(bad)?,
            align,
            data: self.contents(index, header)?,
            link: u32_at(header, 40).ok_or(bad)?,
            info: u32_at(header, 44).ok_or(bad)?,
        })
    }

    fn read_symbol(&self, index: u32) -> Result<Symbol<'a>, BadImage> {
        let bad = BadImage::OutOfBounds(Part::Symbol, index);
        let offset = (index as usize).checked_mul(SYM_SIZE).ok_or(bad)?;
        let entry = slice(self.symbols, offset, SYM_SIZE).ok_or(bad)?;
        let name = u32_at(entry, 0)
            .and_then(|offset| short_c_str(self.symbol_names, offset as usize, NAME_MAX))
            .ok_or(BadImage::OutOfBounds(Part::SymbolName, index))?;
        let info = *entry.get(4).ok_or(bad)?;
        let value = u64_at(entry, 8).ok_or(bad)?;
        let place = self.read_place(index, entry, value)?;
        let kind = match info & 0xf {
            0 => SymbolKind::NoType,
            1 => SymbolKind::Object,
            2 => SymbolKind::Function,
            3 => SymbolKind::Section,
            4 => SymbolKind::File,
            _ => SymbolKind::Other,
        };
        let size = u64_at(entry, 16).ok_or(bad)?;
        Ok(Symbol {
            index,
            name,
            kind,
            weak: info >> 4 == STB_WEAK,
            place,
            value,
            size,
        })
    }

    /// Where the symbol `index` lives, and its value: what a relocation asks for, without a look at names.
    pub fn place(&self, index: u32) -> Option<(Place, u64)> {
        let entry = slice(
            self.symbols,
            (index as usize).checked_mul(SYM_SIZE)?,
            SYM_SIZE,
        )?;
        let value = u64_at(entry, 8)?;
        Some((self.read_place(index, entry, value).ok()?, value))
    }

    fn read_place(&self, index: u32, entry: &[u8], value: u64) -> Result<Place, BadImage> {
        let bad = BadImage::OutOfBounds(Part::Symbol, index);
        Ok(match u16_at(entry, 6).ok_or(bad)? {
            SHN_UNDEF => Place::Undefined,
            SHN_ABS => Place::Absolute,
            SHN_COMMON => Place::Common,
            SHN_LORESERVE.. => {
                return Err(BadImage::Malformed(
                    Part::Symbol,
                    index,
                    "reserved section index",
                ))
            }
            section => {
                let header = self.header(usize::from(section)).map_err(|_| bad)?;
                if value > u64_at(header, 32).ok_or(bad)? {
                    return Err(bad);
                }
                Place::Section(usize::from(section))
            }
        })
    }

    fn check_relocations(&self, table: Section<'a>) -> Result<(), BadImage> {
        let number = table.index as u32;
        let target = match table.kind {
            SHT_RELA | SHT_REL => self
                .section(table.info as usize)
                .ok_or(BadImage::OutOfBounds(Part::Section, number))?,
            _ => return Ok(()),
        };
        if table.kind == SHT_REL && target.is_alloc() {
            let what = "relocations without addends";
            return Err(BadImage::Malformed(Part::Section, number, what));
        }
        if table.kind == SHT_REL {
            return Ok(());
        }
        if table.data.len() % RELA_SIZE != 0 {
            let what = "odd size of relocation table";
            return Err(BadImage::Malformed(Part::Section, number, what));
        }
        let linked = self.section(table.link as usize);
        if linked.is_none_or(|linked| linked.kind != SHT_SYMTAB) {
            let what = "relocations use no symbol table";
            return Err(BadImage::Malformed(Part::Section, number, what));
        }
        for (index, entry) in table.data.chunks_exact(RELA_SIZE).enumerate() {
            let bad = BadImage::OutOfBounds(Part::Relocation, index as u32);
            let entry = relocation(entry).ok_or(bad)?;
            if entry.symbol >= self.symbol_count() {
                return Err(bad);
            }
            let width = match reloc_width(entry.kind) {
                Some(width) => width,
                None if target.is_alloc() => {
                    let section = Name::new(target.name);
                    return Err(BadImage::RelocationType {
                        section,
                        kind: entry.kind,
                    });
                }
                // Debug sections use further types; they are never applied.
                None => 1,
            };
            if entry
                .offset
                .checked_add(width)
                .is_none_or(|end| end > target.size)
            {
                return Err(bad);
            }
        }
        Ok(())
    }
}

/// Checks the ELF header and returns the bytes of the section header table.
fn section_headers(file: &[u8]) -> Result<&[u8], BadImage> {
    let short = BadImage::OutOfBounds(Part::Header, 0);
    let header = file.get(..EHDR_SIZE);
    if file.get(..4) != Some(&[0x7f, b'E', b'L', b'F']) {
        return Err(BadImage::NotElf);
    }
    let header = header.ok_or(short)?;
    let wrong = |what| Err(BadImage::WrongKind(what));
    if header.get(4) != Some(&2) {
        return wrong("not 64-bit");
    }
    if header.get(5) != Some(&1) {
        return wrong("not little-endian");
    }
    if header.get(6) != Some(&1) || u32_at(header, 20) != Some(1) {
        return wrong("unknown ELF version");
    }
    if u16_at(header, 18) != Some(EM_X86_64) {
        return wrong("built for another architecture");
    }
    if u16_at(header, 16) != Some(ET_REL) {
        return wrong("not a relocatable object");
    }
    let table = BadImage::OutOfBounds(Part::SectionTable, 0);
    if u16_at(header, 58) != Some(SHDR_SIZE as u16) {
        return Err(BadImage::Malformed(
            Part::SectionTable,
            0,
            "wrong entry size",
        ));
    }
    let offset = u64_at(header, 40).and_then(|offset| usize::try_from(offset).ok());
    let count = u16_at(header, 60).ok_or(short)?;
    if count == 0 || count >= SHN_LORESERVE {
        return Err(BadImage::Malformed(
            Part::SectionTable,
            0,
            "wrong number of sections",
        ));
    }
    if usize::from(count) > MAX_SECTIONS {
        return Err(BadImage::TooManySections {
            have: u32::from(count),
            room: MAX_SECTIONS as u32,
        });
    }
    slice(file, offset.ok_or(table)?, usize::from(count) * SHDR_SIZE).ok_or(table)
}
