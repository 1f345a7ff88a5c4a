// SPDX-License-Identifier: GPL-2.0

//! Real packets: owned values around `sk_buff`.

use super::access::Plain;
use super::net::RealDevice;
use super::net_layout::SKB_SIZE;
use super::{bindings, cpu};
use core::ptr::NonNull;
use kernel::prelude::*;

pub(crate) use bindings::side_rx_meta as RxMeta;

/// What a driver may know of a packet that it is to send. Nobody writes that meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    skb: &'a bindings::sk_buff,
    shared: &'a bindings::skb_shared_info,
}

impl Outgoing<'_> {
    /// The field of `sk_buff` at byte `AT`.
    #[inline(always)]
    pub(crate) fn get<T: Plain, const AT: usize>(self) -> T {
        const { assert!(AT + size_of::<T>() <= SKB_SIZE && AT % align_of::<T>() == 0) };
        // SAFETY: inside and aligned, by the assertion; any bits are a value.
        unsafe {
            core::ptr::from_ref(self.skb)
                .byte_add(AT)
                .cast::<T>()
                .read()
        }
    }

    /// Bytes in all.
    #[inline(always)]
    pub(crate) fn len(self) -> u32 {
        self.skb.len
    }

    /// Bytes in fragments.
    #[inline(always)]
    pub(crate) fn data_len(self) -> u32 {
        self.skb.data_len
    }

    /// Bytes before the data.
    #[inline(always)]
    pub(crate) fn headroom(self) -> u32 {
        (self.skb.data as usize).wrapping_sub(self.skb.head as usize) as u32
    }

    /// The transmit queue that the stack chose.
    #[inline(always)]
    pub(crate) fn queue(self) -> u16 {
        self.skb.queue_mapping
    }

    /// The shared information.
    #[inline(always)]
    pub(crate) fn shared(&self) -> &bindings::skb_shared_info {
        self.shared
    }

    /// Whether its bytes cannot all be read: they lie in a device's memory, or in further packets.
    #[inline(always)]
    pub(crate) fn is_unreadable(self) -> bool {
        // SAFETY: plain bits.
        let bits = unsafe { self.skb.__bindgen_anon_4.__bindgen_anon_1.as_ref() };
        bits.unreadable() != 0 || !self.shared.frag_list.is_null()
    }
}

/// A packet that SIDE owns a reference to.
pub(crate) struct Packet(NonNull<bindings::sk_buff>);

// SAFETY: an sk_buff may be freed and looked at on any CPU.
unsafe impl Send for Packet {}

impl Packet {
    /// Takes over the reference behind `skb`, if there is one.
    ///
    /// # Safety
    ///
    /// The caller gives its reference away.
    pub(super) unsafe fn from_raw(skb: *mut bindings::sk_buff) -> Option<Self> {
        NonNull::new(skb).map(Packet)
    }

    /// Gives the reference away.
    pub(super) fn into_raw(self) -> *mut bindings::sk_buff {
        let raw = self.0.as_ptr();
        core::mem::forget(self);
        raw
    }

    /// Allocates a packet for `device` with `len` bytes of room. Any context.
    pub(crate) fn alloc(device: &RealDevice, len: u32) -> Option<Self> {
        // SAFETY: a live device.
        unsafe { Packet::from_raw(bindings::side_netdev_alloc_skb(device.as_ptr(), len)) }
    }

