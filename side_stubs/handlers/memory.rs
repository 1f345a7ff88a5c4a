// SPDX-License-Identifier: GPL-2.0

//! Heap, pages and what the kernel knows of bytes: kmalloc and its kin, `struct page` tokens,
//! check sums, random numbers, the machine's DMI strings.
//!
//! All memory comes from the domain's heap, whose books are the kernel's: a free of anything that
//! is not the start of a live object is a breach. Memory that the driver may not have written since
//! an earlier object of its own is not cleared unless it asks, as in the kernel.

use crate::call::{errno, int, Call, Outcome, Violation};
use crate::heap::BadFree;
use crate::side_stubs::contract::*;
use crate::sys::access::PAGE;
use crate::sys::{kernel_info, layout};
use kernel::prelude::*;

/// What `kmalloc(0)` returns.
const ZERO_SIZE_PTR: u64 = 16;
/// The largest kmalloc of the kernel: 2^10 pages.
const LARGEST: u64 = PAGE << 10;
/// Longest string that is copied.
const LONGEST: usize = 4096;

fn zeroing(flags: u64) -> bool {
    flags & layout::GFP_ZERO != 0
}

/// An allocation that fails answers NULL; the driver's error path is its own affair.
fn allocated(result: Result<u64>) -> Outcome {
    Ok(result.unwrap_or(0))
}

fn kmalloc_of(call: &Call<'_>, size: u64, flags: u64) -> Outcome {
    if size == 0 {
        return Ok(ZERO_SIZE_PTR);
    }
    if size > LARGEST {
        return Ok(0);
    }
    allocated(match zeroing(flags) {
        true => call.domain.memory.alloc(size),
        false => call.domain.memory.alloc_dirty(size),
    })
}

fn vmalloc_of(call: &Call<'_>, size: u64) -> Outcome {
    if size == 0 || size > HEAP_SPACE {
        return Ok(0);
    }
    allocated(call.domain.memory.alloc_virtual(size))
}

fn free_object(call: &Call<'_>, address: u64) -> Result<(), Violation> {
    if address == 0 || address == ZERO_SIZE_PTR {
        return Ok(());
    }
    call.domain.memory.free(address).map_err(|bad| match bad {
        BadFree::NotAnObject => Violation::new("bad-free", address),
        BadFree::Double => Violation::new("double-free", address),
    })
}

/// The size of the live object that begins at `address`.
fn object_size(call: &Call<'_>, address: u64) -> Result<u64, Violation> {
    match call.domain.memory.object(address) {
        Some((start, size)) if start == address => Ok(size),
        _ => Err(Violation::new("bad-object", address)),
    }
}

/// Copies `len` bytes within the domain through a kernel buffer.
fn copy(call: &Call<'_>, to: u64, from: u64, len: u64) -> Result<(), Violation> {
    let mut buffer = [0; 256];
    let mut done = 0;
    while done < len {
        let part = core::cmp::min(len - done, buffer.len() as u64);
        let bytes = &mut buffer[..part as usize];
        call.read_bytes(from.wrapping_add(done), bytes)?;
        call.write_bytes(to.wrapping_add(done), bytes)?;
        done += part;
    }
    Ok(())
}

/// `void *__kmalloc_noprof(size_t size, gfp_t flags)`
pub(crate) fn kmalloc(call: &mut Call<'_>) -> Outcome {
    kmalloc_of(call, call.arg(0), call.arg(1))
}

/// `void *__kmalloc_cache_noprof(struct kmem_cache *, gfp_t flags, size_t size)`
pub(crate) fn kmalloc_cache(call: &mut Call<'_>) -> Outcome {
    kmalloc_of(call, call.arg(2), call.arg(1))
}

/// `void *__kmalloc_cache_node_noprof(struct kmem_cache *, gfp_t flags, int node, size_t size)`
pub(crate) fn kmalloc_cache_node(call: &mut Call<'_>) -> Outcome {
    kmalloc_of(call, call.arg(3), call.arg(1))
}

/// `void *__kmalloc_node_noprof(size_t size, kmem_buckets *, gfp_t flags, int node)`
pub(crate) fn kmalloc_node(call: &mut Call<'_>) -> Outcome {
    kmalloc_of(call, call.arg(0), call.arg(2))
}

