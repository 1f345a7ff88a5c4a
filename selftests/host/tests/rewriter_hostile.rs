// SPDX-License-Identifier: GPL-2.0

//! The import rewriter over damaged files: whatever is cut off or flipped, the answer is an image
//! or one error, without a panic. Reads and writes outside the file or the image cannot be missed:
//! they would panic.

mod support;

use support::import_rewriter::elf::{Elf, MAX_IMPORTS, MAX_SECTIONS, MAX_SYMBOLS};
use support::import_rewriter::error::Part;
use support::import_rewriter::BadImage;
use support::pipeline::{load, Loaded};
use support::{driver, e1000e, headers_first, number, section_table};

const BASE: u64 = 0x4000_0000;
const LINE: &[u8] = b"copybreak=128 IntMode=1,2 full_duplex=1 debug=3";

fn try_load(file: &[u8]) -> Result<Loaded, BadImage> {
    let result = load(file, BASE, LINE);
    if let Err(error) = &result {
        let line = error.to_string();
        assert!(
            !line.is_empty() && !line.contains('\n') && line.len() < 200,
            "{line:?}"
        );
        assert!(error.errno() < 0);
    }
    result
}

/// A small driver, for what is repeated very often.
fn small() -> Vec<u8> {
    driver("ethernet/8390/ne2k-pci")
}

#[test]
fn every_truncation_of_the_file() {
    let file = e1000e();
    let (offset, count) = section_table(&file);
    let end = offset + count * 64;
    for len in 0..end {
        let error = try_load(&file[..len]).map(|_| ()).unwrap_err();
        match error {
            BadImage::NotElf => assert!(len < 4),
            BadImage::OutOfBounds(Part::Header, _) => assert!(len < 64),
            BadImage::OutOfBounds(Part::SectionTable, _) => assert!(len >= 64),
            other => panic!("{len}: {other}"),
        }
    }
    // What follows the tables is a signature, which is ignored.
    assert!(end < file.len());
    for len in end..file.len() {
        assert!(Elf::parse(&file[..len]).is_ok());
    }
}

#[test]
fn every_truncation_of_the_other_tables() {
    let file = headers_first(&e1000e());
    assert!(try_load(&file).is_ok());
    let (_, count) = section_table(&file);
    let end = (1..count)
        .filter(|entry| number(&file, 64 + entry * 64 + 4, 4) != 8)
        .map(|entry| {
            number(&file, 64 + entry * 64 + 24, 8) + number(&file, 64 + entry * 64 + 32, 8)
        })
        .max()
        .unwrap() as usize;
    for len in 0..end {
        let error = try_load(&file[..len]).map(|_| ()).unwrap_err();
        let expected = matches!(error, BadImage::OutOfBounds(..) | BadImage::NotElf);
        assert!(expected, "{len}: {error}");
    }
    for len in end..file.len() {
        assert!(Elf::parse(&file[..len]).is_ok());
    }
}

/// Each table of the file ends early by its own header's word.
#[test]
fn every_shorter_section() {
    let file = small();
    let (offset, count) = section_table(&file);
    for entry in 1..count {
        let field = offset + entry * 64 + 32;
        let size = number(&file, field, 8);
        let mut cut = file.clone();
        for shorter in 0..size {
            cut[field..field + 8].copy_from_slice(&shorter.to_le_bytes());
            let _ = try_load(&cut);
        }
    }
}

/// Goes through every bit of the headers of `file`.
fn flip_headers(mut file: Vec<u8>, mut attempt: impl FnMut(usize, &[u8])) {
    let (offset, count) = section_table(&file);
    for at in (0..64).chain(offset..offset + count * 64) {
        for bit in 0..8 {
            file[at] ^= 1 << bit;
            attempt(at, &file);
            file[at] ^= 1 << bit;
        }
    }
}

#[test]
fn every_bit_of_the_headers() {
    flip_headers(small(), |_, file| drop(try_load(file)));
}

/// The large driver takes longer: each flip is parsed, and what one in 61 bytes gives is loaded.
#[test]
fn every_bit_of_the_headers_of_e1000e() {
    flip_headers(e1000e(), |at, file| {
        let _ = Elf::parse(file).is_ok();
        if at % 61 == 0 {
            let _ = try_load(file);
        }
    });
}

