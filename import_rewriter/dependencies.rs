// SPDX-License-Identifier: GPL-2.0

//! Which other modules a driver needs: the `depends` entry of its `.modinfo`, the lines of
//! `modules.dep` that depmod writes beside the kernel's modules, and what a module exports.

use super::elf::{Elf, Place, SymbolKind};
use super::layout::Placed;
use super::modinfo;
use super::sort::sort_by;
use core::cmp::Ordering;

/// What depmod puts before the string that names an exported symbol.
const EXPORT: &[u8] = b"__kstrtab_";

/// The names of the modules whose exports `elf` was linked against.
pub fn depends<'a>(elf: &Elf<'a>) -> impl Iterator<Item = &'a [u8]> + 'a {
    modinfo::get(elf, b"depends")
        .unwrap_or(b"")
        .split(|&byte| byte == b',')
        .filter(|name| !name.is_empty())
}

/// Writes the symbols that `elf` defines into `room`, by index, sorted by their names, and returns how many there
/// are. `room` has [`Elf::symbol_count`] slots.
pub fn sort_names(elf: &Elf<'_>, room: &mut [u32]) -> usize {
    let mut count = 0;
    for symbol in elf.symbols() {
        let named = !symbol.name.is_empty() && symbol.kind != SymbolKind::File;
        if !named || !matches!(symbol.place, Place::Section(_)) {
            continue;
        }
        if let Some(slot) = room.get_mut(count) {
            *slot = symbol.index;
            count += 1;
        }
    }
    if let Some(names) = room.get_mut(..count) {
        let key = |index: &u32| (elf.symbol(*index).map(|symbol| symbol.name), *index);
        sort_by(names, |a, b| key(a) < key(b));
    }
    count
}

/// The symbol whose name is `prefix` and then `name`, among those that [`sort_names`] sorted; the first in the
/// file if there are several.
fn find_name(elf: &Elf<'_>, names: &[u32], prefix: &[u8], name: &[u8]) -> Option<u32> {
    let wanted = || prefix.iter().chain(name);
    let order = |index: &u32| match elf.symbol(*index) {
        Some(symbol) => symbol.name.iter().cmp(wanted()),
        None => Ordering::Less,
    };
    let at = names.partition_point(|index| order(index) == Ordering::Less);
    let found = names.get(at)?;
    (order(found) == Ordering::Equal).then_some(*found)
}

/// Whether `elf` defines and exports the symbol `name`; `names` are from [`sort_names`].
pub fn exports(elf: &Elf<'_>, names: &[u32], name: &[u8]) -> bool {
    find_name(elf, names, EXPORT, name).is_some()
}

/// The domain address of the symbol `name` that the placed module exports; `names` are from [`sort_names`].
pub fn exported(placed: &Placed<'_>, names: &[u32], name: &[u8]) -> Option<u64> {
    match exports(&placed.elf, names, name) {
        true => placed.symbol_address(find_name(&placed.elf, names, b"", name)?),
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
