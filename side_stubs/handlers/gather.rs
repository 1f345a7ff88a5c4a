// SPDX-License-Identifier: GPL-2.0

//! Transmit gathering: packets of a stream wait for each other in the kernel, and one upcall hands
//! all of them over.
//!
//! A kept packet is prepared already: its shadow is [`Held::Transmit`], byte queue limits have
//! counted it, and the driver frees it like any other once it has it. The shadows are linked by
//! their `next`, and a loop of the ring-3 library calls the driver's function for one after the
//! other, as `dev_hard_start_xmit` does. The kernel believes the loop's count of taken packets up to
//! the number that it gave, and never reads the links back.
//!
//! Packets of a queue are appended and handed over under the queue's transmit lock only, so they
//! keep their order. They are handed over
//!
//! * when the stack says that nothing follows, unless they are a stream (`pace.rs`),
//! * when the stack's limits stop the queue, and when there are [`GATHER_MAX`],
//! * when the poll ends in which they were sent,
//! * when the timer says so, which bounds the wait of a stream's packets,
//! * when the driver wakes a queue whose packets it could not take, and before the interface stops.

use super::net::{NetDevice, State};
use super::transmit::{self, Sent};
use crate::call::Violation;
use crate::side_stubs::contract::LIBRARY_BASE;
use crate::side_stubs::pace::{Pace, GATHER_MAX};
use crate::side_stubs::ring3;
use crate::sys::cpu;
use crate::sys::flush_timer::FlushTimer;
use crate::sys::lock::BhLock;
use crate::sys::net_layout::*;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// How long the timer waits for a queue whose lock is taken, and for one that is stopped, in ns.
const RETRY: u64 = 20_000;
const STOPPED: u64 = 20_000_000;

/// Packets that wait together, in order.
#[derive(Default)]
struct Group {
    packets: [Option<Sent>; GATHER_MAX],
    count: usize,
    /// One of them asks for a time stamp of the device's.
    stamps: bool,
}

struct Kept {
    group: Group,
    pace: Pace,
    /// Until when the timer need not hand them over.
    deadline: u64,
}

/// What is kept for one transmit queue.
pub(crate) struct Queue {
    kept: BhLock<Kept>,
    /// The number of kept packets, to look at without the lock.
    count: AtomicUsize,
    /// The timer will look at them.
    armed: AtomicBool,
    timer: FlushTimer,
}

impl Queue {
    fn new(n: u32) -> Result<Self> {
        Ok(Queue {
            kept: BhLock::new(Kept {
                group: Group::default(),
                pace: Pace::default(),
                deadline: 0,
            }),
            count: AtomicUsize::new(0),
            armed: AtomicBool::new(false),
            timer: FlushTimer::new(n)?,
        })
    }

    /// Names the device that the queue belongs to.
    pub(super) fn set_owner(&self, device: &Arc<NetDevice>) {
        self.timer.set_owner(device);
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    fn arm(&self, after: u64) {
        self.armed.store(true, Ordering::SeqCst);
        self.timer.arm(after);
    }

    /// Whether a packet of `device` that comes now, with none before it, is one of a stream and waits for the next.
    #[inline(never)]
    fn stream(&self, device: &NetDevice, kept: &mut Kept) -> bool {
        let now = cpu::stopwatch();
        let received = device.received.load(Ordering::Relaxed);
        let waits = kept.pace.waits(now, received);
        if waits {
            kept.deadline = now.wrapping_add(kept.pace.wait());
        }
        waits
    }

    /// Has the timer look at what is kept, unless it will.
    #[inline(never)]
    fn start_timer(&self) {
        if !self.armed.swap(true, Ordering::SeqCst) {
            self.timer.arm(self.kept.lock().pace.wait());
        }
    }

    fn take(&self, up: bool) -> Group {
        let mut kept = self.kept.lock();
        let group = core::mem::take(&mut kept.group);
        kept.pace.handed_over(group.count, up);
        self.count.store(0, Ordering::SeqCst);
        group
    }

    /// The driver has returned from what was handed over at `begin`, by the stopwatch. Returns how long a packet
    /// waits for others from now on, in ns.
    fn returned(&self, begin: u64) -> u64 {
        let mut kept = self.kept.lock();
        kept.pace.returned(begin, cpu::stopwatch());
        kept.pace.wait()
    }

    /// Puts the packets of `group` from number `first` on back. The transmit lock is held, so none
    /// came meanwhile.
    fn put_back(&self, group: &mut Group, first: usize) {
        let mut kept = self.kept.lock();
        let rest = group.packets.iter_mut().take(group.count).skip(first);
        let mut count = 0;
        for (place, packet) in kept.group.packets.iter_mut().zip(rest) {
            *place = packet.take();
            count += 1;
        }
        kept.group.count = count;
        kept.group.stamps = group.stamps;
        kept.deadline = 0;
        self.count.store(count, Ordering::SeqCst);
    }
}

/// What is kept for `count` queues.
pub(super) fn queues(count: u32) -> Result<KVec<Queue>> {
    let mut queues = KVec::with_capacity(count as usize, GFP_KERNEL)?;
    for n in 0..count {
        queues.push(Queue::new(n)?, GFP_KERNEL)?;
    }
    Ok(queues)
}

/// The domain address of the function `name` of the ring-3 library.
pub(super) fn function(name: &[u8]) -> u64 {
    ring3::find(name).map_or(0, |offset| LIBRARY_BASE + offset)
}

/// What is to be known of a packet that is ready to be handed over.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    /// It may wait for others.
    pub(super) gathers: bool,
    /// The device is to say when it sent it.
    pub(super) stamp: bool,
    /// The stack says that another one follows.
    pub(super) more: bool,
    /// The stack's limits stopped the queue because of it.
    pub(super) full: bool,
}