/// One bit of every byte of the symbols, strings, relocations and all other contents. The bit
/// wanders, so that each field of a table meets each of its bits in one entry or another.
#[test]
fn a_bit_of_every_byte() {
    let file = small();
    let (offset, _) = section_table(&file);
    let mut flipped = file.clone();
    for at in 64..offset {
        let bit = 1 << ((at + at / 8) % 8);
        flipped[at] ^= bit;
        let _ = try_load(&flipped);
        flipped[at] ^= bit;
    }
}

#[test]
fn extreme_values_in_every_header_field() {
    let file = small();
    let (offset, count) = section_table(&file);
    let extremes = [
        0,
        1,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 63,
        u64::MAX - 63,
        u64::MAX,
    ];
    let mut changed = file.clone();
    for at in (16..64)
        .step_by(2)
        .chain((offset..offset + count * 64).step_by(4))
    {
        let kept: [u8; 8] = changed[at..at + 8].try_into().unwrap();
        for value in extremes {
            changed[at..at + 8].copy_from_slice(&value.to_le_bytes());
            let _ = try_load(&changed);
            changed[at..at + 8].copy_from_slice(&kept);
        }
    }
}

/// The entry of the section header table that has `name`, as an offset in the file.
fn header_of(file: &[u8], name: &str) -> usize {
    let index = Elf::parse(file)
        .unwrap()
        .section_named(name.as_bytes())
        .unwrap()
        .index;
    section_table(file).0 + index * 64
}

fn with_u64(file: &[u8], at: usize, value: u64) -> Vec<u8> {
    let mut changed = file.to_vec();
    changed[at..at + 8].copy_from_slice(&value.to_le_bytes());
    changed
}

fn error_of(file: &[u8]) -> BadImage {
    try_load(file).map(|_| ()).unwrap_err()
}

#[test]
fn each_refusal_says_why() {
    let file = small();
    let text = header_of(&file, ".text");
    let data = header_of(&file, ".data");
    let bss = header_of(&file, ".bss");

    let kind = |at: usize, value: u8| {
        let mut changed = file.clone();
        changed[at] = value;
        error_of(&changed).to_string()
    };
    assert!(kind(4, 1).contains("not 64-bit"));
    assert!(kind(5, 2).contains("not little-endian"));
    assert!(kind(16, 2).contains("not a relocatable object"));
    assert!(kind(18, 183).contains("another architecture"));
    assert_eq!(error_of(b"MZ\x90\x00"), BadImage::NotElf);
    assert_eq!(error_of(b""), BadImage::NotElf);

    let error = error_of(&with_u64(&file, data + 8, 1 | 2 | 4));
    assert_eq!(
        error.to_string(),
        "section .data is both writable and executable"
    );
    assert!(matches!(
        error_of(&with_u64(&file, text + 8, 7)),
        BadImage::WritableCode(_)
    ));
    assert!(matches!(
        error_of(&with_u64(&file, text + 48, 8192)),
        BadImage::Alignment { .. }
    ));
    assert!(error_of(&with_u64(&file, text + 48, 3))
        .to_string()
        .contains("power of two"));
    assert!(matches!(
        error_of(&with_u64(&file, bss + 32, 1 << 40)),
        BadImage::TooLarge { .. }
    ));
    assert!(matches!(
        error_of(&with_u64(&file, bss + 32, u64::MAX)),
        BadImage::TooLarge { .. }
    ));
    let tls = error_of(&with_u64(&file, data + 8, 3 | (1 << 10))).to_string();
    assert!(tls.contains("thread-local"));
    let packed = error_of(&with_u64(&file, data + 8, 3 | (1 << 11))).to_string();
    assert!(packed.contains("compressed"));

    let symbols = number(&file, header_of(&file, ".symtab") + 24, 8) as usize;
    let undefined = Elf::parse(&file)
        .unwrap()
        .symbols()
        .find(|symbol| symbol.name == b"__fentry__")
        .unwrap()
        .index as usize;
    let mut common = file.clone();
    common[symbols + undefined * 24 + 6..][..2].copy_from_slice(&0xfff2u16.to_le_bytes());
    assert!(matches!(error_of(&common), BadImage::CommonSymbol(_)));

    let relocations = number(&file, header_of(&file, ".rela.text") + 24, 8) as usize;
    let mut odd = file.clone();
    odd[relocations + 8] = 9;
    let error = error_of(&odd).to_string();
    assert_eq!(error, "relocation type 9 in section .text is not supported");
    let far = with_u64(&file, relocations + 16, 1 << 40);
    assert!(matches!(error_of(&far), BadImage::Overflow { .. }));
}

