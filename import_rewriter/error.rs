// SPDX-License-Identifier: GPL-2.0

//! The one error of the import rewriter: the file is not a module that can be loaded.
//!
//! Each kind prints as one line that names what is wrong and where, so that the load can be
//! refused with that line in the log and the errno of [`BadImage::errno`].

use core::fmt;

/// The longest name that an error quotes; the rest is cut off.
const NAME_MAX: usize = 55;

/// A short copy of a name out of the file, safe to print: bytes that are not printable ASCII
/// show as escapes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; NAME_MAX],
    len: u8,
}

impl Name {
    /// Copies the start of `name`.
    pub fn new(name: &[u8]) -> Name {
        let mut bytes = [0; NAME_MAX];
        let mut len = 0;
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
            len += 1;
        }
        Name { bytes, len }
    }

    /// The bytes kept of the name.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_bytes().escape_ascii(), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Which part of the file an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The ELF header.
    Header,
    /// The table of section headers.
    SectionTable,
    /// A section's name.
    SectionName,
    /// A section's contents.
    Section,
    /// A symbol.
    Symbol,
    /// A symbol's name.
    SymbolName,
    /// A relocation.
    Relocation,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Header => "ELF header",
            Part::SectionTable => "section header table",
            Part::SectionName => "name of section",
            Part::Section => "section",
            Part::Symbol => "symbol",
            Part::SymbolName => "name of symbol",
            Part::Relocation => "relocation",
        })
    }
}

/// Why a file cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadImage {
    /// The file does not start with the ELF magic.
    NotElf,
    /// The file is ELF, but not a 64-bit little-endian x86-64 relocatable object; the word says
    /// which property differs.
    WrongKind(&'static str),
    /// A part, with its index, lies outside the file or the part that it belongs to.
    OutOfBounds(Part, u32),
    /// A part, with its index, has a value that makes no sense; the words say which.
    Malformed(Part, u32, &'static str),
    /// Something that every kernel module has is missing.
    Missing(&'static str),
    /// More sections than the loader has room for.
    TooManySections {
        /// Sections in the file.
        have: u32,
        /// Sections that there is room for.
        room: u32,
    },
    /// More of something than any packaged module has, so that no work here grows without bound.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        room: u32,
    },
    /// More relocations than the file has room for: its tables share their bytes.
    RelocationTables {
        /// Entries of all tables together.
        entries: u64,
        /// How many the file has room for.
        room: u64,
    },
    /// The loaded image would exceed the limit, both in bytes.
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A section asks to be writable and executable.
    WritableCode(Name),
    /// A section asks for an alignment that the loader does not give.
    Alignment {
        /// The section.
        section: Name,
        /// The alignment it asks for.
        align: u64,
    },
    /// Thread-local, compressed or otherwise unsupported section that would be loaded.
    UnsupportedSection(Name, &'static str),
    /// A symbol that the compiler left for the linker to place (`-fcommon`).
    CommonSymbol(Name),
    /// A symbol that nobody provides.
    Unresolved(Name),
    /// A relocation type that a kernel module does not use.
    RelocationType {
        /// The section that the relocation applies to.
        section: Name,
        /// The type's number.
        kind: u32,
    },
    /// A resolved value does not fit its field.
    Overflow {
        /// The section that holds the field.
        section: Name,
        /// The field's offset in it.
        offset: u32,
        /// The symbol that the field refers to.
        symbol: Name,
    },
    /// A relocation needs a section that is not loaded.
    NotLoaded(Name),
    /// A table that the patcher walks is inconsistent; the words say how.
    PatchTable(&'static str),
    /// Built for another kernel.
    Vermagic {
        /// What the module was built for.
        module: Name,
        /// What runs.
        running: Name,
    },
    /// The caller's image slice or base address does not fit the layout.
    WrongImage(&'static str),
}

impl BadImage {
    /// The error number that a load refused for this reason returns, negative as in the kernel.
    pub fn errno(&self) -> i32 {
        const ENOENT: i32 = -2;
        const ENOEXEC: i32 = -8;
        const EINVAL: i32 = -22;
        const EFBIG: i32 = -27;
        match self {
            BadImage::Unresolved(_) => ENOENT,
            BadImage::TooLarge { .. }
            | BadImage::TooManySections { .. }
            | BadImage::RelocationTables { .. }
            | BadImage::TooMany { .. } => EFBIG,
            BadImage::WrongImage(_) => EINVAL,
            _ => ENOEXEC,
        }
    }
}

impl fmt::Display for BadImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadImage::NotElf => f.write_str("not an ELF file"),
            BadImage::WrongKind(what) => write!(f, "not an x86-64 kernel module: {what}"),
            BadImage::OutOfBounds(Part::Header, _) => f.write_str("file too short for ELF"),
            BadImage::OutOfBounds(Part::SectionTable, _) => {
                f.write_str("section header table lies outside the file (truncated?)")
            }
            BadImage::OutOfBounds(part, index) => {
                write!(
                    f,
                    "{part} {index} is out of bounds (truncated or damaged file?)"
                )
            }
            BadImage::Malformed(part, index, what) => write!(f, "{part} {index}: {what}"),
            BadImage::Missing(what) => write!(f, "no {what}: not a kernel module"),
            BadImage::TooManySections { have, room } => {
                write!(f, "{have} sections, at most {room} are supported")
            }
            BadImage::TooMany { what, room } => {
                write!(f, "more than {room} {what}")
            }
            BadImage::RelocationTables { entries, room } => {
                write!(
                    f,
                    "{entries} relocations in a file that has room for {room}"
                )
            }
            BadImage::TooLarge { limit } => {
                write!(f, "loaded image would exceed the limit of {limit} bytes")
            }
            BadImage::WritableCode(name) => {
                write!(f, "section {name} is both writable and executable")
            }
            BadImage::Alignment { section, align } => {
                write!(f, "section {section} wants an alignment of {align} bytes")
            }
            BadImage::UnsupportedSection(name, what) => write!(f, "section {name}: {what}"),
            BadImage::CommonSymbol(name) => {
                write!(f, "common symbol {name}: build the module with -fno-common")
            }
            BadImage::Unresolved(name) => write!(f, "unknown symbol {name}"),
            BadImage::RelocationType { section, kind } => {
                write!(
                    f,
                    "relocation type {kind} in section {section} is not supported"
                )
            }
            BadImage::Overflow {
                section,
                offset,
                symbol,
            } => write!(
                f,
                "relocation at {section}+{offset:#x} overflows: {symbol} is too far away"
            ),
            BadImage::NotLoaded(name) => {
                write!(
                    f,
                    "loaded code refers to section {name}, which is not loaded"
                )
            }
            BadImage::PatchTable(what) => write!(f, "patch table: {what}"),
            BadImage::Vermagic { module, running } => {
                write!(f, "version magic '{module}' should be '{running}'")
            }
            BadImage::WrongImage(what) => write!(f, "image memory does not fit: {what}"),
        }
    }
}
