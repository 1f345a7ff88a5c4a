// SPDX-License-Identifier: GPL-2.0

//! Pages that SIDE owns, and the kernel's access to a domain's memory.
//!
//! The kernel reaches a domain's pages through its own direct map. An address from the driver is a
//! claim: it counts only if the view's tables map it, which is looked up here, page by page. Bytes
//! are copied into kernel memory once; nothing is ever read in place.

use super::bindings;
use crate::pages::{Kind, Perm, View};
use kernel::alloc::flags::{GFP_ATOMIC, __GFP_NOWARN};
use kernel::alloc::Flags;
use kernel::prelude::*;
use kernel::sync::rcu;

/// An address range of the domain that is not mapped as the access needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(
    /// The first address that failed.
    pub(crate) u64,
);

/// For lists whose length a driver decides: it may be long, and that there is no memory for it is the driver's
/// concern alone.
pub(crate) fn quietly() -> Flags {
    GFP_ATOMIC | __GFP_NOWARN
}

/// Bytes in a page.
pub(crate) const PAGE: u64 = 4096;

/// A power-of-two run of pages, zeroed, given back when dropped.
pub(crate) struct Pages {
    page: *mut bindings::page,
    order: u32,
}

// SAFETY: the pages belong to this value alone.
unsafe impl Send for Pages {}
// SAFETY: shared references only tell the address.
unsafe impl Sync for Pages {}

impl Pages {
    /// Allocates `2^order` physically contiguous zeroed pages. Any context but hard interrupts.
    pub(crate) fn new(order: u32) -> Result<Self> {
        // SAFETY: the flags fit any context, and the order is checked by the allocator.
        let page = unsafe { bindings::side_alloc_pages(order) };
        if page.is_null() {
            return Err(ENOMEM);
        }
        Ok(Pages { page, order })
    }

    /// The physical address of the first byte.
    pub(crate) fn phys(&self) -> u64 {
        // SAFETY: `page` is a live page.
        unsafe { bindings::side_page_to_phys(self.page) }
    }

    /// The size in bytes.
    pub(crate) fn len(&self) -> u64 {
        PAGE << self.order
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this order; nothing maps the pages any more, since a
        // domain drops its memory after its view.
        unsafe { bindings::__free_pages(self.page, self.order) };
    }
}

/// Walks `[address, address + len)` by pages and calls `f(kernel pointer, offset, bytes)` for each.
fn each(
    view: &View,
    address: u64,
    len: usize,
    write: bool,
    mut f: impl FnMut(*mut u8, usize, usize),
) -> Result<(), Fault> {
    let mut done = 0usize;
    while done < len {
        // What is taken out of a view is given back after a grace period ([`settle`]).
        let _reading = rcu::read_lock();
        let at = address.checked_add(done as u64).ok_or(Fault(address))?;
        let mapping = view.translate(at).ok_or(Fault(at))?;
        if !mapping.kind.is_ram() || (write && mapping.perm != Perm::ReadWrite) {
            return Err(Fault(at));
        }
        let part = core::cmp::min(len - done, (PAGE - at % PAGE) as usize);
        // SAFETY: RAM that a view maps is in the direct map.
        let kernel = unsafe { bindings::side_phys_to_virt(mapping.phys) }.cast::<u8>();
        f(kernel, done, part);
        done += part;
    }
    Ok(())
}

/// Returns when no CPU uses what was taken out of `view` before the call: none that was in ring 3, and no
/// access from the kernel. Process context.
pub(crate) fn settle(view: &View) {
    view.flush();
    // SAFETY: the caller may sleep.
    unsafe { bindings::synchronize_rcu() }
}