/// Keeps a packet of queue `n` and hands it over, with those before it, when it is time. Under the
/// queue's transmit lock. Gives the packet back if it is to go by itself.
#[inline(always)]
pub(super) fn offer(device: &NetDevice, n: u32, sent: Sent, ready: Ready) -> Option<Sent> {
    let Some(queue) = device.gather.get(n as usize) else {
        return Some(sent);
    };
    let may_wait = ready.gathers && !ready.stamp && !ready.full;
    let soon = ready.more || device.is_polled_here();
    let mut kept = queue.kept.lock();
    let count = kept.group.count;
    let waits = if may_wait && (soon || count != 0) {
        soon || queue.armed.load(Ordering::SeqCst)
    } else {
        may_wait && queue.stream(device, &mut kept)
    };
    if !waits && count == 0 {
        return Some(sent);
    }
    let Some(place) = kept.group.packets.get_mut(count) else {
        return Some(sent);
    };
    // Nothing is there, which need not be looked at again.
    core::mem::forget(place.replace(sent));
    let count = count + 1;
    kept.group.count = count;
    kept.group.stamps |= ready.stamp;
    // In order with the timer's word below, which the timer writes before it looks at the count.
    queue.count.store(count, Ordering::SeqCst);
    drop(kept);
    if !waits || count == GATHER_MAX {
        hand_over(device, n, false);
    } else if !soon && !queue.armed.load(Ordering::SeqCst) {
        queue.start_timer();
    }
    None
}

/// Hands the kept packets of queue `n` over. Under the queue's transmit lock, in any context in which
/// the stack transmits. What the driver does not take stays.
pub(super) fn hand_over(device: &NetDevice, n: u32, up: bool) {
    let Some(queue) = device.gather.get(n as usize) else {
        return;
    };
    let mut group = queue.take(up);
    let Some(first) = group.packets[0].as_ref().map(|sent| sent.skb.address) else {
        return;
    };
    let transmit = device.ndo[NDO_START_XMIT / 8].load(Ordering::Relaxed);
    device.sync_traffic();
    let domain = &device.domain;
    let begin = cpu::stopwatch();
    let answer = if group.count == 1 {
        domain.memory.set_xmit_more(cpu::id(), false);
        let args = [first, device.handle];
        transmit::call(device, transmit, &args).map(|value| u64::from(!transmit::is_busy(value)))
    } else {
        let mut next = 0;
        for sent in group.packets[..group.count].iter().rev().flatten() {
            sent.skb.window.set_word(SKB_NEXT, next);
            next = sent.skb.address;
        }
        let state = device.queue_address(n) + QUEUE_STATE;
        let args = [transmit, first, device.handle, state];
        transmit::call(device, device.gather_function, &args)
    };
    let wait = queue.returned(begin);
    let taken = match answer {
        Ok(taken) if taken <= group.count as u64 => taken as usize,
        Ok(taken) => {
            domain.breach("ndo_start_xmit", Violation::new("gathered-too-many", taken));
            return give_up(device, n, group);
        }
        Err(_) => return give_up(device, n, group),
    };
    if group.stamps {
        for sent in group.packets[..taken].iter().flatten() {
            transmit::note_time_stamp(device, sent);
        }
    }
    if taken < group.count {
        queue.put_back(&mut group, taken);
    }
    device.sync_queue(n);
    if taken < group.count {
        queue.arm(match device.real.queue_stopped(n) {
            true => STOPPED,
            false => wait,
        });
    }
}

/// The domain is dead: the packets wait for the next driver, if there is to be one.
fn give_up(device: &NetDevice, n: u32, group: Group) {
    for sent in group.packets.into_iter().flatten() {
        if let Some((packet, bytes)) = sent.take() {
            device.finished(n, bytes);
            device.unsent(packet, n, sent.turn);
        }
    }
    device.flush(n);
    device.real.stop_queue(n);
}