/// A long string table without a NUL, and many symbols that all point into it: reading each name to
/// its end would take hours.
#[test]
fn long_names_are_refused() {
    let names = vec![b'x'; 4 << 20];
    assert!(matches!(
        error_of(&with_symbols(200_000, 0, &names)),
        BadImage::OutOfBounds(Part::SymbolName, 1)
    ));
}

/// The number of symbols is bounded, and that of undefined ones, which are looked up in what others export.
#[test]
fn too_many_symbols_are_refused() {
    let refusal =
        |symbols, undefined| error_of(&with_symbols(symbols, undefined, b"x")).to_string();
    let (most, imports) = (MAX_SYMBOLS as usize, MAX_IMPORTS as usize);
    assert_eq!(refusal(most + 1, 0), "more than 262144 symbols");
    assert_eq!(
        refusal(10_000, imports + 1),
        "more than 4096 undefined symbols"
    );
    let parses = |symbols, undefined| Elf::parse(&with_symbols(symbols, undefined, b"x")).is_ok();
    assert!(parses(most, imports));
    assert!(!parses(most + 1, 0) && !parses(10_000, imports + 1));
}

/// Sections are counted before anything is read of them, and so are relocations: tables that share their bytes would
/// be checked again for each section.
#[test]
fn shared_relocation_tables_are_refused() {
    let file = small();
    let sections = section_table(&file).1;
    let refusal = |more| error_of(&with_shared_relocations(&file, more)).to_string();
    let extra = MAX_SECTIONS - sections;
    assert_eq!(
        refusal(extra + 1),
        "1025 sections, at most 1024 are supported"
    );
    let elf = Elf::parse(&file).unwrap();
    let own: usize = elf.relocation_tables().map(|table| table.len()).sum();
    let room = with_shared_relocations(&file, extra).len() / 24;
    assert_eq!(
        refusal(extra),
        format!(
            "{} relocations in a file that has room for {room}",
            own + extra * SHARED
        )
    );
    assert!(Elf::parse(&with_shared_relocations(&file, 1)).is_ok());
}

/// Entries of the table that [`with_shared_relocations`] adds.
const SHARED: usize = 1000;

/// `file` with so many `more` sections that hold the relocations of its first one, all in the same bytes.
fn with_shared_relocations(file: &[u8], more: usize) -> Vec<u8> {
    let mut file = headers_first(file);
    let (_, count) = section_table(&file);
    let elf = Elf::parse(&file).unwrap();
    let symtab = elf.section_named(b".symtab").unwrap().index as u32;
    let headers = file[64..64 + count * 64].to_vec();
    let shared = file.len();
    file.resize(shared + SHARED * 24, 0);
    let table = file.len();
    file.extend_from_slice(&headers);
    for _ in 0..more {
        let mut header = [0; 64];
        header[4] = 4;
        header[24..32].copy_from_slice(&(shared as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(SHARED as u64 * 24).to_le_bytes());
        header[40..44].copy_from_slice(&symtab.to_le_bytes());
        header[44] = 1;
        file.extend_from_slice(&header);
    }
    file[40..48].copy_from_slice(&(table as u64).to_le_bytes());
    file[60..62].copy_from_slice(&((count + more) as u16).to_le_bytes());
    file
}

/// The small driver with a symbol table of `symbols`, of which as many as `undefined` are undefined and the others
/// lie in its first section, and with `names` as the table of names, in which each has the name at 1.
fn with_symbols(symbols: usize, undefined: usize, names: &[u8]) -> Vec<u8> {
    let mut file = headers_first(&small());
    let headers = 64;
    let entry = |name: &str| {
        let elf = Elf::parse(&file).unwrap();
        headers + elf.section_named(name.as_bytes()).unwrap().index * 64
    };
    let (symtab, strtab) = (entry(".symtab"), entry(".strtab"));
    let start = file.len();
    file.resize(start + symbols * 24, 0);
    for symbol in 1..symbols {
        file[start + symbol * 24] = 1;
        file[start + symbol * 24 + 6] = u8::from(symbol > undefined);
    }
    let strings = file.len();
    file.push(0);
    file.extend_from_slice(names);
    file.push(0);
    let mut set = |at: usize, value: usize| {
        file[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
    };
    set(symtab + 24, start);
    set(symtab + 32, symbols * 24);
    set(strtab + 24, strings);
    set(strtab + 32, names.len() + 2);
    file
}