/// Copies memory of the domain into `buffer`, each byte once.
pub(crate) fn read(view: &View, address: u64, buffer: &mut [u8]) -> Result<(), Fault> {
    let len = buffer.len();
    each(view, address, len, false, |kernel, offset, part| {
        // SAFETY: `part` bytes from `kernel` lie in one page that the view maps and that lives as
        // long as the view; `buffer` has room. The driver may change the bytes meanwhile, which
        // changes what is copied and nothing else.
        unsafe { bindings::side_copy(buffer.as_mut_ptr().add(offset).cast(), kernel.cast(), part) };
    })
}

/// Copies `bytes` into memory of the domain. Read-only pages are refused.
pub(crate) fn write(view: &View, address: u64, bytes: &[u8]) -> Result<(), Fault> {
    each(view, address, bytes.len(), true, |kernel, offset, part| {
        // SAFETY: as in `read`, the other way round.
        unsafe { bindings::side_copy(kernel.cast(), bytes.as_ptr().add(offset).cast(), part) };
    })
}

/// Fills memory of the domain with `value`.
pub(crate) fn fill(view: &View, address: u64, value: u8, len: usize) -> Result<(), Fault> {
    each(view, address, len, true, |kernel, _, part| {
        // SAFETY: as in `write`.
        unsafe { core::ptr::write_bytes(kernel, value, part) };
    })
}

/// Writes into pages that SIDE owns and that no view maps writable, for the loader.
pub(crate) fn write_pages(pages: &Pages, offset: usize, bytes: &[u8]) -> Result {
    if offset
        .checked_add(bytes.len())
        .is_none_or(|end| end as u64 > pages.len())
    {
        return Err(EINVAL);
    }
    // SAFETY: the range lies in pages that `pages` owns.
    unsafe {
        let kernel = bindings::side_phys_to_virt(pages.phys())
            .cast::<u8>()
            .add(offset);
        bindings::side_copy(kernel.cast(), bytes.as_ptr().cast(), bytes.len());
    }
    Ok(())
}

/// A word of a domain's page that the kernel reads and writes often: the virtual CPU state. The
/// driver writes it too, so each access is one volatile load or store.
#[derive(Clone, Copy)]
pub(crate) struct SharedWord(*mut u64);

// SAFETY: accesses are single volatile words; the page lives as long as the domain, which owns the
// value.
unsafe impl Send for SharedWord {}
// SAFETY: as above.
unsafe impl Sync for SharedWord {}

impl SharedWord {
    /// The word at byte `offset` of `pages`.
    pub(crate) fn new(pages: &Pages, offset: u64) -> Result<Self> {
        if offset % 8 != 0 || offset + 8 > pages.len() {
            return Err(EINVAL);
        }
        // SAFETY: the offset lies in the pages.
        let base = unsafe { bindings::side_phys_to_virt(pages.phys()) }.cast::<u8>();
        // SAFETY: as above; aligned by the check.
        Ok(SharedWord(unsafe { base.add(offset as usize) }.cast()))
    }

    /// The word `offset` bytes further on in the same page; `offset` is a multiple of 8 and stays
    /// within the page's first quarter after this word, which the contract's layout guarantees.
    pub(crate) fn at(self, offset: u64) -> Self {
        // SAFETY: per-CPU areas are a page, and the words in use lie in its first half.
        SharedWord(unsafe { self.0.byte_add((offset % 2048) as usize) })
    }

    /// Reads the word once.
    pub(crate) fn get(self) -> u64 {
        // SAFETY: see the type.
        unsafe { core::ptr::read_volatile(self.0) }
    }

    /// Writes the word.
    pub(crate) fn set(self, value: u64) {
        // SAFETY: see the type.
        unsafe { core::ptr::write_volatile(self.0, value) }
    }
}

/// A piece of a domain's memory that the kernel reads and writes often, by its own mapping. It is
/// contiguous and stays for as long as the domain's memory does. The driver may write it too, so
/// bytes are copied once and words are single volatile accesses, as everywhere.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    base: *mut u8,
    len: usize,
}