/// The timer of queue `n` says that time is up. In softirq context.
pub(crate) fn expired(device: &NetDevice, n: u32) {
    let Some(queue) = device.gather.get(n as usize) else {
        return;
    };
    queue.armed.store(false, Ordering::SeqCst);
    if queue.is_empty() || device.domain.is_dead() {
        return;
    }
    let looked = device.real.try_transmit_lock(n, || {
        let (deadline, wait) = {
            let kept = queue.kept.lock();
            (kept.deadline, kept.pace.wait())
        };
        // More than that is left if the stopwatches of two CPUs disagree.
        let left = deadline.wrapping_sub(cpu::stopwatch());
        if (1..=wait).contains(&left) {
            queue.arm(left);
        } else if device.real.is_held_up(n) || device.is_stopped(n) {
            queue.arm(STOPPED);
        } else {
            hand_over(device, n, true);
        }
    });
    if looked.is_none() {
        queue.arm(RETRY);
    }
}

impl NetDevice {
    /// The driver has returned from a packet of queue `n` that it was given at `begin`, by the stopwatch.
    pub(super) fn returned(&self, n: u32, begin: u64) {
        if let Some(queue) = self.gather.get(n as usize) {
            queue.returned(begin);
        }
    }

    /// Whether queue `n` keeps as many packets as it can.
    pub(super) fn has_kept_all(&self, n: u32) -> bool {
        self.gather
            .get(n as usize)
            .is_some_and(|queue| queue.count.load(Ordering::Relaxed) == GATHER_MAX)
    }

    /// Whether this CPU is in a poll of the device, at whose end kept packets are handed over.
    fn is_polled_here(&self) -> bool {
        let cpu = self.domain.memory.cpu(cpu::id());
        cpu.is_some_and(|cpu| cpu.polled.load(Ordering::Relaxed) == self.handle)
    }

    /// Calls `poll`, the poll of one of the device's instances, and hands over what was sent
    /// meanwhile. Bottom halves are off.
    pub(super) fn polled(&self, poll: impl FnOnce() -> i32) -> i32 {
        let Some(cpu) = self.domain.memory.cpu(cpu::id()) else {
            return poll();
        };
        let before = cpu.polled.swap(self.handle, Ordering::Relaxed);
        let done = poll();
        cpu.polled.store(before, Ordering::Relaxed);
        if done > 0 {
            self.received.fetch_add(1, Ordering::Relaxed);
        }
        for (n, queue) in self.gather.iter().enumerate() {
            if queue.is_empty() || self.domain.is_dead() {
                continue;
            }
            let n = n as u32;
            let looked = self.real.try_transmit_lock(n, || {
                if self.real.is_held_up(n) || self.is_stopped(n) {
                    queue.arm(STOPPED);
                } else {
                    hand_over(self, n, false);
                }
            });
            if looked.is_none() {
                queue.arm(RETRY);
            }
        }
        done
    }

    /// Has the timer look at once at the packets that are kept for queue `n`. Any context.
    pub(crate) fn hurry(&self, n: u32) {
        if let Some(queue) = self.gather.get(n as usize) {
            if !queue.is_empty() && !self.is_polled_here() {
                queue.arm(0);
            }
        }
    }

    /// The interface goes down: hands the kept packets over, and drops those that the driver does
    /// not take. Process context; the stack transmits no more.
    pub(super) fn hand_over_all(&self) {
        for (n, queue) in self.gather.iter().enumerate() {
            if queue.is_empty() || self.domain.is_dead() {
                continue;
            }
            let n = n as u32;
            self.real.with_transmit_lock(n, || {
                hand_over(self, n, false);
                self.discard(queue, n);
            });
        }
    }

    fn discard(&self, queue: &Queue, n: u32) {
        let group = queue.take(false);
        for sent in group.packets.into_iter().flatten() {
            if let Some((packet, bytes)) = sent.take() {
                drop(packet);
                self.finished(n, bytes);
                self.dropped.fetch_add(1, Ordering::Relaxed);
                self.domain.skb.keep(&self.domain, &sent.skb);
            }
        }
        self.flush(n);
    }

    /// Whether the driver has stopped queue `n`, by its shadow.
    #[inline(always)]
    pub(super) fn is_stopped(&self, n: u32) -> bool {
        let place = self.queue_address(n) + QUEUE_STATE;
        match self.window {
            Some(window) => window.word(place - self.handle) & DRV_XOFF != 0,
            None => {
                let state = self.domain.memory.read::<u64>(place);
                state.is_ok_and(|state| state & DRV_XOFF != 0)
            }
        }
    }

    /// Wakes queue `n` for the stack, and for the packets that wait for it here.
    pub(super) fn wake_queue(&self, n: u32) {
        if !self.has_qdiscs() {
            return;
        }
        self.real.wake_queue(n);
        self.hurry(n);
    }

    /// Forgets the kept packets and stops the timers: the driver is gone, and nobody transmits any
    /// more. The packets are found by their shadows. Process context.
    pub(super) fn forget_kept(&self) {
        for queue in self.gather.iter() {
            queue.timer.cancel();
            let group = queue.take(false);
            drop(group);
        }
    }
}

impl State {
    /// As [`NetDevice::forget_kept`] for all devices.
    pub(super) fn forget_kept(&self) {
        for (_, device) in self.devices.iter() {
            device.forget_kept();
        }
    }
}
