// SPDX-License-Identifier: GPL-2.0

//! Offsets in structures of the kernel that the driver's compiled code reads or writes in place.
//! They come from the running kernel's own headers, by bindgen.

use super::bindings;
use core::mem::offset_of;

/// `struct page`'s `_refcount`.
pub(crate) const PAGE_REFCOUNT: u64 = offset_of!(bindings::page, _refcount) as u64;
/// `softnet_data.xmit.more`, a byte.
pub(crate) const XMIT_MORE: u64 =
    (offset_of!(bindings::softnet_data, xmit) + offset_of!(bindings::netdev_xmit, more)) as u64;
/// Size of `struct timer_list`.
pub(crate) const TIMER_SIZE: usize = size_of::<bindings::timer_list>();
/// `struct timer_list`'s `expires`.
pub(crate) const TIMER_EXPIRES: u64 = offset_of!(bindings::timer_list, expires) as u64;
/// The word of `struct timer_list` that is not 0 while the timer is armed: `entry.pprev`.
pub(crate) const TIMER_ARMED: u64 =
    (offset_of!(bindings::timer_list, entry) + offset_of!(bindings::hlist_node, pprev)) as u64;
/// `struct timer_list`'s `function`.
pub(crate) const TIMER_FUNCTION: u64 = offset_of!(bindings::timer_list, function) as u64;
/// `struct timer_list`'s `flags`.
pub(crate) const TIMER_FLAGS: u64 = offset_of!(bindings::timer_list, flags) as u64;
/// `struct work_struct`'s `func`; a `delayed_work` begins with one.
pub(crate) const WORK_FUNC: u64 = offset_of!(bindings::work_struct, func) as u64;
/// `__GFP_ZERO`: the driver wants cleared memory.
pub(crate) const GFP_ZERO: u64 = 1 << bindings::___GFP_ZERO_BIT;
/// `__GFP_COMP`: the pages are to be one compound page.
pub(crate) const GFP_COMP: u64 = 1 << bindings::___GFP_COMP_BIT;
/// `struct page`'s second word, which leads a tail page to its head.
pub(crate) const PAGE_COMPOUND_INFO: u64 = 8;