// SAFETY: see `SharedWord`.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    /// All of `pages`.
    pub(crate) fn new(pages: &Pages) -> Self {
        // SAFETY: live pages.
        let base = unsafe { bindings::side_phys_to_virt(pages.phys()) };
        Window {
            base: base.cast(),
            len: pages.len() as usize,
        }
    }

    /// `len` bytes of `view` from `address` on. `None` unless they are physically contiguous
    /// writable memory. The caller promises that the view keeps them mapped as long as it lives,
    /// and uses the window no longer.
    pub(crate) fn of(view: &View, address: u64, len: u64) -> Option<Self> {
        let start = view.translate(address)?.phys;
        let mut at = address;
        while at < address.checked_add(len)? {
            let mapping = view.translate(at)?;
            let in_place = mapping.phys == start + (at - address);
            if !in_place || mapping.kind != Kind::Ram || mapping.perm != Perm::ReadWrite {
                return None;
            }
            at = (at / PAGE + 1) * PAGE;
        }
        // SAFETY: RAM that a view maps is in the direct map.
        let base = unsafe { bindings::side_phys_to_virt(start) };
        Some(Window {
            base: base.cast(),
            len: len as usize,
        })
    }

    /// The address of `len` bytes at `offset`, which lie inside.
    fn place(self, offset: u64, len: usize) -> Result<*mut u8, Fault> {
        let end = (offset as usize).checked_add(len).ok_or(Fault(offset))?;
        if end > self.len {
            return Err(Fault(offset));
        }
        // SAFETY: inside, by the check.
        Ok(unsafe { self.base.add(offset as usize) })
    }

    /// Reads the word at `offset`, a multiple of 8, once; 0 if it lies outside.
    pub(crate) fn word(self, offset: u64) -> u64 {
        match self.place(offset / 8 * 8, 8) {
            // SAFETY: inside and aligned.
            Ok(place) => unsafe { core::ptr::read_volatile(place.cast()) },
            Err(_) => 0,
        }
    }

    /// Writes the word at `offset`, a multiple of 8, if it lies inside.
    pub(crate) fn set_word(self, offset: u64, value: u64) {
        if let Ok(place) = self.place(offset / 8 * 8, 8) {
            // SAFETY: inside and aligned.
            unsafe { core::ptr::write_volatile(place.cast(), value) }
        }
    }

    /// The `N` bytes at `offset`, a multiple of 8, to be read and written field by field.
    #[inline(always)]
    pub(crate) fn part<const N: usize>(self, offset: u64) -> Result<Part<N>, Fault> {
        let place = self.place(offset, N)?;
        match place.cast::<u64>().is_aligned() {
            true => Ok(Part(place)),
            false => Err(Fault(offset)),
        }
    }

    /// The `count` parts of `N` bytes, a multiple of 8, that begin at `offset`.
    #[inline(always)]
    pub(crate) fn parts<const N: usize>(self, offset: u64, count: u64) -> Result<Parts<N>, Fault> {
        let len = (N as u64).checked_mul(count).ok_or(Fault(offset))?;
        let place = self.place(offset, len as usize)?;
        match N % 8 == 0 && place.cast::<u64>().is_aligned() {
            true => Ok(Parts {
                first: place,
                count,
            }),
            false => Err(Fault(offset)),
        }
    }

    /// Copies the bytes at `offset` into `buffer`, each once.
    pub(crate) fn read(self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let place = self.place(offset, buffer.len())?;
        // SAFETY: inside; `buffer` has room.
        unsafe { bindings::side_copy(buffer.as_mut_ptr().cast(), place.cast(), buffer.len()) };
        Ok(())
    }

    /// Copies `bytes` to `offset`.
    pub(crate) fn write(self, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        let place = self.place(offset, bytes.len())?;
        // SAFETY: inside.
        unsafe { bindings::side_copy(place.cast(), bytes.as_ptr().cast(), bytes.len()) };
        Ok(())
    }
}

