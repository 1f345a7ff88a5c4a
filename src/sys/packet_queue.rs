// SPDX-License-Identifier: GPL-2.0

//! A queue of real packets that may be filled with interrupts off.

use super::bindings;
use super::skb::Packet;
use core::cell::UnsafeCell;
use kernel::prelude::*;

/// Packets in order. Its lock is taken with interrupts off, so every context may use it but an NMI.
pub(crate) struct PacketQueue(KBox<UnsafeCell<bindings::sk_buff_head>>);

// SAFETY: the functions that the head is handed to lock it.
unsafe impl Send for PacketQueue {}
// SAFETY: as above.
unsafe impl Sync for PacketQueue {}

impl PacketQueue {
    /// An empty queue. Process context.
    pub(crate) fn new() -> Result<Self> {
        let head = KBox::new(UnsafeCell::new(Default::default()), GFP_KERNEL)?;
        // SAFETY: zeroed memory that stays where it is.
        unsafe { bindings::side_skb_queue_init(head.get()) };
        Ok(PacketQueue(head))
    }

    /// The number of packets, which may change at any time.
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: an initialised head.
        unsafe { bindings::side_skb_queue_len(self.0.get()) }
    }

    /// Adds a packet behind the others.
    pub(crate) fn push(&self, packet: Packet) {
        // SAFETY: an initialised head, and a packet that is in no other list.
        unsafe { bindings::skb_queue_tail(self.0.get(), packet.into_raw()) };
    }

    /// Adds a packet before the others.
    pub(crate) fn push_front(&self, packet: Packet) {
        // SAFETY: as above.
        unsafe { bindings::skb_queue_head(self.0.get(), packet.into_raw()) };
    }

    /// Takes the first packet out.
    pub(crate) fn pop(&self) -> Option<Packet> {
        // SAFETY: an initialised head of packets whose references it holds.
        unsafe { Packet::from_raw(bindings::skb_dequeue(self.0.get())) }
    }

    /// Drops all packets.
    pub(crate) fn clear(&self) {
        while self.pop().is_some() {}
    }
}

impl Drop for PacketQueue {
    fn drop(&mut self) {
        self.clear();
    }
}