/// `void *krealloc_node_align_noprof(const void *, size_t size, ulong align, gfp_t, int node)`
pub(crate) fn krealloc(call: &mut Call<'_>) -> Outcome {
    let (old, size, flags) = (call.arg(0), call.arg(1), call.arg(3));
    if size == 0 {
        free_object(call, old)?;
        return Ok(ZERO_SIZE_PTR);
    }
    if old == 0 || old == ZERO_SIZE_PTR {
        return kmalloc_of(call, size, flags);
    }
    let room = object_size(call, old)?;
    if size <= room {
        return Ok(old);
    }
    let new = kmalloc_of(call, size, flags)?;
    if new != 0 {
        copy(call, new, old, room)?;
        free_object(call, old)?;
    }
    Ok(new)
}

/// `void kfree(const void *)` and all that free by address alone.
pub(crate) fn kfree(call: &mut Call<'_>) -> Outcome {
    free_object(call, call.arg(0))?;
    Ok(0)
}

/// `void kvfree_call_rcu(struct rcu_head *, void *)`
pub(crate) fn kvfree_rcu(call: &mut Call<'_>) -> Outcome {
    free_object(call, call.arg(1))?;
    Ok(0)
}

/// `void kfree_const(const void *)`: a string of the image stays.
pub(crate) fn kfree_const(call: &mut Call<'_>) -> Outcome {
    if !is_heap(call.arg(0)) {
        return Ok(0);
    }
    kfree(call)
}

fn is_heap(address: u64) -> bool {
    (HEAP_BASE..HEAP_BASE + HEAP_SPACE).contains(&address)
}

/// `size_t ksize(const void *)`
pub(crate) fn ksize(call: &mut Call<'_>) -> Outcome {
    match call.arg(0) {
        0 | ZERO_SIZE_PTR => Ok(0),
        object => object_size(call, object),
    }
}

/// `void *vmalloc_noprof(unsigned long size)` and its kin. Always zeroed.
pub(crate) fn vmalloc(call: &mut Call<'_>) -> Outcome {
    vmalloc_of(call, call.arg(0))
}

/// `void *vmalloc_array_noprof(size_t n, size_t size)`
pub(crate) fn vmalloc_array(call: &mut Call<'_>) -> Outcome {
    match call.arg(0).checked_mul(call.arg(1)) {
        Some(size) => vmalloc_of(call, size),
        None => Ok(0),
    }
}

/// `size_t kmalloc_size_roundup(size_t size)`: what the heap gives for a request of that size.
pub(crate) fn size_roundup(call: &mut Call<'_>) -> Outcome {
    Ok(match call.arg(0) {
        0 => 0,
        size if size > LARGEST => size,
        size if size > PAGE * 4 => size.next_multiple_of(PAGE),
        size => core::cmp::max(size.next_power_of_two(), 32),
    })
}

/// `void *__kvmalloc_node_noprof(size_t size, kmem_buckets *, ulong align, gfp_t, int node)`
pub(crate) fn kvmalloc_node(call: &mut Call<'_>) -> Outcome {
    let (size, flags) = (call.arg(0), call.arg(3));
    match size > PAGE && call.may_sleep() {
        true => vmalloc_of(call, size),
        false => kmalloc_of(call, size, flags),
    }
}

/// `bool is_vmalloc_addr(const void *)`
pub(crate) fn is_vmalloc_addr(call: &mut Call<'_>) -> Outcome {
    Ok(u64::from(call.domain.memory.is_virtual(call.arg(0))))
}

fn duplicate(call: &Call<'_>, from: u64, len: u64, flags: u64, end: bool) -> Outcome {
    let to = kmalloc_of(call, len + u64::from(end), flags)?;
    if to != 0 && to != ZERO_SIZE_PTR {
        copy(call, to, from, len)?;
        if end {
            call.write(to + len, 0u8)?;
        }
    }
    Ok(to)
}

/// The length of the string at `address`, at most `most`.
fn string_length(call: &Call<'_>, address: u64, most: u64) -> Result<u64, Violation> {
    let mut buffer = KVec::with_capacity(LONGEST, kernel::alloc::flags::GFP_ATOMIC)
        .map_err(|_| Violation::new("out-of-memory", address))?;
    buffer
        .extend_with(LONGEST, 0u8, kernel::alloc::flags::GFP_ATOMIC)
        .map_err(|_| Violation::new("out-of-memory", address))?;
    let most = core::cmp::min(most, LONGEST as u64) as usize;
    let len = call.read_str(address, &mut buffer[..most])?.len();
    if len == LONGEST {
        return Err(Violation::new("string-too-long", address));
    }
    Ok(len as u64)
}

/// `char *kstrdup(const char *, gfp_t)`
pub(crate) fn kstrdup(call: &mut Call<'_>) -> Outcome {
    let from = call.arg(0);
    if from == 0 {
        return Ok(0);
    }
    let len = string_length(call, from, u64::MAX)?;
    duplicate(call, from, len, call.arg(1), true)
}

