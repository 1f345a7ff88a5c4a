// SPDX-License-Identifier: GPL-2.0

//! Which addresses a device uses for memory, where SIDE has an IOMMU page table of its own: a map
//! with a bit for each page of a window, set while the page is in use.
//!
//! A decision only: no `unsafe`, no kernel. The search goes round, so that an address is used again
//! as late as possible and a device that still uses an old one is caught.

/// Bits in a word of the map.
const BITS: usize = 64;

fn is_used(map: &[u64], page: usize) -> bool {
    map.get(page / BITS)
        .is_none_or(|word| (word >> (page % BITS)) & 1 != 0)
}

fn set(map: &mut [u64], first: usize, pages: usize, used: bool) {
    for page in first..first.saturating_add(pages) {
        let Some(word) = map.get_mut(page / BITS) else {
            return;
        };
        let bit = 1 << (page % BITS);
        *word = if used { *word | bit } else { *word & !bit };
    }
}

/// Marks pages as used for ever: those that the platform keeps for itself. Pages beyond the map
/// are ignored.
pub(crate) fn reserve(map: &mut [u64], first: usize, pages: usize) {
    set(map, first, pages, true);
}

/// Frees what [`take`] gave.
pub(crate) fn give(map: &mut [u64], first: usize, pages: usize) {
    set(map, first, pages, false);
}

/// Takes `pages` free pages in a row, the first a multiple of `align` (a power of two), all below
/// page `limit`. `next` is where the search begins, and is moved on. None if there are none.
pub(crate) fn take(
    map: &mut [u64],
    next: &mut usize,
    pages: usize,
    align: usize,
    limit: usize,
) -> Option<usize> {
    let limit = core::cmp::min(limit, map.len() * BITS);
    if pages == 0 || pages > limit {
        return None;
    }
    let start = core::cmp::min(*next, limit);
    let first = find(map, start, limit, pages, align)
        .or_else(|| find(map, 0, core::cmp::min(limit, start + pages), pages, align))?;
    set(map, first, pages, true);
    *next = first + pages;
    Some(first)
}

/// The next multiple of `align`, a power of two.
fn align_up(page: usize, align: usize) -> usize {
    page.wrapping_add(align.wrapping_sub(1)) & !align.wrapping_sub(1)
}

fn find(map: &[u64], from: usize, to: usize, pages: usize, align: usize) -> Option<usize> {
    let mut first = align_up(from, align);
    while first + pages <= to {
        if map.get(first / BITS) == Some(&u64::MAX) {
            first = align_up((first / BITS + 1) * BITS, align);
            continue;
        }
        match (first..first + pages)
            .rev()
            .find(|page| is_used(map, *page))
        {
            None => return Some(first),
            Some(used) => first = align_up(used + 1, align),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_late_as_possible() {
        let (mut map, mut next) = ([0; 2], 0);
        for page in 0..128 {
            assert_eq!(take(&mut map, &mut next, 1, 1, 128), Some(page));
            give(&mut map, page, 1);
        }
        assert_eq!(take(&mut map, &mut next, 1, 1, 128), Some(0));
    }

    #[test]
    fn what_is_used_or_reserved_is_not_given() {
        let (mut map, mut next) = ([0; 2], 0);
        reserve(&mut map, 0, 16);
        reserve(&mut map, 100, 1000);
        assert_eq!(take(&mut map, &mut next, 64, 1, 128), Some(16));
        assert_eq!(take(&mut map, &mut next, 21, 1, 128), None);
        assert_eq!(take(&mut map, &mut next, 20, 1, 128), Some(80));
        assert_eq!(take(&mut map, &mut next, 1, 1, 128), None);
        give(&mut map, 20, 4);
        assert_eq!(take(&mut map, &mut next, 5, 1, 128), None);
        assert_eq!(take(&mut map, &mut next, 4, 1, 128), Some(20));
    }

    #[test]
    fn alignment_and_limit_hold() {
        let (mut map, mut next) = ([0; 4], 0);
        reserve(&mut map, 0, 1);
        assert_eq!(take(&mut map, &mut next, 3, 4, 256), Some(4));
        assert_eq!(take(&mut map, &mut next, 32, 32, 256), Some(32));
        assert_eq!(take(&mut map, &mut next, 8, 1, 10), None);
        assert_eq!(take(&mut map, &mut next, 3, 1, 10), Some(1));
        assert_eq!(take(&mut map, &mut next, 257, 1, 9999), None);
        assert_eq!(take(&mut map, &mut next, 0, 1, 9999), None);
        // The map's end is a limit too.
        assert_eq!(take(&mut map, &mut next, 200, 1, 9999), None);
    }
}