    /// A look at the packet on its way out.
    #[inline(always)]
    pub(crate) fn outgoing(&self) -> Outgoing<'_> {
        // SAFETY: a live packet, whose shared information lies at its end.
        unsafe {
            let skb = self.0.as_ref();
            let shared = skb.head.add(skb.end as usize).cast();
            Outgoing {
                skb,
                shared: &*shared,
            }
        }
    }

    /// The bytes of the linear part.
    pub(crate) fn linear(&self) -> &[u8] {
        // SAFETY: `data` points to `len - data_len` bytes, which nobody writes while the packet
        // is on its way out.
        unsafe {
            let skb = self.0.as_ref();
            core::slice::from_raw_parts(skb.data, (skb.len - skb.data_len) as usize)
        }
    }

    /// The bytes of fragment `n`, which is below `nr_frags` of [`Outgoing::shared`]; the fragments are
    /// readable.
    pub(crate) fn fragment(&self, n: u32) -> &[u8] {
        let mut len = 0;
        // SAFETY: a live packet with that many fragments.
        let bytes = unsafe { bindings::side_skb_frag(self.0.as_ptr(), n, &mut len) };
        if bytes.is_null() {
            return &[];
        }
        // SAFETY: a fragment is contiguous in the direct map.
        unsafe { core::slice::from_raw_parts(bytes.cast(), len as usize) }
    }

    /// Frees the packet as sent. Any context but hard interrupts.
    pub(crate) fn consume(self) {
        // With a budget the kernel frees several at once, which it may where bottom halves are off.
        let budget = cpu::bh_off().into();
        // SAFETY: our reference; the context is as the function's contract says.
        unsafe { bindings::napi_consume_skb(self.into_raw(), budget) }
    }

    /// Says that a hardware time stamp will follow.
    pub(crate) fn set_in_progress(&self) {
        // SAFETY: a live packet; the flag is set by drivers at this point of a transmit.
        unsafe { bindings::side_skb_in_progress(self.0.as_ptr()) }
    }

    /// One more reference.
    pub(crate) fn another(&self) -> Packet {
        // SAFETY: a live packet.
        Packet(unsafe { NonNull::new_unchecked(bindings::side_skb_get(self.0.as_ptr())) })
    }

    /// Delivers a transmit time stamp to the packet's socket: the hardware's, or the clock's.
    pub(crate) fn timestamp(&self, hardware: Option<i64>) {
        let mut stamps = bindings::skb_shared_hwtstamps::default();
        let stamps = match hardware {
            Some(value) => {
                stamps.__bindgen_anon_1.hwtstamp = value;
                &raw mut stamps
            }
            None => core::ptr::null_mut(),
        };
        // SAFETY: a live packet, a stamp or NULL.
        unsafe { bindings::skb_tstamp_tx(self.0.as_ptr(), stamps) }
    }

    /// Appends `len` bytes and lets `fill` write them. The packet was allocated with that room.
    pub(crate) fn append<E>(
        &mut self,
        len: u32,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // SAFETY: a live packet of ours alone.
        let room = unsafe {
            let skb = self.0.as_ref();
            skb.data_len == 0 && skb.end - skb.tail >= len
        };
        if !room {
            return Ok(());
        }
        // SAFETY: there is room; the bytes are ours, and `fill` gets them as plain bytes.
        let bytes = unsafe {
            let at = bindings::skb_put(self.0.as_ptr(), len).cast::<u8>();
            core::slice::from_raw_parts_mut(at, len as usize)
        };
        fill(bytes)
    }

    /// Bytes in the packet.
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: a live packet.
        unsafe { self.0.as_ref().len }
    }

    /// Makes the packet one that `device` received. It holds at least an Ethernet header.
    pub(crate) fn received(&mut self, device: &RealDevice, meta: &RxMeta) {
        // SAFETY: a live packet of ours with a header, a live device.
        unsafe { bindings::side_skb_receive(self.0.as_ptr(), device.as_ptr(), meta) }
    }

    /// Hands the packet to the stack outside a poll; `now` where bottom halves are off.
    pub(crate) fn deliver(self, now: bool) -> i32 {
        // SAFETY: a complete received packet that is ours to give.
        unsafe {
            match now {
                true => bindings::netif_receive_skb(self.into_raw()),
                false => bindings::netif_rx(self.into_raw()),
            }
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: our reference; any context.
        unsafe {
            bindings::dev_kfree_skb_any_reason(
                self.0.as_ptr(),
                bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
            )
        };
    }
}
