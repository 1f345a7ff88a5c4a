// SPDX-License-Identifier: GPL-2.0

//! Which other modules a driver needs: the `depends` entry of its `.modinfo`, the lines of
//! `modules.dep` that depmod writes beside the kernel's modules, and what a module exports.

use super::elf::{Elf, Place};
use super::layout::Placed;
use super::modinfo;

/// What depmod puts before the string that names an exported symbol.
const EXPORT: &[u8] = b"__kstrtab_";

/// The names of the modules whose exports `elf` was linked against.
pub fn depends<'a>(elf: &Elf<'a>) -> impl Iterator<Item = &'a [u8]> + 'a {
    modinfo::get(elf, b"depends")
        .unwrap_or(b"")
        .split(|&byte| byte == b',')
        .filter(|name| !name.is_empty())
}

/// Whether `elf` defines and exports the symbol `name`.
pub fn exports(elf: &Elf<'_>, name: &[u8]) -> bool {
    elf.symbols().any(|symbol| {
        symbol.name.strip_prefix(EXPORT) == Some(name) && matches!(symbol.place, Place::Section(_))
    })
}

/// The domain address of the symbol `name` that the placed module exports.
pub fn exported(placed: &Placed<'_>, name: &[u8]) -> Option<u64> {
    match exports(&placed.elf, name) {
        true => placed.address_of(name),
        false => None,
    }
}

/// One line of `modules.dep`: a module's file, and the files of all modules it needs, those
/// that must be loaded first coming last.
pub struct Line<'a> {
    /// The module's file, relative to the folder of `modules.dep`.
    pub file: &'a [u8],
    needs: &'a [u8],
}

impl<'a> Line<'a> {
    /// The files of the modules that this one needs, in the order of the line.
    pub fn needs(&self) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.needs
            .split(|&byte| byte == b' ')
            .filter(|file| !file.is_empty())
    }
}

/// The line of `modules.dep`, whose text is `index`, for the module called `name`.
pub fn find<'a>(index: &'a [u8], name: &[u8]) -> Option<Line<'a>> {
    index.split(|&byte| byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let file = line.get(..colon)?;
        is_file_of(file, name).then_some(Line {
            file,
            needs: line.get(colon + 1..)?,
        })
    })
}

/// Whether `file` is the module called `name`: its last part up to `.ko`, where the kernel does
/// not tell `-` from `_`.
fn is_file_of(file: &[u8], name: &[u8]) -> bool {
    let start = file
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |at| at + 1);
    let Some((stem, rest)) = file
        .get(start..)
        .and_then(|last| last.split_at_checked(name.len()))
    else {
        return false;
    };
    let plain = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
    (rest == b".ko" || rest.starts_with(b".ko."))
        && stem.iter().map(plain).eq(name.iter().map(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &[u8] = b"kernel/a/ne2k-pci.ko.xz: kernel/a/8390.ko.xz\n\
        kernel/a/8390.ko.xz:\nkernel/b/top.ko: kernel/b/mid.ko kernel/b/low.ko\nbroken\n";

    #[test]
    fn names_and_files_match_as_in_the_kernel() {
        let line = find(INDEX, b"ne2k_pci").unwrap();
        assert_eq!(line.file, b"kernel/a/ne2k-pci.ko.xz");
        assert!(line.needs().eq([&b"kernel/a/8390.ko.xz"[..]]));
        assert_eq!(find(INDEX, b"8390").unwrap().needs().count(), 0);
        assert!(find(INDEX, b"839").is_none());
        assert!(find(INDEX, b"390").is_none());
        assert!(find(INDEX, b"broken").is_none());
        assert!(find(INDEX, b"").is_none());
    }

    #[test]
    fn needs_keep_the_order_of_the_line() {
        let line = find(INDEX, b"top").unwrap();
        assert!(line
            .needs()
            .eq([&b"kernel/b/mid.ko"[..], b"kernel/b/low.ko"]));
    }
}
