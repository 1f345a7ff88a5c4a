// SPDX-License-Identifier: GPL-2.0

//! A driver file as the campaign sees it: its instructions, with what is known of each.

use crate::fault_handler::decode::{decode, Insn};
use crate::import_rewriter::elf::{Elf, Place, SymbolKind, SHF_EXECINSTR};
use crate::import_rewriter::layout::{plan, Limits};
use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;

/// Where SIDE maps a driver's image (side_stubs/contract.rs); coverage files have these addresses.
const IMAGE_BASE: u64 = 0x2000_0000;
/// What the kernel appends a signature with.
const SIGNED: &[u8] = b"~Module signature appended~\n";

/// A relocation of a text section.
#[derive(Clone)]
pub struct Target {
    /// The symbol's name.
    pub name: String,
    /// Whether the kernel or another module defines it.
    pub import: bool,
    /// Offset in the file of the relocation's `r_info`.
    pub info: usize,
}

/// One instruction.
pub struct Site {
    /// The function, and the offset in it.
    pub function: String,
    /// Offset in the function.
    pub offset: usize,
    /// Offset in the file.
    pub file: usize,
    /// What it is.
    pub insn: Insn,
    /// What a relocation in it names.
    pub target: Option<Target>,
    /// Whether the unchanged driver executes it under the campaign's load; false if not known.
    pub covered: bool,
}

impl Site {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        usize::from(self.insn.length)
    }
}

/// A driver file.
pub struct Driver {
    /// The bytes, without a signature.
    pub bytes: Vec<u8>,
    /// Its instructions, function by function.
    pub sites: Vec<Site>,
    /// Bytes of data that no relocation writes: offsets in the file, and the section.
    pub data: Vec<(usize, String)>,
    /// Numbers of the symbols that the driver imports.
    pub imports: BTreeMap<String, u32>,
    /// Whether a coverage file was read.
    pub profiled: bool,
}

impl Driver {
    /// Reads a driver file, and the emulator's log of executed blocks if there is one.
    pub fn read(path: &str, coverage: Option<&str>) -> Result<Driver, Box<dyn Error>> {
        let mut bytes = std::fs::read(path)?;
        strip_signature(&mut bytes);
        let covered = match coverage {
            Some(path) => executed(&std::fs::read_to_string(path)?).ok_or("not a coverage file")?,
            None => Vec::new(),
        };
        let found = examine(&bytes, &covered)?;
        let (sites, data, imports) = found;
        Ok(Driver {
            bytes,
            sites,
            data,
            imports,
            profiled: coverage.is_some(),
        })
    }
}

/// The kernel refuses a signature that does not fit the contents, and takes an unsigned module.
fn strip_signature(bytes: &mut Vec<u8>) {
    if !bytes.ends_with(SIGNED) {
        return;
    }
    // struct module_signature: the length of what comes before it, big endian, in its last word.
    let end = bytes.len() - SIGNED.len();
    let length = bytes.get(end.wrapping_sub(4)..end).map_or(0, |word| {
        u32::from_be_bytes([word[0], word[1], word[2], word[3]])
    });
    bytes.truncate(end.saturating_sub(12 + length as usize));
}

/// The ranges of a coverage file: a line `START END` each, hexadecimal, the end not included.
fn executed(text: &str) -> Option<Vec<Range<u64>>> {
    text.lines()
        .map(|line| {
            let (start, end) = line.split_once(' ')?;
            let hex = |word| u64::from_str_radix(word, 16).ok();
            Some(hex(start)?..hex(end)?)
        })
        .collect()
}

type Found = (Vec<Site>, Vec<(usize, String)>, BTreeMap<String, u32>);

fn examine(bytes: &[u8], covered: &[Range<u64>]) -> Result<Found, Box<dyn Error>> {
    let wrong = |error| format!("not a driver: {error}");
    let elf = Elf::parse(bytes).map_err(wrong)?;
    let mut placements = vec![None; elf.section_count()];
    let limits = Limits {
        image: 16 << 20,
        strings: 0,
    };
    plan(&elf, &limits, &mut placements).map_err(wrong)?;
    let start = bytes.as_ptr() as usize;
    let place_of = |data: &[u8]| data.as_ptr() as usize - start;
    let mut imports = BTreeMap::new();
    for symbol in elf.symbols() {
        if symbol.place == Place::Undefined && !symbol.name.is_empty() {
            imports.insert(
                String::from_utf8_lossy(symbol.name).into_owned(),
                symbol.index,
            );
        }
    }
    let (mut sites, mut data) = (Vec::new(), Vec::new());
    for section in elf.sections() {
        let Some(placement) = placements[section.index].filter(|_| !section.data.is_empty()) else {
            continue;
        };
        let relocations = relocations(&elf, section.index, &place_of);
        let name = String::from_utf8_lossy(section.name).into_owned();
        let base = place_of(section.data);
        if section.flags & SHF_EXECINSTR == 0 {
            if matches!(section.name, b".data" | b".rodata") {
                let free = |at: usize| {
                    relocations
                        .range(at.saturating_sub(7)..=at)
                        .next()
                        .is_none()
                };
                let places = (0..section.data.len()).filter(|at| free(*at));
                data.extend(places.map(|at| (base + at, name.clone())));
            }
            continue;
        }
        let mut functions: Vec<_> = elf
            .symbols()
            .filter(|symbol| {
                symbol.place == Place::Section(section.index)
                    && symbol.kind == SymbolKind::Function
                    && !symbol.name.starts_with(b"__pfx_")
            })
            .collect();
        functions.sort_by_key(|symbol| (symbol.value, symbol.index));
        functions.dedup_by_key(|symbol| symbol.value);
        for function in functions {
            let mut at = function.value as usize;
            let first = at;
            let end = at + function.size as usize;
            while at < end {
                let Some(Ok(insn)) = section.data.get(at..end).map(decode) else {
                    break;
                };
                let next = at + usize::from(insn.length);
                let address = IMAGE_BASE + (placement.offset + at) as u64;
                sites.push(Site {
                    function: String::from_utf8_lossy(function.name).into_owned(),
                    offset: at - first,
                    file: base + at,
                    insn,
                    target: relocations.range(at..next).next().map(|(_, t)| t.clone()),
                    covered: covered.iter().any(|range| range.contains(&address)),
                });
                at = next;
            }
        }
    }
    Ok((sites, data, imports))
}

/// The relocations of section `index`, by their offset in it.
fn relocations(
    elf: &Elf<'_>,
    index: usize,
    place_of: &dyn Fn(&[u8]) -> usize,
) -> BTreeMap<usize, Target> {
    const SHT_RELA: u32 = 4;
    let mut found = BTreeMap::new();
    let tables = elf
        .sections()
        .filter(|table| table.kind == SHT_RELA && table.info as usize == index);
    for table in tables {
        for (n, entry) in table.data.chunks_exact(24).enumerate() {
            let word = |at: usize| {
                entry[at..at + 8]
                    .iter()
                    .rev()
                    .fold(0u64, |value, byte| value << 8 | u64::from(*byte))
            };
            let Some(symbol) = elf.symbol((word(8) >> 32) as u32) else {
                continue;
            };
            let target = Target {
                name: String::from_utf8_lossy(symbol.name).into_owned(),
                import: symbol.place == Place::Undefined,
                info: place_of(table.data) + n * 24 + 8,
            };
            found.insert(word(0) as usize, target);
        }
    }
    found
}
