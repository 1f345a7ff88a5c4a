// SPDX-License-Identifier: GPL-2.0

//! What the bits of a page-table entry mean, and which entry serves which address.
//!
//! Pure: no access to memory. `table.rs` reads and writes the entries.

/// Bytes in a page.
pub(crate) const PAGE_SIZE: u64 = 4096;
/// Entries in a table.
pub(crate) const ENTRIES: usize = 512;
/// Domain addresses are below this, so that every relocation of a kernel module fits.
pub(crate) const DOMAIN_END: u64 = 1 << 31;

/// The entry is in use.
pub(crate) const PRESENT: u64 = 1;
/// Writable.
pub(crate) const WRITE: u64 = 1 << 1;
/// Ring 3 may use it.
pub(crate) const USER: u64 = 1 << 2;
/// With `CACHE_DISABLE`: entry 3 of Linux's PAT, uncached.
pub(crate) const WRITE_THROUGH: u64 = 1 << 3;
/// See `WRITE_THROUGH`.
pub(crate) const CACHE_DISABLE: u64 = 1 << 4;
/// Set beforehand, so that the CPU never writes to a table.
pub(crate) const ACCESSED: u64 = 1 << 5;
/// Set beforehand in writable leaves only: dirty without writable means a shadow stack.
pub(crate) const DIRTY: u64 = 1 << 6;
/// A bit that the CPU ignores: the leaf is device memory.
pub(crate) const IS_MMIO: u64 = 1 << 9;
/// Another one: the leaf is coherent memory.
pub(crate) const IS_COHERENT: u64 = 1 << 10;
/// Not executable.
pub(crate) const NO_EXECUTE: u64 = 1 << 63;
/// The physical address in an entry.
pub(crate) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// What ring 3 may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Perm {
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
}

/// What lies behind a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ordinary memory, cached.
    Ram,
    /// Memory that a device and the processor share, which goes with the device.
    Coherent,
    /// Device registers, uncached.
    Mmio,
}

impl Kind {
    /// Whether it is memory.
    pub(crate) const fn is_ram(self) -> bool {
        matches!(self, Kind::Ram | Kind::Coherent)
    }
}

/// What a domain address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// Physical address of the byte asked for.
    pub(crate) phys: u64,
    /// What ring 3 may do there.
    pub(crate) perm: Perm,
    /// What lies there.
    pub(crate) kind: Kind,
}

/// Which entry of a table at `level` (1 is the leaf) serves `va`.
pub(crate) const fn index(va: u64, level: u32) -> usize {
    ((va >> (12 + 9 * (level - 1))) & 0x1ff) as usize
}

/// Entry that leads to the next table, for domain addresses.
pub(crate) const fn user_table(phys: u64) -> u64 {
    phys | PRESENT | WRITE | USER | ACCESSED
}

/// Entry that leads to the next table, for the kernel's addresses.
pub(crate) const fn kernel_table(phys: u64) -> u64 {
    phys | PRESENT | WRITE | ACCESSED
}

/// Leaf of a domain page.
pub(crate) const fn user_leaf(phys: u64, perm: Perm, kind: Kind) -> u64 {
    let rights = match perm {
        Perm::Read => NO_EXECUTE,
        Perm::ReadWrite => NO_EXECUTE | WRITE | DIRTY,
        Perm::ReadExecute => 0,
    };
    let memory = match kind {
        Kind::Ram => 0,
        Kind::Coherent => IS_COHERENT,
        Kind::Mmio => WRITE_THROUGH | CACHE_DISABLE | IS_MMIO,
    };
    phys | PRESENT | USER | ACCESSED | rights | memory
}

/// Leaf of one of the few kernel pages that the CPU needs to come back.
pub(crate) const fn kernel_leaf(phys: u64, perm: Perm) -> u64 {
    let rights = match perm {
        Perm::Read => NO_EXECUTE,
        Perm::ReadWrite => NO_EXECUTE | WRITE | DIRTY,
        Perm::ReadExecute => 0,
    };
    phys | PRESENT | ACCESSED | rights
}

/// The reverse of `user_leaf`.
pub(crate) const fn decode_user_leaf(entry: u64) -> Option<Mapping> {
    if entry & (PRESENT | USER) != PRESENT | USER {
        return None;
    }
    let perm = if entry & WRITE != 0 {
        Perm::ReadWrite
    } else if entry & NO_EXECUTE != 0 {
        Perm::Read
    } else {
        Perm::ReadExecute
    };
    let kind = if entry & IS_MMIO != 0 {
        Kind::Mmio
    } else if entry & IS_COHERENT != 0 {
        Kind::Coherent
    } else {
        Kind::Ram
    };
    Some(Mapping {
        phys: entry & ADDRESS,
        perm,
        kind,
    })
}

/// Whether a leaf may be written for this address and page.
pub(crate) const fn is_mappable(va: u64, phys: u64) -> bool {
    va < DOMAIN_END && va % PAGE_SIZE == 0 && phys & !ADDRESS == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_decode_to_what_they_were_made_of() {
        for perm in [Perm::Read, Perm::ReadWrite, Perm::ReadExecute] {
            for kind in [Kind::Ram, Kind::Coherent, Kind::Mmio] {
                let entry = user_leaf(0x1234_5000, perm, kind);
                assert_eq!(
                    decode_user_leaf(entry),
                    Some(Mapping {
                        phys: 0x1234_5000,
                        perm,
                        kind
                    })
                );
            }
        }
        assert_eq!(decode_user_leaf(0), None);
        assert_eq!(decode_user_leaf(kernel_leaf(0x1000, Perm::ReadWrite)), None);
    }

    #[test]
    fn no_leaf_is_writable_and_executable_or_a_shadow_stack() {
        for perm in [Perm::Read, Perm::ReadWrite, Perm::ReadExecute] {
            for entry in [
                user_leaf(0x1000, perm, Kind::Ram),
                kernel_leaf(0x1000, perm),
            ] {
                assert!(entry & WRITE == 0 || entry & NO_EXECUTE != 0);
                assert!(entry & DIRTY == 0 || entry & WRITE != 0);
            }
        }
    }

    #[test]
    fn index_takes_nine_bits_a_level() {
        let va = 0xffff_8123_4567_89ab;
        assert_eq!(index(va, 1), ((va >> 12) & 511) as usize);
        assert_eq!(index(va, 4), ((va >> 39) & 511) as usize);
        assert_eq!(index(va, 5), ((va >> 48) & 511) as usize);
        assert_eq!(index(0x7fff_f000, 4), 0);
        assert_eq!(index(0x7fff_f000, 3), 1);
    }

    #[test]
    fn addresses_outside_the_domain_are_refused() {
        assert!(is_mappable(0x7fff_f000, 0x1000));
        assert!(!is_mappable(0x8000_0000, 0x1000));
        assert!(!is_mappable(0x1001, 0x1000));
        assert!(!is_mappable(0x1000, 0x1001));
        assert!(!is_mappable(0x1000, 1 << 60));
    }
}