/// `N` bytes inside a [`Window`], from an address that is a multiple of 8 on. A field is one access to
/// the domain's memory, at a place that is checked when SIDE is built.
#[derive(Clone, Copy)]
pub(crate) struct Part<const N: usize>(*mut u8);

impl<const N: usize> Part<N> {
    #[inline(always)]
    fn field<T: Plain, const AT: usize>(self) -> *mut T {
        const { assert!(AT + size_of::<T>() <= N && AT % align_of::<T>() == 0 && align_of::<T>() <= 8) };
        // SAFETY: inside, by the assertion.
        unsafe { self.0.add(AT) }.cast()
    }

    /// Reads the field at `AT` once.
    #[inline(always)]
    pub(crate) fn get<T: Plain, const AT: usize>(self) -> T {
        // SAFETY: inside and aligned.
        unsafe { core::ptr::read_volatile(self.field::<T, AT>()) }
    }

    /// Writes the field at `AT`.
    #[inline(always)]
    pub(crate) fn set<T: Plain, const AT: usize>(self, value: T) {
        // SAFETY: inside and aligned.
        unsafe { core::ptr::write_volatile(self.field::<T, AT>(), value) }
    }

    /// Writes `words` over all of it.
    #[inline(always)]
    pub(crate) fn fill<const W: usize>(self, words: Words<W>) {
        const { assert!(W * 8 == N) };
        for (n, word) in words.0.into_iter().enumerate() {
            // SAFETY: inside, by the assertion, and aligned.
            unsafe { core::ptr::write_volatile(self.0.cast::<u64>().add(n), word) };
        }
    }
}

/// Several [`Part`]s, one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Parts<const N: usize> {
    first: *mut u8,
    count: u64,
}

// SAFETY: see `Window`.
unsafe impl<const N: usize> Send for Parts<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Parts<N> {}

impl<const N: usize> Parts<N> {
    /// Number `n`.
    #[inline(always)]
    pub(crate) fn get(self, n: u64) -> Option<Part<N>> {
        // SAFETY: inside, since there are `count`.
        (n < self.count).then(|| Part(unsafe { self.first.add(n as usize * N) }))
    }
}

/// A structure that is put together field by field, in registers as far as they go. What is not put is zero.
#[derive(Clone, Copy)]
pub(crate) struct Words<const W: usize>([u64; W]);

impl<const W: usize> Words<W> {
    /// All zero.
    pub(crate) const ZERO: Words<W> = Words([0; W]);

    /// Puts the field at byte `AT`, once.
    #[inline(always)]
    pub(crate) fn put<T: Plain + Into<u64>, const AT: usize>(&mut self, value: T) {
        const { assert!(AT + size_of::<T>() <= W * 8 && AT % size_of::<T>() == 0) };
        self.0[AT / 8] |= value.into() << (AT % 8 * 8);
    }
}

/// Plain data: any bytes are a value, and there is no padding that matters.
///
/// # Safety
///
/// Every bit pattern must be a valid value of the type.
pub(crate) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($t:ty),*) => { $(
        // SAFETY: any bits are a value of an integer.
        unsafe impl Plain for $t {}
    )* };
}
plain!(u8, i8, u16, i16, u32, i32, u64, i64, usize, isize);
// SAFETY: an array of plain values.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// The bytes of a plain value.
pub(crate) fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: plain data, read as bytes.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The bytes of a plain value, to be overwritten.
pub(crate) fn bytes_of_mut<T: Plain>(value: &mut T) -> &mut [u8] {
    // SAFETY: plain data: any bytes written make a value.
    unsafe { core::slice::from_raw_parts_mut(core::ptr::from_mut(value).cast(), size_of::<T>()) }
}

/// A plain value with all bytes zero.
pub(crate) fn zeroed<T: Plain>() -> T {
    // SAFETY: plain data: zero is a value.
    unsafe { core::mem::zeroed() }
}
