// SPDX-License-Identifier: GPL-2.0

//! Packets that the stack hands over with interrupts off, as netconsole does from within `printk`.
//!
//! Ring 3 is never entered with interrupts off, so such a packet waits in a queue of its interface
//! and is transmitted from a work item moments later. The stack hands packets over under the transmit
//! lock, one task at a time empties the queue, and so they keep their order. While a driver is being
//! loaded afresh they wait for the next one.

use super::adopt::Interface;
use super::net::NetDevice;
use super::transmit::{transmit, Verdict};
use crate::domain::Domain;
use crate::sys::net_layout::NDO_START_XMIT;
use crate::sys::packet_queue::PacketQueue;
use crate::sys::skb::Packet;
use crate::sys::{cpu, defer};
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Packets that wait at most; more are dropped and counted.
const LATE_MAX: u32 = 1024;
/// How long the driver may have no room for the first of them, in ms. Then all are dropped.
const PATIENCE_MS: u32 = 2000;

/// What waits for one interface.
pub(crate) struct Late {
    queue: PacketQueue,
    /// A work item is going to look at the queue.
    armed: AtomicBool,
    /// Somebody empties it.
    busy: AtomicBool,
}

impl Late {
    pub(super) fn new() -> Result<Self> {
        Ok(Late {
            queue: PacketQueue::new()?,
            armed: AtomicBool::new(false),
            busy: AtomicBool::new(false),
        })
    }

    /// Nobody will send them.
    pub(super) fn clear(&self) {
        self.queue.clear();
    }
}

impl Interface {
    /// Transmits what waits, by whatever living driver serves the interface. Process context.
    pub(super) fn transmit_late(&self) {
        let late = &self.late;
        late.armed.store(false, Ordering::SeqCst);
        while late.queue.len() != 0 {
            let Some(owner) = self.owner().filter(|owner| !owner.domain.is_dead()) else {
                return;
            };
            // Who is at it looks once more when it is done.
            if late.busy.swap(true, Ordering::SeqCst) {
                return;
            }
            owner.drain_late(late);
            late.busy.store(false, Ordering::SeqCst);
        }
    }
}

impl NetDevice {
    /// Has `packet` transmitted from process context. Any context but an NMI.
    pub(super) fn transmit_later(&self, packet: Packet) {
        let late = self.interface.as_ref().map(|interface| &interface.late);
        let Some(late) = late.filter(|late| late.queue.len() < LATE_MAX) else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        late.queue.push(packet);
        if !late.armed.swap(true, Ordering::SeqCst)
            && !defer::later(self.domain.clone(), transmit_all)
        {
            late.armed.store(false, Ordering::SeqCst);
        }
    }

    /// Transmits what waits until there is nothing more or the driver is dead.
    fn drain_late(self: &Arc<Self>, late: &Late) {
        let mut waited = 0;
        while let Some(packet) = late.queue.pop() {
            let queue = u32::from(packet.outgoing().queue());
            if waited > PATIENCE_MS {
                let lost = late.queue.len() + 1;
                self.dropped.fetch_add(lost.into(), Ordering::Relaxed);
                return late.queue.clear();
            }
            if queue >= self.tx_queues {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            // With the lock bottom halves are off, and who takes the interface down says so first and
            // then waits for them.
            let verdict = self.real.with_transmit_lock(queue, || {
                if !self.real.is_running() {
                    Verdict::Taken
                } else if self.real.is_held_up(queue) {
                    Verdict::Busy(packet)
                } else {
                    transmit(self.as_arc_borrow(), packet, NDO_START_XMIT)
                }
            });
            let Verdict::Busy(packet) = verdict else {
                waited = 0;
                continue;
            };
            late.queue.push_front(packet);
            if self.domain.is_dead() {
                return;
            }
            cpu::sleep_ms(1);
            waited += 1;
        }
    }
}

/// Transmits what waits for the interfaces of a domain.
fn transmit_all(domain: Arc<Domain>) {
    for (_, device) in domain.net.devices.iter() {
        if let Some(interface) = device.interface.as_ref() {
            interface.transmit_late();
        }
    }
}
