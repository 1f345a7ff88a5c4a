// SPDX-License-Identifier: GPL-2.0

//! Byte queue limits of a transmit queue. The stack's own count decides: it is fed from the packets
//! that go to the driver and those that the driver lets go of. The driver's, in its shadow, is kept from
//! ever reaching its limit.

use super::net::{NetDevice, State};
use crate::call::Violation;
use crate::domain::Domain;
use crate::side_stubs::table;
use crate::sys::lock::BhLock;
use crate::sys::net_layout::*;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use kernel::prelude::*;

/// How far the shadow's queue limit is kept ahead of what was queued, and after how many bytes it
/// is moved on. So the driver itself never stops a queue for it.
pub(super) const LIMIT_AHEAD: u32 = 0x7000_0000;
const LIMIT_STEP: u32 = 0x0400_0000;

/// Packets and bytes that a driver has finished and the stack has not been told of: the packets above the bytes. What
/// a domain's memory holds at once is far below either's bounds.
#[derive(Default)]
struct Finished(AtomicU64);

impl Finished {
    const PACKETS_SHIFT: u32 = 40;

    /// Adds a packet. Returns whether it is the first.
    #[inline(always)]
    fn add(&self, bytes: u32) -> bool {
        let packet = 1 << Self::PACKETS_SHIFT | u64::from(bytes);
        self.0.fetch_add(packet, Ordering::Relaxed) == 0
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Takes all: packets, and bytes.
    fn take(&self) -> (u32, u32) {
        let all = self.0.swap(0, Ordering::Relaxed);
        ((all >> Self::PACKETS_SHIFT) as u32, all as u32)
    }
}

/// What a device's limits need.
pub(super) struct Limits {
    /// By queue.
    finished: KVec<Finished>,
    /// Serialises what the stack is told, which its queue limits ask for.
    telling: BhLock<()>,
    /// Whether the driver uses byte queue limits, so that the stack's are fed for it.
    used: bool,
    /// Bytes since the shadow's limits were moved on.
    since: AtomicU32,
}

impl Limits {
    /// For a device of `domain` with so many transmit queues.
    pub(super) fn new(domain: &Domain, queues: u32) -> Result<Self> {
        let mut finished = KVec::new();
        for _ in 0..queues {
            finished.push(Finished::default(), GFP_KERNEL)?;
        }
        Ok(Limits {
            finished,
            telling: BhLock::new(()),
            used: table::find(b"dql_completed")
                .is_some_and(|index| domain.imported[index].load(Ordering::Relaxed)),
            since: AtomicU32::new(0),
        })
    }
}

impl NetDevice {
    /// A packet goes to the driver. Under the queue's transmit lock. Returns whether the limits have
    /// just stopped the queue.
    #[inline]
    pub(crate) fn sent(&self, n: u32, bytes: u32, more: bool) -> bool {
        if !self.limits.used {
            return false;
        }
        let full = self.real.sent(n, bytes, more);
        // Keeps the driver's own count from ever reaching its limit.
        let since = self.limits.since.fetch_add(bytes, Ordering::Relaxed);
        if since > LIMIT_STEP {
            self.raise_limits();
        }
        full
    }

    #[inline(never)]
    fn raise_limits(&self) {
        self.limits.since.store(0, Ordering::Relaxed);
        for n in 0..self.tx_queues {
            self.raise_limit(n);
        }
    }

    fn raise_limit(&self, n: u32) {
        let dql = self.queue_address(n) + QUEUE_DQL;
        if let Ok(queued) = self.domain.memory.read::<u32>(dql + DQL_NUM_QUEUED) {
            let limit = queued.wrapping_add(LIMIT_AHEAD);
            let _ = self.domain.memory.write(dql + DQL_ADJ_LIMIT, limit);
        }
    }

    /// The driver reset its count for queue `n`.
    pub(crate) fn reset_limit(&self, n: u32) -> Result<(), Violation> {
        let dql = self.queue_address(n) + QUEUE_DQL;
        self.domain.memory.write(dql + DQL_NUM_QUEUED, 0u32)?;
        self.domain.memory.write(dql + DQL_ADJ_LIMIT, LIMIT_AHEAD)?;
        Ok(())
    }

    /// The driver let go of a packet. Told to the stack in one piece by [`NetDevice::flush`], at the
    /// latest when the upcall ends ([`State::pay`]).
    #[inline]
    pub(crate) fn finished(&self, n: u32, bytes: u32) {
        if !self.limits.used {
            return;
        }
        if let Some(finished) = self.limits.finished.get(n as usize) {
            if finished.add(bytes) {
                self.domain.net.owed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Tells the stack what was finished on queue `n`.
    pub(crate) fn flush(&self, n: u32) {
        if let Some(finished) = self.limits.finished.get(n as usize) {
            if finished.is_empty() {
                return;
            }
            let _telling = self.limits.telling.lock();
            let (packets, bytes) = finished.take();
            if packets != 0 {
                self.domain.net.owed.fetch_sub(1, Ordering::Relaxed);
                self.real.completed(n, packets, bytes);
            }
        }
    }

    /// As [`NetDevice::flush`] for all queues.
    pub(crate) fn flush_all(&self) {
        for n in 0..self.tx_queues {
            self.flush(n);
        }
    }
}

impl State {
    /// An upcall has ended: tells the stack what its queues are owed. A driver may let go of packets
    /// anywhere, and a queue that its limits have stopped would wait for the next poll.
    #[inline(always)]
    pub(crate) fn pay(&self) {
        if self.owed.load(Ordering::Relaxed) != 0 {
            self.pay_all();
        }
    }

    #[inline(never)]
    fn pay_all(&self) {
        for (_, device) in self.devices.iter() {
            device.flush_all();
            if self.owed.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}