/// `char *kstrndup(const char *, size_t most, gfp_t)`
pub(crate) fn kstrndup(call: &mut Call<'_>) -> Outcome {
    let from = call.arg(0);
    if from == 0 {
        return Ok(0);
    }
    let len = string_length(call, from, call.arg(1))?;
    duplicate(call, from, len, call.arg(2), true)
}

/// `const char *kstrdup_const(const char *, gfp_t)`: a string of the image needs no copy.
pub(crate) fn kstrdup_const(call: &mut Call<'_>) -> Outcome {
    if !is_heap(call.arg(0)) {
        return Ok(call.arg(0));
    }
    kstrdup(call)
}

/// `void *kmemdup_noprof(const void *, size_t len, gfp_t)`
pub(crate) fn kmemdup(call: &mut Call<'_>) -> Outcome {
    duplicate(call, call.arg(0), call.arg(1), call.arg(2), false)
}

/// `char *kmemdup_nul(const char *, size_t len, gfp_t)`
pub(crate) fn kmemdup_nul(call: &mut Call<'_>) -> Outcome {
    if call.arg(1) >= LARGEST {
        return Ok(0);
    }
    duplicate(call, call.arg(0), call.arg(1), call.arg(2), true)
}

fn pages(call: &Call<'_>, flags: u64, order: u64) -> Result<u64, Violation> {
    if order > 10 {
        return Ok(0);
    }
    let Ok(address) = call.domain.memory.alloc_pages(order as u32) else {
        return Ok(0);
    };
    if zeroing(flags) {
        call.domain
            .memory
            .fill(address, 0, (PAGE << order) as usize)?;
    }
    if order > 0 && flags & layout::GFP_COMP != 0 {
        // Tail pages lead to their head by the mask that include/linux/page-flags.h describes.
        let info = u64::MAX << (order + u64::from(STRUCT_PAGE_SIZE.trailing_zeros())) | 1;
        for n in 1..1 << order {
            let tail = address_to_page(address + n * PAGE);
            call.write(tail + layout::PAGE_COMPOUND_INFO, info)?;
        }
    }
    Ok(address)
}

fn page_or_null(address: u64) -> u64 {
    match address {
        0 => 0,
        _ => address_to_page(address),
    }
}

/// `struct page *alloc_pages_noprof(gfp_t, unsigned int order)`
pub(crate) fn alloc_pages(call: &mut Call<'_>) -> Outcome {
    Ok(page_or_null(pages(
        call,
        call.arg(0),
        u64::from(call.uint(1)),
    )?))
}

/// `struct page *alloc_pages_node_noprof(int node, gfp_t, unsigned int order)`
pub(crate) fn alloc_pages_node(call: &mut Call<'_>) -> Outcome {
    Ok(page_or_null(pages(
        call,
        call.arg(1),
        u64::from(call.uint(2)),
    )?))
}

/// `unsigned long get_free_pages_noprof(gfp_t, unsigned int order)`
pub(crate) fn get_free_pages(call: &mut Call<'_>) -> Outcome {
    pages(call, call.arg(0), u64::from(call.uint(1)))
}

/// `unsigned long get_zeroed_page_noprof(gfp_t)`
pub(crate) fn get_zeroed_page(call: &mut Call<'_>) -> Outcome {
    pages(call, layout::GFP_ZERO, 0)
}

/// The data of the page token `page`, and its reference count, which the driver's inlined code
/// shares.
fn page_data(call: &Call<'_>, page: u64) -> Result<(u64, u32), Violation> {
    let bad = Violation::new("bad-page", page);
    let address = page_to_address(page).ok_or(bad)?;
    let count = call.read(page + layout::PAGE_REFCOUNT).map_err(|_| bad)?;
    Ok((address, count))
}

/// Drops one reference of the page at `page`, whose count the driver's inlined code shares.
fn put_page(call: &Call<'_>, page: u64) -> Result<(), Violation> {
    let (address, count) = page_data(call, page)?;
    call.write(page + layout::PAGE_REFCOUNT, count.saturating_sub(1))?;
    match count {
        0 | 1 => free_object(call, address),
        _ => Ok(()),
    }
}

/// `void __free_pages(struct page *, unsigned int order)`
pub(crate) fn free_pages(call: &mut Call<'_>) -> Outcome {
    put_page(call, call.arg(0))?;
    Ok(0)
}

/// `void free_pages(unsigned long address, unsigned int order)`
pub(crate) fn free_pages_at(call: &mut Call<'_>) -> Outcome {
    if call.arg(0) != 0 {
        put_page(call, address_to_page(call.arg(0)))?;
    }
    Ok(0)
}

