// SPDX-License-Identifier: GPL-2.0

//! The slots in which a domain's packet buffers are: the ring-3 library finds a buffer's slot in its block and names it
//! with what the driver frees, so nothing need be searched.

use super::skb::{Skb, CLASSES};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::sync::Arc;

/// All buffers by slot, the slots without one, and by class of size the slots of those that wait for reuse.
pub(super) struct Slots {
    all: KVVec<Option<Arc<Skb>>>,
    vacant: KVVec<u32>,
    waiting: [KVec<u32>; CLASSES],
}

impl Slots {
    pub(super) const fn new() -> Self {
        Slots {
            all: KVVec::new(),
            vacant: KVVec::new(),
            waiting: [const { KVec::new() }; CLASSES],
        }
    }

    /// The buffer in `slot`, if it is the one at `handle`.
    #[inline(always)]
    pub(super) fn find(&self, slot: u64, handle: u64) -> Option<&Arc<Skb>> {
        let skb = self.all.get(slot as usize)?.as_ref();
        skb.filter(|skb| skb.address == handle)
    }

    /// Takes a buffer of `class` that waits for reuse.
    #[inline(always)]
    pub(super) fn reuse(&mut self, class: usize) -> Option<Arc<Skb>> {
        let slot = self.waiting.get_mut(class)?.pop()?;
        self.all.get(slot as usize)?.clone()
    }

    /// How many buffers of `class` wait for reuse.
    #[inline(always)]
    pub(super) fn waiting(&self, class: usize) -> usize {
        self.waiting.get(class).map_or(0, |list| list.len())
    }

    /// Has the buffer of `class` in `slot` wait for reuse, if there is room to note it.
    #[inline(always)]
    pub(super) fn keep(&mut self, class: usize, slot: u32) -> bool {
        let Some(list) = self.waiting.get_mut(class) else {
            return false;
        };
        list.push_within_capacity(slot).is_ok() || grow(list, slot)
    }

    /// A slot for a new buffer.
    pub(super) fn reserve(&mut self) -> Result<u32> {
        if let Some(slot) = self.vacant.pop() {
            return Ok(slot);
        }
        let slot = self.all.len() as u32;
        self.all.push(None, GFP_ATOMIC)?;
        self.vacant.reserve(slot as usize + 1, GFP_ATOMIC)?;
        Ok(slot)
    }

    /// Enters the buffer of `slot`; `None` makes the slot vacant.
    pub(super) fn set(&mut self, slot: u32, skb: Option<Arc<Skb>>) {
        if skb.is_none() {
            // Room was reserved when the slot was made.
            let _ = self.vacant.push(slot, GFP_ATOMIC);
        }
        if let Some(place) = self.all.get_mut(slot as usize) {
            *place = skb;
        }
    }
}

#[cold]
#[inline(never)]
fn grow(list: &mut KVec<u32>, slot: u32) -> bool {
    list.push(slot, GFP_ATOMIC).is_ok()
}
