// SPDX-License-Identifier: GPL-2.0

//! What a module says of itself: the `key=value` strings of its `.modinfo` section.

use super::elf::Elf;
use super::error::{BadImage, Name};

/// All `(key, value)` pairs, in the file's order; a key may come more than once.
pub fn entries<'a>(elf: &Elf<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + 'a {
    let data = elf
        .section_named(b".modinfo")
        .map_or(&[][..], |section| section.data);
    data.split(|&byte| byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|&byte| byte == b'=')?;
        Some((entry.get(..at)?, entry.get(at + 1..)?))
    })
}

/// All values of `key`.
pub fn values<'a>(elf: &Elf<'a>, key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
    entries(elf).filter_map(move |(name, value)| (name == key).then_some(value))
}

/// The first value of `key`.
pub fn get<'a>(elf: &Elf<'a>, key: &[u8]) -> Option<&'a [u8]> {
    entries(elf).find_map(|(name, value)| (name == key).then_some(value))
}

/// The module's name. It becomes the name of a folder in sysfs, so it holds nothing but letters,
/// digits, `_` and `-`, and is shorter than the kernel's own limit of 56 bytes.
pub fn name<'a>(elf: &Elf<'a>) -> Result<&'a [u8], BadImage> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match get(elf, b"name") {
        Some(name) if (1..56).contains(&name.len()) && name.iter().all(plain) => Ok(name),
        _ => Err(BadImage::Missing("usable module name in .modinfo")),
    }
}

/// Refuses a module that was built for another kernel than the one with the version magic
/// `running`.
pub fn check_vermagic(elf: &Elf<'_>, running: &[u8]) -> Result<(), BadImage> {
    let module = get(elf, b"vermagic").ok_or(BadImage::Missing("version magic in .modinfo"))?;
    if module != running {
        return Err(BadImage::Vermagic {
            module: Name::new(module),
            running: Name::new(running),
        });
    }
    Ok(())
}