/// `void __folio_put(struct folio *)`: the driver's code saw the count reach zero.
pub(crate) fn folio_put(call: &mut Call<'_>) -> Outcome {
    let page = call.arg(0);
    let address = page_to_address(page).ok_or(Violation::new("bad-page", page))?;
    free_object(call, address)?;
    Ok(0)
}

/// `void __page_frag_cache_drain(struct page *, unsigned int count)`
pub(crate) fn page_frag_cache_drain(call: &mut Call<'_>) -> Outcome {
    let page = call.arg(0);
    let (address, count) = page_data(call, page)?;
    let left = count.saturating_sub(call.uint(1));
    call.write(page + layout::PAGE_REFCOUNT, left)?;
    if left == 0 {
        free_object(call, address)?;
    }
    Ok(0)
}

/// Bytes over which one call computes a checksum, and which one call makes at random: what it takes is charged to
/// no upcall as long as it is short.
const CRC_MAX: u64 = 1 << 20;
const RANDOM_MAX: u64 = 1 << 16;

fn within(len: u64, most: u64) -> Result<(), Violation> {
    match len <= most {
        true => Ok(()),
        false => Err(Violation::new("bad-range", len)),
    }
}

/// `u32 crc32_le(u32, const void *, size_t)`
pub(crate) fn crc32_le(call: &mut Call<'_>) -> Outcome {
    let (mut crc, mut at, mut left) = (call.uint(0), call.arg(1), call.arg(2));
    within(left, CRC_MAX)?;
    call.domain.memory.check(at, left, false)?;
    let mut buffer = [0; 256];
    while left > 0 {
        let part = core::cmp::min(left, buffer.len() as u64);
        call.read_bytes(at, &mut buffer[..part as usize])?;
        crc = kernel_info::crc32_le(crc, &buffer[..part as usize]);
        at += part;
        left -= part;
    }
    Ok(u64::from(crc))
}

/// `void get_random_bytes(void *, size_t)`
pub(crate) fn get_random_bytes(call: &mut Call<'_>) -> Outcome {
    let (mut at, mut left) = (call.arg(0), call.arg(1));
    within(left, RANDOM_MAX)?;
    call.domain.memory.check(at, left, true)?;
    let mut buffer = [0; 64];
    while left > 0 {
        let part = core::cmp::min(left, buffer.len() as u64);
        kernel_info::random(&mut buffer[..part as usize]);
        call.write_bytes(at, &buffer[..part as usize])?;
        at += part;
        left -= part;
    }
    Ok(0)
}

fn random_word() -> u64 {
    let mut bytes = [0; 8];
    kernel_info::random(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// `u8 get_random_u8(void)`
pub(crate) fn get_random_u8(_: &mut Call<'_>) -> Outcome {
    Ok(random_word() & 0xff)
}

/// `u16 get_random_u16(void)`
pub(crate) fn get_random_u16(_: &mut Call<'_>) -> Outcome {
    Ok(random_word() & 0xffff)
}

/// `u32 get_random_u32(void)`
pub(crate) fn get_random_u32(_: &mut Call<'_>) -> Outcome {
    Ok(random_word() & 0xffff_ffff)
}

/// `u64 get_random_u64(void)`
pub(crate) fn get_random_u64(_: &mut Call<'_>) -> Outcome {
    Ok(random_word())
}

/// Entries of a DMI list that are looked at.
const DMI_ENTRIES: u64 = 1024;

/// `int dmi_check_system(const struct dmi_system_id *list)`
pub(crate) fn dmi_check_system(call: &mut Call<'_>) -> Outcome {
    let mut matches = 0;
    for n in 0..DMI_ENTRIES {
        let at = call.arg(0).wrapping_add(n * kernel_info::DmiEntry::SIZE);
        let mut entry = kernel_info::DmiEntry::new();
        call.read_bytes(at, entry.bytes())?;
        if entry.is_last() {
            return Ok(int(matches));
        }
        if !entry.has_known_fields() {
            return Err(Violation::new("bad-dmi-field", at));
        }
        if !entry.is_this_machine() {
            continue;
        }
        matches += 1;
        let callback = entry.callback();
        if callback == 0 {
            continue;
        }
        if !call.domain.memory.is_text(callback) {
            return Err(Violation::new("bad-function", callback));
        }
        match call.upcall("dmi", callback, &[at]) {
            Ok(0) => {}
            Ok(_) => return Ok(int(matches)),
            Err(ended) => return Ok(errno(ended.into())),
        }
    }
    Err(Violation::new("endless-list", call.arg(0)))
}
